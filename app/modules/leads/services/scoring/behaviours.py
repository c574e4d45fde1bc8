"""Recording what leads do: told over HTTP, by touches, and by calls and meetings that were held."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.ids import new_id
from app.kernel.listing import Kind
from app.kernel.log_pages import Slice, order_by, select_page
from app.kernel.records import RecordType
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import BehaviourDiffers, LeadBehaviourRecorded
from app.modules.leads.models import Behaviour, Lead

TOUCH = "touch"
_NEWEST: Final = order_by({"occurred_at": Kind.DATETIME, "id": Kind.UUID}, falling=True)


class Behaviours:
    """What leads did. The lead is locked by the caller, so that each score counts all that came before it."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def record(
        self,
        lead: Lead,
        kind: str,
        *,
        occurred_at: datetime | None = None,
        detail: str | None = None,
        source_id: str | None = None,
    ) -> tuple[Behaviour, bool]:
        """The occurrence, and whether it is new: a source id that is there already stands for the same one.

        Raises: `Invalid` for the future, `BehaviourDiffers` for a source id that stands for another one.
        """
        uow = self._uow
        at = occurred_at or uow.now
        if at > uow.now:
            raise Invalid.at("/occurred_at", "in_the_future", "What a lead did lies in the past.")
        values = {
            "tenant_id": uow.tenant_id,
            "id": new_id(),
            "lead_id": lead.id,
            "kind": kind,
            "detail": detail,
            "occurred_at": at,
            "source_id": source_id,
            "created_at": uow.now,
        }
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        made = await uow.fetchrow(
            f"INSERT INTO leads.behaviours ({', '.join(values)}) VALUES ({places})"
            " ON CONFLICT (tenant_id, lead_id, source_id) DO NOTHING RETURNING id",
            *values.values(),
        )
        if made is None:
            return await self._known(lead, kind, occurred_at, detail, source_id), False
        behaviour = entity(Behaviour, values)
        self._say(behaviour)
        return behaviour, True

    def _say(self, behaviour: Behaviour) -> None:
        what = f"{behaviour.kind}: {behaviour.detail}" if behaviour.detail else behaviour.kind
        self._uow.record_audit("lead", behaviour.lead_id, "behaved", {"behaviours": [None, what]})
        self._uow.publish(
            LeadBehaviourRecorded(
                id=behaviour.lead_id,
                behaviour_id=behaviour.id,
                kind=behaviour.kind,
                detail=behaviour.detail,
                occurred_at=behaviour.occurred_at,
            )
        )

    async def _known(
        self, lead: Lead, kind: str, at: datetime | None, detail: str | None, source_id: str | None
    ) -> Behaviour:
        statement = self._uow.select(Behaviour).where(
            Behaviour.lead_id == lead.id, Behaviour.source_id == source_id
        )
        found = (await self._uow.all(statement))[0]
        if (found.kind, found.detail) != (kind, detail) or at not in (None, found.occurred_at):
            raise BehaviourDiffers(behaviour_id=str(found.id))
        return found

    async def page(self, lead_id: UUID, *, limit: int, cursor: str | None) -> Slice[Behaviour]:
        """What a lead did, newest first. Raises `InvalidCursor`."""
        statement = self._uow.select(Behaviour).where(Behaviour.lead_id == lead_id)
        name = f"behaviours:{lead_id}"
        return await select_page(self._uow, statement, _NEWEST, name=name, limit=limit, cursor=cursor)

    async def follow(
        self,
        record: RecordType[Any],
        source_id: str,
        lead_ids: Collection[UUID],
        kind: str | None,
        happened: Mapping[str, Any],
    ) -> list[Lead]:
        """Make what is recorded from one source what it says by now; the leads, locked, for which that changed.

        Without `kind` it did not happen (any more). Leads that are converted or gone are left as they are.
        """
        uow = self._uow
        stored = await uow.all(uow.select(Behaviour).where(Behaviour.source_id == source_id))
        known = {behaviour.lead_id: behaviour for behaviour in stored}
        wanted = set(lead_ids) if kind else set()
        if not known and not wanted:
            return []
        leads = await record.service(uow).get_many(sorted({*known, *wanted}), lock="update")
        changed: list[Lead] = []
        for id, lead in leads.items():
            if lead.converted_at is not None:
                continue
            before = known.get(id)
            if before is not None and not (kind and id in wanted and _same(before, kind, happened)):
                await uow.delete(before)
                self._uow.record_audit("lead", id, "behaved", {"behaviours": [before.kind, None]})
                before = None
                changed.append(lead)
            if kind and id in wanted and before is None:
                await self.record(
                    lead,
                    kind,
                    occurred_at=min(happened["occurred_at"], uow.now),
                    detail=happened["detail"],
                    source_id=source_id,
                )
                changed.append(lead)
        return list({lead.id: lead for lead in changed}.values())


def _same(behaviour: Behaviour, kind: str, happened: Mapping[str, Any]) -> bool:
    return (behaviour.kind, behaviour.detail, behaviour.occurred_at) == (
        kind,
        happened["detail"],
        happened["occurred_at"],
    )
