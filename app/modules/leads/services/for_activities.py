"""Leads as people who can be invited, and as work that waits for its owner."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import PersonRef, Waiting
from app.modules.leads.services.leads import LeadService

NEW_LEAD: Final = "new_lead"


class LeadDirectory:
    """`PersonDirectory` for leads."""

    object = "lead"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def people(self, ids: Collection[UUID]) -> Mapping[UUID, PersonRef]:
        """Leads that the actor sees, without an address where their role hides it or nobody has claimed them."""
        if not self._uow.actor.may("lead:read"):
            return {}
        rows = await LeadService(self._uow).get_many(list(ids))
        hidden = "email" in self._uow.actor.hidden(self.object)
        return {
            id: PersonRef(id, row.name, None if hidden or row.pool_id is not None else row.email)
            for id, row in rows.items()
        }


class LeadToDos:
    """`ToDoSource`: my new leads that nobody has answered; each is due from the moment it came."""

    kinds = frozenset({NEW_LEAD})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        return Waiting.own(
            self._uow.actor,
            bind,
            "lead",
            "leads.leads",
            "t.status = 'new' AND t.first_response_at IS NULL",
            kind=f"'{NEW_LEAD}'",
            title="name",
            due_at="t.created_at",
            shown=("company", "source", "rating"),
        )
