"""Sharing a record with members and teams, and giving records to another owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol, cast
from uuid import UUID

import asyncpg
from sqlalchemy.orm import Mapped

from app.kernel.access import visible_rows
from app.kernel.errors import Forbidden, Invalid, NotFound
from app.kernel.holding import taken_over_sql
from app.kernel.listing import Bindings
from app.kernel.merging.tombstones import refuse_absent
from app.kernel.models import RecordTable, TenantOwned
from app.kernel.people import People
from app.kernel.records import RecordService
from app.kernel.schemas import ShareInput, ShareOutput, TransferAnswer, TransferRequest
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork


class Share(TenantOwned):
    """One record shown to one member or team beyond what their roles reach."""

    __tablename__ = "shares"
    __table_args__ = ({"schema": "kernel"},)

    object: Mapped[str]
    record_id: Mapped[UUID]
    member_id: Mapped[UUID | None]
    team_id: Mapped[UUID | None]
    access: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]


class OpenWork(Protocol):
    """Port: a module whose records hang on others hands over the open ones when their subject changes owner."""

    async def hand_over(
        self, object_name: str, record_ids: list[UUID], owner_id: UUID
    ) -> Mapping[str, list[UUID]]:
        """Give the open work about these records to the new owner; which records, by their type.

        Raises `Forbidden` where some of it is not the actor's to give: then nothing changes owner.
        """


class GoesAlong:
    """`OpenWork` of one record type: its open records go along with what they hang on."""

    service: ClassVar[type[RecordService[Any]]]
    columns: ClassVar[Mapping[str, str]]
    """Which column names the subject, by the subject's type."""
    open: ClassVar[str] = "true"
    """Which records are open: SQL over `t`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def hand_over(
        self, object_name: str, record_ids: list[UUID], owner_id: UUID
    ) -> Mapping[str, list[UUID]]:
        """Give the open ones about these records to the new owner. Raises `Forbidden`."""
        column = self.columns.get(object_name)
        if column is None:
            return {}
        service = self.service(self._uow)
        where = f"t.{column} = ANY($2::uuid[]) AND {self.open}"
        return {service.record.object: await give(service, where, record_ids, owner_id)}


def _answer(share: Share) -> ShareOutput:
    return ShareOutput.model_validate(
        {name: share.__dict__[name] for name in ("id", "member_id", "team_id", "access", "created_at")}
    )


async def list_shares(service: RecordService[Any], record_id: UUID) -> list[ShareOutput]:
    """With whom a visible record is shared, oldest first."""
    await service.get(record_id)
    return [_answer(found) for found in await _shares(service.uow, service.record.object, record_id)]


async def _shares(uow: UnitOfWork, object_name: str, record_id: UUID) -> list[Share]:
    statement = uow.select(Share).where(Share.object == object_name, Share.record_id == record_id)
    return await uow.all(statement.order_by(Share.id))


async def share(service: RecordService[Any], record_id: UUID, body: ShareInput) -> ShareOutput:
    """Share a record; sharing again with the same one changes the access. Raises `Invalid`, `NotFound`."""
    uow, record = service.uow, service.record
    await service.get(record_id, action="share", lock="share")  # it stays while it is being shared
    if body.access == "write":
        # Nobody lets others, or themselves, do what they may not.
        await service.get(record_id, action="update")
    if (body.member_id is None) == (body.team_id is None):
        raise Invalid.at("/member_id", "one_of", "Name either a member or a team.")
    if body.member_id is not None:
        await uow.of(People).require_members([body.member_id], pointer="/member_id")
    else:
        await uow.of(People).require_teams([body.team_id] if body.team_id else [], pointer="/team_id")
    wanted = body.member_id or body.team_id
    for found in await _shares(uow, record.object, record_id):
        if wanted in (found.member_id, found.team_id):
            changed = await uow.update(found, access=body.access)
            _audit(service, record_id, "shared", changed)
            return _answer(changed)
    made = await uow.insert(
        Share,
        object=record.object,
        record_id=record_id,
        member_id=body.member_id,
        team_id=body.team_id,
        access=body.access,
        created_by=uow.actor.member_id,
    )
    _audit(service, record_id, "shared", made)
    return _answer(made)


async def unshare(service: RecordService[Any], record_id: UUID, share_id: UUID) -> None:
    """End a share. Raises `NotFound`."""
    await service.get(record_id, action="share")
    found = await service.uow.find(Share, share_id)
    if found is None or found.record_id != record_id:
        raise NotFound
    await service.uow.delete(found)
    _audit(service, record_id, "unshared", found)


def _audit(service: RecordService[Any], record_id: UUID, action: str, share: Share) -> None:
    with_whom = "member" if share.member_id else "team"
    value = str(share.member_id or share.team_id)
    before_after = [None, f"{with_whom} {value} ({share.access})"]
    service.uow.record_audit(
        service.record.object,
        record_id,
        action,
        {"shares": before_after if action == "shared" else before_after[::-1]},
    )


async def transfer(service: RecordService[Any], body: TransferRequest) -> TransferAnswer:
    """Change the owner of records, all or none. Raises `NotFound` if any is not visible, `Forbidden`, `Invalid`."""
    uow = service.uow
    team = (await uow.of(People).require_members([body.owner_id], pointer="/owner_id"))[body.owner_id]
    ids = list(dict.fromkeys(body.ids))
    rows = await service.get_many(ids, action="assign", lock="update")
    missing = [id for id in ids if id not in rows]
    if missing:
        await refuse_absent(service, missing, writing=True, listed=True)
    moved: list[UUID] = []
    for id in ids:
        if rows[id].owner_id != body.owner_id:
            given = {"owner_id": body.owner_id, "team_id": team}
            await service.write(rows[id], given, action="transferred", reason=body.reason)
            moved.append(id)
    along: dict[str, set[UUID]] = {}
    if body.with_open_work and moved:
        along = await _hand_over(uow, service.record.object, moved, body.owner_id)
    return TransferAnswer(
        transferred=moved,
        unchanged=[id for id in ids if id not in moved],
        went_along={name: len(found) for name, found in sorted(along.items())},
    )


async def _hand_over(
    uow: UnitOfWork, object_name: str, ids: list[UUID], owner_id: UUID
) -> dict[str, set[UUID]]:
    """What hangs on these records, and on what hangs on them, goes to the new owner; each record once."""
    found: dict[str, set[UUID]] = {}
    pending = [(object_name, ids)]
    while pending:
        about, about_ids = pending.pop(0)
        for port in uow.ports(OpenWork):
            for name, given in (await port.hand_over(about, about_ids, owner_id)).items():
                known = found.setdefault(name, set())
                new = [id for id in given if id not in known]
                known.update(new)
                if new:
                    pending.append((name, new))
    return {name: given for name, given in found.items() if given}


async def give(service: RecordService[Any], where: str, ids: Collection[UUID], owner_id: UUID) -> list[UUID]:
    """Give the rows that `where` is true of, SQL over `t` with `$2` for `ids`, to a member; which ones.

    In two statements, however many they are. Raises `Forbidden` if any of them is not the actor's to give.
    """
    uow, record = service.uow, service.record
    before = await _hold_to_give(service, where, ids, owner_id)
    if not before:
        return []
    team = (await uow.of(People).require_members([owner_id], pointer="/owner_id"))[owner_id]
    model = cast("type[RecordTable]", record.model)
    held = f",{taken_over_sql('$3::uuid', '$5')}" if record.held else ""
    changed = await uow.fetch(
        f"UPDATE {record.table} t SET owner_id = $3, team_id = $4{held}, version = version + 1, updated_at = $5"
        f" WHERE tenant_id = $1 AND id = ANY($2::uuid[]) RETURNING {', '.join(columns_of(model))}",
        uow.tenant_id,
        list(before),
        owner_id,
        team,
        uow.now,
    )
    for row in changed:
        after = entity(model, row)
        diff = {
            n: [before[after.id][n], row[n]] for n in ("owner_id", "team_id") if before[after.id][n] != row[n]
        }
        uow.record_audit(record.object, after.id, "transferred", diff)
        uow.publish_record(
            record.updated, after.id, after.version, changed=sorted(diff), record=record.render(after)
        )
    return list(before)


async def _hold_to_give(
    service: RecordService[Any], where: str, ids: Collection[UUID], owner_id: UUID
) -> dict[UUID, asyncpg.Record]:
    """The rows that are not the member's already, locked, by id. Raises `Forbidden`: as `give`."""
    uow, record, actor = service.uow, service.record, service.actor
    bind = Bindings(uow.tenant_id, list(ids), owner_id)
    allowed = "false"
    if actor.may(f"{record.object}:assign"):
        allowed = visible_rows(actor, record.object, "assign", bind) or "true"
    rows = await uow.fetch(
        f"SELECT t.id, t.owner_id, t.team_id, {allowed} AS allowed FROM {record.table} t WHERE t.tenant_id = $1"
        f" AND t.deleted_at IS NULL AND t.owner_id IS DISTINCT FROM $3 AND {where}"
        " ORDER BY t.id FOR NO KEY UPDATE OF t",
        *bind.values,
    )
    refused = sum(not row["allowed"] for row in rows)
    if refused:
        raise Forbidden(
            f"{refused} {record.plural.replace('_', ' ')} that would go along are not yours to give.",
            permission=f"{record.object}:assign",
        )
    return {row["id"]: row for row in rows}
