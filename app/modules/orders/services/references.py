"""What an order names must be there and visible when it is written: account, contact, opportunity, contract."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import HeldAccount
from app.modules.contracts.interface import Contracts
from app.modules.customers.interface import AccountRef, Customers
from app.modules.opportunities.interface import Opportunities


class References:
    """Checks through the other modules' interfaces, for one act: what was found once is held until its end."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._accounts: dict[UUID, AccountRef | HeldAccount] = {}

    async def check(self, values: Mapping[str, Any], changed: Collection[str]) -> None:
        """Raises `Invalid` for what is not there; only `changed` references are looked at."""
        if "account_id" in changed:
            changed = {*changed, "contract_id"}  # which must be the account's
        account = _due("account_id", values, changed)
        if account is not None and await self._account(account) is None:
            raise _unknown("account_id", "account")
        contact = _due("contact_id", values, changed)
        if contact is not None and contact not in await self._uow.of(Customers).get_contacts(
            [contact], hold=True
        ):
            raise _unknown("contact_id", "contact")
        opportunity = _due("opportunity_id", values, changed)
        if opportunity is not None:
            found = await self._uow.of(Opportunities).get_many([opportunity])
            if opportunity not in found:
                raise _unknown("opportunity_id", "opportunity")
        contract = _due("contract_id", values, changed)
        if contract is not None:
            known = (await self._uow.of(Contracts).get_many([contract], hold=True)).get(contract)
            if known is None:
                raise _unknown("contract_id", "contract")
            if known.account_id != values["account_id"]:
                raise Invalid.at("/contract_id", "other_account", "The contract is another account's.")

    async def country(self, values: Mapping[str, Any]) -> str | None:
        """Where an order goes: as its addresses say, else as its account does."""
        said = addressed(values)
        if said is not None:
            return said
        account = await self._account(values["account_id"])
        return None if account is None else account.country

    def unknown_by_now(self, account_id: UUID) -> bool:
        """Whether the account is still to be found and held, and may be so by another statement."""
        return account_id not in self._accounts and self._uow.actor.may("account:read")

    def held(self, account_id: UUID, account: HeldAccount | None) -> None:
        """Another statement looked for the account, and holds it if there is one."""
        if account is not None:
            self._accounts[account_id] = account

    async def _account(self, id: UUID) -> AccountRef | HeldAccount | None:
        """The account, held until the transaction ends; None where there is none that the actor sees."""
        if id not in self._accounts:
            self._accounts |= await self._uow.of(Customers).get_many([id], hold=True)
        return self._accounts.get(id)


def addressed(values: Mapping[str, Any]) -> str | None:
    """The country that an order's addresses say."""
    for name in ("shipping_address", "billing_address"):
        address = values.get(name)
        if address and address.get("country"):
            return str(address["country"])
    return None


def _due(name: str, values: Mapping[str, Any], changed: Collection[str]) -> UUID | None:
    return values.get(name) if name in changed else None


def _unknown(name: str, noun: str) -> Invalid:
    return Invalid.at(f"/{name}", "unknown_reference", f"There is no {noun} with this id.")
