"""Products from files: a price, a cost and a category by their names, and everything looked up a chunk at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from app.kernel.currency_words import code_in, settled
from app.kernel.errors import Problem
from app.kernel.imports.cells import amount_and_currency
from app.kernel.imports.rules import ImportColumn, ImportOptions, ImportRow, ImportRules
from app.kernel.money import InvalidMoney, UnitPrice
from app.modules.catalog.models import Product

if TYPE_CHECKING:
    from app.modules.catalog.services.references import References

PRICE = ImportColumn(
    "price", labels=("Price", "价格"), synonyms=("list price", "unit price", "单价", "标准价格")
)
COST = ImportColumn("cost", labels=("Cost", "单位成本"), synonyms=("unit cost", "成本价"))
CURRENCY = ImportColumn("currency", labels=("Currency", "币种"), synonyms=("price currency", "货币"))
CATEGORY = ImportColumn(
    "category", labels=("Category", "类别"), synonyms=("product category", "产品类别", "分类")
)
_LISTS = {"prices": PRICE, "costs": COST}


class ProductImport(ImportRules):
    """The set-based hooks of `ProductService`."""

    import_columns: ClassVar[tuple[ImportColumn, ...]] = (PRICE, COST, CURRENCY, CATEGORY)
    references: References

    if TYPE_CHECKING:

        async def before_create(self, values: dict[str, Any]) -> None: ...
        async def before_update(self, row: Product, changes: dict[str, Any]) -> None: ...
        def tell_prices(self, id: UUID, before: Sequence[Any], after: Sequence[Any]) -> None: ...

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:  # noqa: ARG002
        """Complete new products."""
        await self._resolve(rows)
        for row in rows:
            await _by_hook(row, self.before_create(row.values))

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        """Complete changes."""
        await self._resolve(rows)
        for row in rows:
            await _by_hook(row, self.before_update(row.existing, row.values))

    async def complete_import_updates(self, rows: Sequence[ImportRow]) -> None:
        """Tell the prices that change."""
        for row in rows:
            if not row.faults and "prices" in row.values:
                self.tell_prices(row.existing.id, row.existing.prices, row.values["prices"])

    async def _resolve(self, rows: Sequence[ImportRow]) -> None:
        """Put prices and ids where the file has amounts and names; refuse rows whose cells mean nothing."""
        names = {row.extras.get(CATEGORY.name, "").strip() for row in rows} - {""}
        found: dict[str, list[UUID]] = {}
        if names:
            for id, name, name_en in await self.uow.fetch(_CATEGORIES, self.uow.tenant_id, list(names)):
                for text in {name, name_en} & names:
                    found.setdefault(text, []).append(id)
        for row in rows:
            name = row.extras.get(CATEGORY.name, "").strip()
            if name and len(found.get(name, ())) == 1:
                _give(row, "category_id", found[name][0])
            elif name:
                detail = f"There is no category {name!r}, or several have that name."
                row.refuse(CATEGORY.name, "unknown_reference", detail)
            for field, column in _LISTS.items():
                self._put_price(row, field, column)
        await self.references.learn(row.values for row in rows)

    def _put_price(self, row: ImportRow, field: str, column: ImportColumn) -> None:
        """The amount in its cell, in the row's currency, beside the prices in other currencies."""
        text = row.extras.get(column.name, "").strip()
        if not text:
            return
        if field in self.uow.actor.readonly("product"):
            row.refuse(column.name, "readonly_field", "Your role may not change this.")
            return
        home = self.uow.actor.tenant.currency
        beside = code_in(row.extras.get(CURRENCY.name, ""), home)
        try:
            amount, named = amount_and_currency(text)
            price = UnitPrice.from_major(amount, settled(named, beside, home))
        except (InvalidMoney, ValueError) as error:
            row.refuse(column.name, "invalid_amount", str(error))
            return
        if price.amount < 0:
            row.refuse(column.name, "negative", "A price is not negative.")
            return
        former = row.values.get(field) if field in row.given else getattr(row.existing, field, [])
        wire = [dict(one) if isinstance(one, dict) else one.to_wire() for one in former or []]
        others = [one for one in wire if one["currency"] != price.currency]
        both = sorted([*others, price.to_wire()], key=lambda one: str(one["currency"]))
        _give(row, field, both)


async def _by_hook(row: ImportRow, checked: Any) -> None:
    try:
        await checked
    except Problem as problem:
        row.refuse_by(problem)


def _give(row: ImportRow, name: str, value: Any) -> None:
    row.values[name] = value
    row.given = row.given | {name}


_CATEGORIES = """
SELECT id, name, name_en FROM catalog.categories
WHERE tenant_id = $1 AND deleted_at IS NULL AND (name = ANY($2::text[]) OR name_en = ANY($2::text[]))"""
