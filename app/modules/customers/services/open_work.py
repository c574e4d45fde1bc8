"""What goes along when an account changes its owner: the people in it."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.sharing import give
from app.kernel.uow import UnitOfWork
from app.modules.customers.services.contacts import ContactService


class AccountPeople:
    """`OpenWork`: contacts whose first account is handed over."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def hand_over(
        self, object_name: str, record_ids: list[UUID], owner_id: UUID
    ) -> Mapping[str, list[UUID]]:
        """Give the contacts of these accounts to the new owner. Raises `Forbidden`."""
        if object_name != "account":
            return {}
        where = "t.account_id = ANY($2::uuid[])"
        return {"contact": await give(ContactService(self._uow), where, record_ids, owner_id)}
