"""What imports of orders and of returns share: looking up what they name, for all of a batch at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.kernel.people import People
from app.kernel.statements import by_texts
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import Catalog, ProductRef
from app.modules.customers.interface import Customers
from app.modules.orders.schemas.imports import (
    ImportAnswer,
    ImportedItem,
    ImportedOrder,
    ImportedReturn,
    ImportFault,
    ImportStatus,
)

T = TypeVar("T", ImportedOrder, ImportedReturn)


@dataclass
class Item(Generic[T]):
    """One order or return on its way in."""

    given: T
    faults: list[ImportFault] = field(default_factory=list)
    id: UUID | None = None
    existing: bool = False

    def refuse(self, pointer: str, code: str, detail: str) -> None:
        self.faults.append(ImportFault(pointer=pointer, code=code, detail=detail))

    @property
    def due(self) -> bool:
        """Whether it is to be made."""
        return not self.faults and not self.existing


@dataclass(frozen=True)
class Known:
    """What the items of a batch name, as far as it is there."""

    accounts: Mapping[str, UUID]
    account_ids: frozenset[UUID]
    countries: Mapping[UUID, str | None]
    codes: Mapping[str, UUID]
    products: Mapping[UUID, ProductRef]
    teams: Mapping[UUID | None, UUID | None]

    @classmethod
    async def of(cls, uow: UnitOfWork, items: Sequence[Item[Any]]) -> Known:
        """Look everything up, in one statement per kind. Raises `Invalid` for an owner who is no member."""
        customers, catalog = uow.of(Customers), uow.of(Catalog)
        given = [item.given for item in items]
        keys = {one.account for one in given if one.account is not None}
        accounts = await customers.accounts_by_external_id(keys) if keys else {}
        wanted = {one.account_id for one in given if one.account_id is not None} | set(accounts.values())
        found = frozenset(await customers.get_many(wanted, hold=True))
        profiles = await customers.account_profiles(found)
        lines = [line for one in given for line in one.lines]
        codes = await catalog.by_code({line.product for line in lines if line.product is not None})
        products = {line.product_id for line in lines if line.product_id is not None} | set(codes.values())
        owners = {one.owner_id for one in given if one.owner_id is not None} - {uow.actor.member_id}
        teams: dict[UUID | None, UUID | None] = {}
        if owners:
            uow.actor.require("order:assign")
            found_teams = await uow.of(People).require_members(owners, pointer="/owner_id")
            teams.update(dict(found_teams.items()))
        teams[uow.actor.member_id] = uow.actor.home_team_id
        return cls(
            accounts=accounts,
            account_ids=found,
            countries={id: profile.country for id, profile in profiles.items()},
            codes=codes,
            products=await catalog.get_many(products, hold=True),
            teams=teams,
        )

    def account(self, item: Item[Any]) -> UUID | None:
        """The account that an item names; it is refused where there is none."""
        given = item.given
        if (given.account is None) == (given.account_id is None):
            item.refuse("/account_id", "required", "Name the account by its id or its external id.")
            return None
        id: UUID | None = given.account_id or self.accounts.get(given.account)
        if id is None or id not in self.account_ids:
            item.refuse(
                "/account" if given.account_id is None else "/account_id",
                "unknown_reference",
                "There is no such account.",
            )
            return None
        return id

    def product(self, item: Item[Any], line: Any, at: str) -> ProductRef | None:
        """The product that a line names; its item is refused where that is not there."""
        if line.product is None and line.product_id is None:
            return None
        id = line.product_id or self.codes.get(line.product)
        found = None if id is None else self.products.get(id)
        if found is None:
            name = "product" if line.product_id is None else "product_id"
            item.refuse(f"{at}/{name}", "unknown_reference", "There is no such product.")
        return found


async def mark_existing(uow: UnitOfWork, table: str, items: Sequence[Item[Any]]) -> None:
    """Find what is there already by its external id; of one that is named twice the second is refused."""
    rows = await uow.fetch(
        by_texts(table, "external_id", "t.id"),
        uow.tenant_id,
        [item.given.external_id for item in items],
    )
    known = {row["external_id"]: row["id"] for row in rows}
    seen: set[str] = set()
    for item in items:
        key = item.given.external_id
        if key in known:
            item.id, item.existing = known[key], True
        elif key in seen:
            item.refuse("/external_id", "repeated", "This key is named twice.")
        seen.add(key)


async def refuse_known_lines(uow: UnitOfWork, table: str, items: Sequence[Item[Any]]) -> None:
    """A line's external id is that of one line only."""
    lines = [
        (item, place, line.external_id)
        for item in items
        if item.due
        for place, line in enumerate(item.given.lines)
        if line.external_id is not None
    ]
    if not lines:
        return
    rows = await uow.fetch(
        by_texts(table, "external_id", "t.id", live=False),
        uow.tenant_id,
        [key for _, _, key in lines],
    )
    taken = {row["external_id"] for row in rows}
    for item, place, key in lines:
        if key in taken:
            item.refuse(f"/lines/{place}/external_id", "duplicate_value", "Another line has this key.")
        taken.add(key)


def answer(items: Sequence[Item[Any]]) -> ImportAnswer:
    """What became of all of them."""
    results = [
        ImportedItem(
            external_id=item.given.external_id,
            status=ImportStatus.FAILED
            if item.faults
            else ImportStatus.EXISTING
            if item.existing
            else ImportStatus.CREATED,
            id=None if item.faults else item.id,
            errors=item.faults,
        )
        for item in items
    ]
    counts = {status: sum(one.status is status for one in results) for status in ImportStatus}
    return ImportAnswer(
        results=results,
        succeeded=counts[ImportStatus.CREATED] + counts[ImportStatus.EXISTING],
        created=counts[ImportStatus.CREATED],
        existing=counts[ImportStatus.EXISTING],
        failed=counts[ImportStatus.FAILED],
        lines=sum(len(item.given.lines) for item in items if item.due),
    )


async def settle_conflicts(uow: UnitOfWork, table: str, items: Sequence[Item[Any]], made: set[UUID]) -> None:
    """What was not made: it is there meanwhile, or something with the same reference stands in the way."""
    late = [item for item in items if item.due and item.id not in made]
    if late:
        await mark_existing(uow, table, late)
        for item in late:
            if not item.existing:
                item.refuse("/customer_reference", "duplicate_value", "Another record has this value.")
