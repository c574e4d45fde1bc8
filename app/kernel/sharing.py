"""Sharing a record with members and teams, and giving records to another owner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.errors import Invalid, NotFound
from app.kernel.merging.tombstones import refuse_absent
from app.kernel.models import TenantOwned
from app.kernel.people import People
from app.kernel.records import RecordService
from app.kernel.schemas import ShareInput, ShareOutput, TransferAnswer, TransferRequest
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

    async def hand_over(self, object_name: str, record_ids: list[UUID], owner_id: UUID) -> None:
        """Give the open work about these records to the new owner."""


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
            await service.write(rows[id], {"owner_id": body.owner_id, "team_id": team}, action="transferred")
            moved.append(id)
    if body.with_open_work and moved:
        for port in uow.ports(OpenWork):
            await port.hand_over(service.record.object, moved, body.owner_id)
    return TransferAnswer(transferred=moved, unchanged=[id for id in ids if id not in moved])
