"""Where a quote comes from: the account, contact, contract and opportunity that it names and takes over from."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog
from app.modules.contracts.interface import Contracts
from app.modules.customers.interface import AccountRef, Customers
from app.modules.opportunities.interface import Opportunities, OpportunityLineRef
from app.modules.quotes.models import Quote, QuoteLanguage
from app.modules.quotes.services.pricing import GivenLine


class Origin:
    """Completes and checks what a quote refers to, through the interfaces of those modules."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def complete(self, values: dict[str, Any], *, lines_given: bool) -> list[GivenLine]:
        """Fill in what was left open; the opportunity's lines, where none were given. Raises `Invalid`."""
        tenant = self._uow.actor.tenant
        copied: list[GivenLine] = []
        opportunity_id = values.get("opportunity_id")
        if opportunity_id is not None:
            copied = await self._from_opportunity(opportunity_id, values, lines_given=lines_given)
        if values.get("account_id") is None:
            raise Invalid.at("/account_id", "required", "A quote is made for an account.")
        if values.get("currency") is None:
            values["currency"] = tenant.currency
        account = await self.check(values, values)
        if account is not None:
            self._as_the_account(values, account)
        return copied

    def _as_the_account(self, values: dict[str, Any], account: AccountRef) -> None:
        """Tax country and language are the account's where none were given."""
        for name, value in self._ways_of(account).items():
            if values.get(name) is None:
                values[name] = value

    def _ways_of(self, account: AccountRef) -> dict[str, str]:
        """Tax country and language: those of the account, else of the company, as orders are taxed."""
        tenant = self._uow.actor.tenant
        spoken = account.language.partition("-")[0] if account.language else None
        return {
            "tax_country": account.country or tenant.country,
            "language": spoken if spoken in frozenset(QuoteLanguage) else tenant.language,
        }

    async def changed_account(
        self, row: Quote, account: AccountRef, changes: Mapping[str, Any]
    ) -> dict[str, str]:
        """Tax country and language for another account than the row has.

        What was not that of the former account was chosen by somebody, and stays.
        """
        former = (await self._uow.of(Customers).get_many([row.account_id])).get(row.account_id)
        was = {} if former is None else self._ways_of(former)
        return {
            name: value
            for name, value in self._ways_of(account).items()
            if name not in changes and getattr(row, name) == was.get(name, getattr(row, name))
        }

    async def _from_opportunity(
        self, id: UUID, values: dict[str, Any], *, lines_given: bool
    ) -> list[GivenLine]:
        opportunities = self._uow.of(Opportunities)
        found = (await opportunities.get_many([id])).get(id)
        if found is None:
            raise _unknown("opportunity_id", "opportunity")
        lines = [] if lines_given else await opportunities.lines_of(id)
        currency = lines[0].currency if lines else found.amount.currency if found.amount else None
        taken = {
            "account_id": found.account_id,
            "contact_id": found.contact_id,
            "currency": currency,
            "name": found.name,
        }
        for name, value in taken.items():
            if values.get(name) is None:
                values[name] = value
        if lines and values["currency"] != currency:
            raise Invalid.at("/currency", "other_currency", f"The opportunity's lines are in {currency}.")
        products = await self._uow.of(Catalog).get_many({one.product_id for one in lines if one.product_id})
        return [_copied(line, known=line.product_id in products) for line in lines]

    async def check(self, values: dict[str, Any], changed: Mapping[str, Any]) -> AccountRef | None:
        """What is named must be there and visible; an account gives an unnamed quote its name.

        Answers with the account, if it was named. Raises `Invalid`.
        """
        customers = self._uow.of(Customers)
        named: AccountRef | None = None
        account, contact = changed.get("account_id"), changed.get("contact_id")
        if account is not None:
            found = await customers.get_many([account], hold=True)
            if account not in found:
                raise _unknown("account_id", "account")
            named = found[account]
            values["name"] = values.get("name") or named.name
        if contact is not None and contact not in await customers.get_contacts([contact], hold=True):
            raise _unknown("contact_id", "contact")
        if {"account_id", "contract_id"} & changed.keys():
            await self._check_contract(values)
        opportunity = changed.get("opportunity_id")
        if (
            changed is not values
            and opportunity is not None
            and opportunity not in await self._uow.of(Opportunities).get_many([opportunity])
        ):
            raise _unknown("opportunity_id", "opportunity")
        return named

    async def _check_contract(self, values: Mapping[str, Any]) -> None:
        contract: UUID | None = values.get("contract_id")
        if contract is None:
            return
        found = (await self._uow.of(Contracts).get_many([contract], hold=True)).get(contract)
        if found is None:
            raise _unknown("contract_id", "contract")
        if found.account_id != values["account_id"]:
            raise Invalid.at("/contract_id", "other_account", "The contract is another account's.")


def _copied(line: OpportunityLineRef, *, known: bool) -> GivenLine:
    """An opportunity's line at its price; the product's tax, charge and cost are the catalogue's.

    What the catalogue does not know, since opportunities may name anything, is free text.
    """
    return GivenLine(
        product_id=line.product_id if known else None,
        description=line.product_name,
        detail=line.description,
        unit=None,
        quantity=Decimal(decimal_text(line.quantity)),
        unit_price=line.unit_price,
        discount_percent=line.discount_percent or Decimal(0),
        discount_amount=line.discount_amount or 0,
        tax_rate=None,
        charge=None,
        optional=False,
        component_of=None,
        unit_cost=None,
    )


def _unknown(name: str, noun: str) -> Invalid:
    return Invalid.at(f"/{name}", "unknown_reference", f"There is no {noun} with this id.")
