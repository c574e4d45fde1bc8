"""Contacts as people who can be invited to meetings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import PersonRef
from app.modules.customers.services.contacts import ContactService


class ContactDirectory:
    """`PersonDirectory` for contacts."""

    object = "contact"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def people(self, ids: Collection[UUID]) -> Mapping[UUID, PersonRef]:
        """Contacts that the actor sees, without an address where their role hides it."""
        if not self._uow.actor.may("contact:read"):
            return {}
        rows = await ContactService(self._uow).get_many(list(ids))
        hidden = "email" in self._uow.actor.hidden(self.object)
        return {id: PersonRef(id, row.name, None if hidden else row.email) for id, row in rows.items()}
