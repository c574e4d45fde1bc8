"""`Catalog` for other modules, bound to their transaction. The catalogue is one for all members of a tenant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import (
    ConfiguredLine,
    HeldAccount,
    PricedLine,
    PriceQuery,
    Pricing,
    ProductRef,
    Violation,
)
from app.modules.catalog.services.facts import Facts, product_ref, product_rows
from app.modules.catalog.services.price_books import ids_by_code
from app.modules.catalog.services.rule_facts import load_rules
from app.modules.catalog.services.violations import find_violations
from app.modules.catalog.services.waterfall import (
    CannotPrice,
    LineFacts,
    Refusal,
    price_refusals,
    resolve,
    resolve_lines,
)

T = TypeVar("T")


class CatalogOfTenant:
    """Products and prices of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ProductRef]:
        """`cost` is that in the tenant's currency."""
        if not ids:
            return {}
        hidden = "costs" in self._uow.actor.hidden("product")
        currency = self._uow.actor.tenant.currency
        rows = await product_rows(self._uow, ids, hold=hold)
        return {id: product_ref(row, currency, hidden=hidden) for id, row in rows.items()}

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        if not ids:
            return {}
        rows = await self._uow.fetch(
            "SELECT id, name FROM catalog.products WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
            self._uow.tenant_id,
            list(ids),
        )
        return {row["id"]: row["name"] for row in rows}

    async def category_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        if not ids:
            return {}
        rows = await self._uow.fetch(
            "SELECT id, name FROM catalog.categories WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " AND deleted_at IS NULL",
            self._uow.tenant_id,
            list(ids),
        )
        return {row["id"]: row["name"] for row in rows}

    async def category_trees(self, ids: Collection[UUID]) -> Mapping[UUID, frozenset[UUID]]:
        if not ids:
            return {}
        rows = await self._uow.fetch(_TREES, self._uow.tenant_id, list(ids))
        return {row["id"]: frozenset(row["above"]) for row in rows}

    async def priced_by(
        self,
        product_id: UUID,
        currency: str,
        *,
        price_book_id: UUID | None = None,
        account_id: UUID | None = None,
        contract_id: UUID | None = None,
    ) -> Sequence[UUID]:
        uow = self._uow
        today = uow.actor.tenant.day_of(uow.now)
        rows = await uow.fetch(
            _PRICED_BY, uow.tenant_id, product_id, currency, price_book_id, account_id, contract_id, today
        )
        return [product_id, *(row["id"] for row in rows)]

    async def by_code(self, codes: Collection[str]) -> Mapping[str, UUID]:
        return await ids_by_code(self._uow, "products", codes) if codes else {}

    async def price(self, query: PriceQuery, *, pointer: str = "/lines") -> Pricing:
        return await self._resolved(query, pointer, resolve)

    async def prices(self, query: PriceQuery, *, pointer: str = "/lines") -> Sequence[PricedLine]:
        return await self._resolved(query, pointer, resolve_lines)

    async def prices_for_account(
        self, query: PriceQuery, *, pointer: str = "/lines"
    ) -> tuple[Sequence[PricedLine], HeldAccount | None]:
        facts = Facts(self._uow, query, hold_account=True)
        return await self._resolved(query, pointer, resolve_lines, facts), facts.account

    async def _resolved(
        self,
        query: PriceQuery,
        pointer: str,
        by: Callable[[PriceQuery, Sequence[LineFacts]], T],
        facts: Facts | None = None,
    ) -> T:
        facts = facts or Facts(self._uow, query)
        await facts.load()
        unsellable = facts.refusals()
        if not unsellable:
            try:
                return by(query, [facts.of(line) for line in query.lines])
            except CannotPrice as error:
                raise _invalid(error.refusals, pointer) from None
        refused = {refusal.line for refusal in unsellable}
        known = [None if index in refused else facts.of(line) for index, line in enumerate(query.lines)]
        both = [*unsellable, *price_refusals(query, known)]
        raise _invalid(sorted(both, key=lambda one: -1 if one.line is None else one.line), pointer)

    async def violations(self, lines: Sequence[ConfiguredLine]) -> Sequence[Violation]:
        if not lines:
            return []
        return find_violations(lines, await load_rules(self._uow, {line.product_id for line in lines}))


def _invalid(refusals: Sequence[Refusal], pointer: str) -> Invalid:
    """A refusal of the header stands beside the lines."""
    header = pointer.rpartition("/")[0]
    errors = [
        FieldError(
            f"{header if one.line is None else f'{pointer}/{one.line}'}/{one.field}", one.code, one.detail
        )
        for one in refusals
    ]
    return Invalid(errors[0].detail, errors=errors)


_PRICED_BY = """
SELECT p.id FROM catalog.products p
WHERE p.tenant_id = $1 AND p.parent_id = $2 AND p.deleted_at IS NULL AND NOT CASE
  WHEN $4::uuid IS NOT NULL THEN EXISTS (
    SELECT 1 FROM catalog.price_book_entries e WHERE e.tenant_id = $1 AND e.price_book_id = $4
      AND e.product_id = p.id AND e.deleted_at IS NULL)
  WHEN $5::uuid IS NOT NULL OR $6::uuid IS NOT NULL THEN EXISTS (
    SELECT 1 FROM catalog.agreed_prices a WHERE a.tenant_id = $1 AND a.product_id = p.id AND a.currency = $3
      AND a.account_id IS NOT DISTINCT FROM $5 AND a.contract_id IS NOT DISTINCT FROM $6
      AND (a.valid_from IS NULL OR a.valid_from <= $7::date)
      AND (a.valid_until IS NULL OR a.valid_until >= $7::date) AND a.deleted_at IS NULL)
  ELSE p.prices @> jsonb_build_array(jsonb_build_object('currency', $3::text)) END
ORDER BY p.id"""


_TREES = """
WITH RECURSIVE up (id, above) AS (
  SELECT id, id FROM catalog.categories WHERE tenant_id = $1 AND id = ANY($2::uuid[])
  UNION
  SELECT up.id, c.parent_id FROM up
  JOIN catalog.categories c ON c.tenant_id = $1 AND c.id = up.above AND c.parent_id IS NOT NULL
)
SELECT id, array_agg(above) AS above FROM up GROUP BY id"""
