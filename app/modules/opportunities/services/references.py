"""The accounts and contacts that opportunities name: they must be there and visible when they are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.listing import Ask
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers


class References:
    """Checks references through the customers' interface, each record once per transaction."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._known: set[UUID] = set()

    async def check(self, values: Mapping[str, Any], changed: Collection[str] | None = None) -> None:
        """Raises `Invalid` for an account or contact that is not there; only `changed` ones are looked at."""
        customers = self._uow.of(Customers)
        account = self._due("account_id", values, changed)
        if account is not None:
            if account not in await customers.get_many([account], hold=True):
                raise _unknown("account_id", "account")
            self._known.add(account)
        contact = self._due("contact_id", values, changed)
        if contact is not None:
            if contact not in await customers.get_contacts([contact], hold=True):
                raise _unknown("contact_id", "contact")
            self._known.add(contact)

    async def hold_account(self, id: UUID | None, beside: Callable[[Ask], Awaitable[Sequence[Any]]]) -> None:
        """Find and hold an account beside another statement, so that `check` need not. Raises `Forbidden`."""
        if id is None or id in self._known:
            return
        [found] = await beside(partial(self._uow.of(Customers).holds_account, id))
        if found:
            self._known.add(id)

    async def learn(self, many: Iterable[Mapping[str, Any]]) -> None:
        """Look up what many rows name, in one statement each; `check` then asks no more for those found."""
        accounts: set[UUID] = set()
        contacts: set[UUID] = set()
        for values in many:
            accounts |= {values["account_id"]} if values.get("account_id") else set()
            contacts |= {values["contact_id"]} if values.get("contact_id") else set()
        customers = self._uow.of(Customers)
        if accounts - self._known:
            self._known |= set(await customers.get_many(accounts - self._known, hold=True))
        if contacts - self._known:
            self._known |= set(await customers.get_contacts(contacts - self._known, hold=True))

    def _due(self, name: str, values: Mapping[str, Any], changed: Collection[str] | None) -> UUID | None:
        value: UUID | None = values.get(name)
        if value is None or value in self._known or (changed is not None and name not in changed):
            return None
        return value


def _unknown(name: str, noun: str) -> Invalid:
    return Invalid.at(f"/{name}", "unknown_reference", f"There is no {noun} with this id.")
