"""Loads what the waterfall computes from, in the same few statements whatever the number of lines.

Many companies have list prices only. Those are asked a statement without price books and agreements, which says
whether there are any by now: then the whole one follows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from app.kernel.listing import Bindings
from app.kernel.money import UnitPrice
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import ChargeKind, HeldAccount, PriceQuery, PriceQueryLine, ProductRef
from app.modules.catalog.models.configuration import ComponentPricing
from app.modules.catalog.models.prices import BookKind, TierKind
from app.modules.catalog.services.waterfall import Agreed, BookPrice, Component, LineFacts, Refusal, Tier
from app.modules.customers.interface import Customers

_NO_TAX = Decimal(0)
_LIST_PRICES_ONLY = "list prices only"


class Facts:
    """What is known of the products of one query."""

    def __init__(self, uow: UnitOfWork, query: PriceQuery, *, hold_account: bool = False) -> None:
        self._uow = uow
        self._query = query
        self._held = query.account_id if hold_account else None
        self.account: HeldAccount | None = None
        self._hidden = "costs" in uow.actor.hidden("product")
        self._products: Mapping[int, Any] = {}  # by the number of the id, which hashes without Python
        self._components: Mapping[tuple[UUID, UUID], Any] = {}

    async def load(self) -> None:
        """Read everything."""
        memory, tenant_id = self._uow.kernel.memory, self._uow.tenant_id
        rows = await self._rows(lists_only=memory.noted(_LIST_PRICES_ONLY, tenant_id))
        if rows:
            memory.note(_LIST_PRICES_ONLY, tenant_id, holds=not rows[0]["other_prices"])
        self._products = {row["id"].int: row for row in rows}
        if rows and any(line.component_of is not None for line in self._query.lines):
            await self._load_components()

    async def _rows(self, *, lists_only: bool) -> Sequence[Any]:
        """The products, with what books and agreements say of them; `lists_only` where there are likely none."""
        query = self._query
        ids = list({line.product_id.int: line.product_id for line in query.lines}.values())
        known = (self._uow.tenant_id, ids, query.on, query.country or self._uow.actor.tenant.country)
        if lists_only:
            rows = await self._asked(_LIST_PRICES, *known)
            if not rows or not rows[0]["other_prices"]:
                return rows
        of_whom = (query.contract_id, query.partner_id, query.segment, query.channel, query.account_id)
        return await self._asked(_FACTS, *known, query.currency, *of_whom)

    async def _asked(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """The rows of a statement, which also finds and holds the account where that is asked for."""
        if self._held is None:
            return await self._uow.fetch(_statement(sql), *arguments)
        bind = Bindings(*arguments)
        account = self._uow.of(Customers).held_account(self._held, bind)
        text = _statement(sql, account, its_country=self._query.country is None)
        rows = await self._uow.fetch(text, *bind.values)
        if rows and rows[0]["account_found"]:
            self.account = HeldAccount(rows[0]["account_country"])
        return rows

    def refusals(self) -> list[Refusal]:
        """What cannot be sold, and components of what is no bundle's line."""
        return [
            refusal
            for index, line in enumerate(self._query.lines)
            if (refusal := self._refusal(index, line)) is not None
        ]

    def of(self, line: PriceQueryLine) -> LineFacts:
        """The facts of one line, whose product is known."""
        row = self._products[line.product_id.int]
        currency = self._query.currency
        priced = _found(row)
        list_price = amount_in(row["prices"], currency)
        if list_price is None and row["parent_prices"]:
            list_price = amount_in(row["parent_prices"], currency)
        cost = cost_in(row, currency)
        return LineFacts(
            product=_product_ref(row, None if cost is None or self._hidden else UnitPrice(cost, currency)),
            list_price=list_price,
            agreed=tuple([_agreed(one, up) for one, up in priced if not one["book_id"]]) if priced else (),
            books=tuple([_book_price(one, up) for one, up in priced if one["book_id"]]) if priced else (),
            component=self._component(line, row),
            sum_of_parts=row["sum_of_parts"],
            tax_rate=_NO_TAX if row["rate"] is None else row["rate"],
            unit_cost=cost,
        )

    def _refusal(self, index: int, line: PriceQueryLine) -> Refusal | None:
        row = self._products.get(line.product_id.int)
        if row is None:
            return Refusal(index, "product_id", "unknown_reference", "There is no product with this id.")
        if row["is_template"]:
            return Refusal(index, "product_id", "choose_variant", "Of this product, variants are sold.")
        if row["status"] != "active" and not line.kept:
            return Refusal(index, "product_id", "not_for_sale", f"This product is {row['status']}.")
        if line.component_of is not None and not self._is_bundle(line.component_of, index):
            return Refusal(index, "component_of", "no_bundle", "There is no bundle's line at this index.")
        return None

    def _is_bundle(self, of: int, index: int) -> bool:
        if not 0 <= of < len(self._query.lines) or of == index:
            return False
        row = self._products.get(self._query.lines[of].product_id.int)
        return row is not None and row["is_bundle"] and self._query.lines[of].component_of is None

    def _component(self, line: PriceQueryLine, row: Any) -> Component | None:
        if line.component_of is None:
            return None
        bundle = self._query.lines[line.component_of].product_id
        for id in (line.product_id, row["parent_id"]):
            found = self._components.get((bundle, id))
            if found is not None:
                fixed = amount_in(found["fixed_prices"], self._query.currency)
                return Component(ComponentPricing(found["pricing"]), fixed)
        return None

    async def _load_components(self) -> None:
        rows = self._products.values()
        family = {row["id"] for row in rows} | {row["parent_id"] for row in rows if row["parent_id"]}
        found = await self._uow.fetch(_COMPONENTS, self._uow.tenant_id, list(family))
        self._components = {(row["bundle_id"], row["product_id"]): row for row in found}


@lru_cache(maxsize=1_000)
def _statement(template: str, account: str | None = None, *, its_country: bool = False) -> str:
    """A statement on products, with the query that finds an account, by `its_country` the taxes are.

    Each row answers whether the account was found, and its country.
    """
    if account is None:
        return template.format(account="", found="", country="$4")
    return template.format(
        account=f"account AS MATERIALIZED ({account}), ",
        found=", EXISTS (SELECT FROM account) AS account_found, (SELECT country FROM account) AS account_country",
        country="coalesce((SELECT country FROM account), $4)" if its_country else "$4",
    )


async def product_rows(uow: UnitOfWork, ids: Collection[UUID], *, hold: bool = False) -> dict[UUID, Any]:
    """Products by id with what they take from their parents; with `hold` nobody deletes them meanwhile."""
    holding = " ORDER BY p.id FOR KEY SHARE OF p" if hold and not uow.read_only else ""
    rows = await uow.fetch(_PRODUCTS + holding, uow.tenant_id, list(ids))
    return {row["id"]: row for row in rows}


def product_ref(row: Any, currency: str, *, hidden: bool) -> ProductRef:
    """A product as others see it; `cost` in `currency`, where it is known and not hidden."""
    cost = None if hidden else cost_in(row, currency)
    return _product_ref(row, None if cost is None else UnitPrice(cost, currency))


def _product_ref(row: Any, cost: UnitPrice | None) -> ProductRef:
    return ProductRef(
        id=row["id"],
        code=row["code"],
        name=row["name"],
        name_en=row["name_en"],
        unit=row["unit"],
        status=row["status"],
        category_id=row["category_id"],
        tax_class=row["tax_class"],
        charge=ChargeKind(row["charge"]),
        stocked=row["stocked"],
        is_bundle=row["is_bundle"],
        warranty_months=row["warranty_months"],
        cost=cost,
    )


def cost_in(row: Any, currency: str) -> Decimal | None:
    """What one unit costs us; a variant without costs of its own has its parent's."""
    return amount_in(row["costs"] or row["parent_costs"] or (), currency)


def amount_in(prices: Sequence[Mapping[str, str]], currency: str) -> Decimal | None:
    """The price in this currency."""
    for one in prices:
        if one["currency"] == currency:
            return Decimal(one["amount"])
    return None


def _found(row: Any) -> list[tuple[Any, bool]]:
    """What price books and agreements say of a product, and whether each says it of its parent."""
    own, above = row["priced"], row["parent_priced"]
    if not own and not above:
        return []
    return [(one, False) for one in own or ()] + [(one, True) for one in above or ()]


def _agreed(row: Any, of_parent: bool) -> Agreed:
    return Agreed(
        price=Decimal(row["price"]),
        in_contract=row["kind"] == "contract",
        valid_from=date.fromisoformat(row["valid_from"]) if row["valid_from"] else None,
        of_parent=of_parent,
    )


def _book_price(row: Any, of_parent: bool) -> BookPrice:
    return BookPrice(
        book_id=UUID(row["book_id"]),
        code=row["code"],
        kind=BookKind(row["kind"]),
        priority=row["priority"],
        price=Decimal(row["price"]),
        tier_kind=TierKind(row["tier_kind"]),
        tiers=tuple(Tier(Decimal(one["from_quantity"]), Decimal(one["price"])) for one in row["tiers"]),
        of_parent=of_parent,
    )


# A parent is found by its id, product by product: where statistics know one company, a join would read all products.
_PRODUCTS = """
SELECT p.id, p.code, p.name, p.name_en, p.unit, p.status, p.category_id, p.tax_class, p.charge, p.stocked,
  p.is_bundle, p.warranty_months, p.prices, p.costs, p.parent_id, p.options <> '[]' AS is_template,
  u.prices AS parent_prices, u.costs AS parent_costs,
  p.is_bundle AND EXISTS (SELECT 1 FROM catalog.bundle_components c WHERE c.tenant_id = p.tenant_id
    AND c.bundle_id = p.id AND c.pricing <> 'included') AS sum_of_parts
FROM catalog.products p
LEFT JOIN LATERAL (SELECT prices, costs FROM catalog.products
  WHERE tenant_id = p.tenant_id AND id = p.parent_id OFFSET 0) u ON true
WHERE p.tenant_id = $1 AND p.id = ANY($2::uuid[]) AND p.deleted_at IS NULL"""

_RATES = """rates AS MATERIALIZED (
  SELECT c.tax_class, (SELECT r.rate FROM catalog.tax_rates r WHERE r.tenant_id = $1 AND r.tax_class = c.tax_class
    AND r.country = {country} AND r.valid_from <= $3::date ORDER BY r.valid_from DESC LIMIT 1) AS rate
  FROM (SELECT DISTINCT tax_class FROM p WHERE tax_class IS NOT NULL) c
)"""
_OTHER_PRICES = """EXISTS (SELECT 1 FROM catalog.price_book_entries e WHERE e.tenant_id = $1)
  OR EXISTS (SELECT 1 FROM catalog.agreed_prices a WHERE a.tenant_id = $1) AS other_prices"""

# Of these two, `_statement` makes what is asked.
_LIST_PRICES = f"""
WITH {{account}}p AS MATERIALIZED ({_PRODUCTS}
), {_RATES}
SELECT p.*, NULL::jsonb AS priced, NULL::jsonb AS parent_priced, rates.rate, {_OTHER_PRICES}{{found}}
FROM p LEFT JOIN rates ON rates.tax_class = p.tax_class"""

# What products and their parents cost in price books and by agreement, and the tax on them. Exact amounts are texts.
_FACTS = f"""
WITH {{account}}p AS MATERIALIZED ({_PRODUCTS}
), family AS MATERIALIZED (
  SELECT ARRAY(SELECT id FROM p UNION SELECT parent_id FROM p WHERE parent_id IS NOT NULL) AS ids
), prices AS MATERIALIZED (
  SELECT f.product_id, jsonb_agg(to_jsonb(f) - 'product_id') AS found FROM (
    SELECT e.product_id, b.id AS book_id, b.code, b.kind, b.priority, e.price::text, e.tier_kind, e.tiers,
      b.valid_from
    FROM catalog.price_book_entries e
    JOIN catalog.price_books b ON b.tenant_id = e.tenant_id AND b.id = e.price_book_id
    WHERE e.tenant_id = $1 AND e.product_id = ANY((SELECT ids FROM family)::uuid[]) AND e.deleted_at IS NULL
      AND b.deleted_at IS NULL AND b.active AND b.currency = $5
      AND (b.valid_from IS NULL OR b.valid_from <= $3::date)
      AND (b.valid_until IS NULL OR b.valid_until >= $3::date)
      AND (b.kind = 'default' OR b.contract_id = $6::uuid OR b.partner_id = $7::uuid OR b.segment = $8::text
        OR b.channel = $9::text)
    UNION ALL
    SELECT a.product_id, NULL, NULL, CASE WHEN a.contract_id IS NULL THEN 'account' ELSE 'contract' END, NULL,
      a.price::text, NULL, NULL, a.valid_from
    FROM catalog.agreed_prices a
    WHERE a.tenant_id = $1 AND a.product_id = ANY((SELECT ids FROM family)::uuid[]) AND a.deleted_at IS NULL
      AND a.currency = $5 AND (a.valid_from IS NULL OR a.valid_from <= $3::date)
      AND (a.valid_until IS NULL OR a.valid_until >= $3::date)
      AND (a.contract_id = $6::uuid OR a.account_id = $10::uuid)
  ) f GROUP BY f.product_id
), {_RATES}
SELECT p.*, own.found AS priced, up.found AS parent_priced, rates.rate, {_OTHER_PRICES}{{found}}
FROM p
LEFT JOIN prices own ON own.product_id = p.id
LEFT JOIN prices up ON up.product_id = p.parent_id
LEFT JOIN rates ON rates.tax_class = p.tax_class"""

_COMPONENTS = """
SELECT bundle_id, product_id, pricing, fixed_prices FROM catalog.bundle_components
WHERE tenant_id = $1 AND bundle_id = ANY($2::uuid[]) AND product_id = ANY($2::uuid[])"""
