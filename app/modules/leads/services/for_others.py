"""`Leads` for other modules, and first responses that show in activities."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.merging.tombstones import get_current
from app.kernel.statements import columns_of, entities
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Subject
from app.modules.leads.interface import LeadRef
from app.modules.leads.models import Lead
from app.modules.leads.services.leads import LeadService
from app.modules.leads.services.states import CONVERTED


class LeadsOfTenant:
    """Leads as far as the actor sees them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, LeadRef]:
        if not ids or not self._uow.actor.may("lead:read"):
            return {}
        rows = await get_current(LeadService(self._uow), ids)
        return {
            id: LeadRef(**{name: getattr(row, name) for name in LeadRef.__slots__})
            for id, row in rows.items()
        }

    async def by_phone(self, e164: str) -> Sequence[LeadRef]:
        actor = self._uow.actor
        if not actor.may("lead:read") or "phone" in actor.hidden("lead"):
            return []
        bind = Bindings(self._uow.tenant_id, e164)
        visible = visible_rows(actor, "lead", "read", bind)
        rows = await self._uow.fetch(
            f"SELECT {', '.join(f't.{name}' for name in LeadRef.__slots__)} FROM leads.leads t"
            " WHERE t.tenant_id = $1 AND t.phone_key = $2 AND t.deleted_at IS NULL AND t.status <> 'converted'"
            f"{f' AND {visible}' if visible else ''} ORDER BY t.created_at DESC, t.id DESC LIMIT 20",
            *bind.values,
        )
        return [LeadRef(**dict(row)) for row in rows]

    async def responded(self, id: UUID, at: datetime) -> None:
        service = LeadService(self._uow)
        row = await service.get(id, lock="update")
        if row.first_response_at is None and row.status != CONVERTED:
            await service.write(row, {"first_response_at": at}, action="responded")


class ResponsesInActivities:
    """Notes as first response that a person called, met or did something for a lead; a note is none."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def done(self, about: Sequence[Subject], kind: str, at: datetime) -> None:
        uow = self._uow
        ids = [subject.record_id for subject in about if subject.object == "lead"]
        if not ids or kind == "note" or uow.actor.kind == "system":
            return
        rows = await uow.fetch(
            f"SELECT {', '.join(columns_of(Lead))} FROM leads.leads WHERE tenant_id = $1"
            " AND id = ANY($2::uuid[]) AND first_response_at IS NULL AND status <> 'converted'"
            " AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE",
            uow.tenant_id,
            ids,
        )
        for lead in entities(Lead, rows):
            response = {"first_response_at": min(at, uow.now)}
            await LeadService(uow).write(lead, response, action="responded")
