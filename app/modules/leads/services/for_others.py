"""`Leads` for other modules, and the leads behind an account on its 360° view."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from app.kernel.merging.tombstones import get_current
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import LeadRef
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

    async def responded(self, id: UUID, at: datetime) -> None:
        service = LeadService(self._uow)
        row = await service.get(id, lock="update")
        if row.first_response_at is None and row.status != CONVERTED:
            await service.write(row, {"first_response_at": at}, action="responded")
