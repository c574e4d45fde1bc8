"""Price books and their entries: who pays what, in one currency, from when to when, and for how many."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.errors import Invalid, Problem
from app.kernel.imports.references import place_ids, texts_of
from app.kernel.imports.rules import ImportColumn, ImportOptions, ImportRow, ImportRules
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import by_texts
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import CatalogEntryInUse, ProductPriceChanged
from app.modules.catalog.models.prices import BookKind, PriceBook, PriceBookEntry
from app.modules.catalog.schemas.prices import (
    PriceBookCreate,
    PriceBookEntryCreate,
    PriceBookEntryRead,
    PriceBookEntryUpdate,
    PriceBookRead,
    PriceBookUpdate,
    PriceTier,
)
from app.modules.catalog.services.categories import KEPT_BY_MANAGERS
from app.modules.catalog.services.contract_terms import require_contract

_KEYS = {
    BookKind.CONTRACT: "contract_id",
    BookKind.PARTNER: "partner_id",
    BookKind.SEGMENT: "segment",
    BookKind.CHANNEL: "channel",
}
BOOK = ImportColumn("price_book", labels=("Price book", "价格表"), synonyms=("price book code", "价格表编码"))
_LEFT_OPEN = ("price_book_id", "product_id")
PRODUCT = ImportColumn("product", labels=("Product", "产品"), synonyms=("sku", "product code", "产品编码"))


class PriceBookService(RecordService[PriceBook]):
    """Price books; one that has entries keeps its currency."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        check_book(values)
        if values["contract_id"] is not None:
            await require_contract(self.uow, values["contract_id"])

    async def before_update(self, row: PriceBook, changes: dict[str, Any]) -> None:
        check_book({**row.__dict__, **changes})
        contract = changes.get("contract_id")
        if contract is not None and contract != row.contract_id:
            await require_contract(self.uow, contract)
        if changes.get("currency", row.currency) != row.currency and await self._entries(row.id):
            raise Invalid.at("/currency", "has_entries", "A price book with entries keeps its currency.")

    async def before_delete(self, row: PriceBook) -> None:
        """Raises `CatalogEntryInUse` while it has entries: what nobody should pay any more is made inactive."""
        await self.uow.fetch(
            "SELECT 1 FROM catalog.price_books WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
            row.tenant_id,
            row.id,
        )
        count = await self._entries(row.id)
        if count:
            raise CatalogEntryInUse(f"It has {count} entries.", used_by={"price_book_entries": count})

    async def _entries(self, id: UUID) -> int:
        found = await self.uow.fetchrow(
            "SELECT count(*) FROM catalog.price_book_entries"
            " WHERE tenant_id = $1 AND price_book_id = $2 AND deleted_at IS NULL",
            self.uow.tenant_id,
            id,
        )
        return int(found[0]) if found else 0


def check_book(values: Mapping[str, Any]) -> None:
    """A book has the key of its kind and no other, and ends after it begins. Raises `Invalid`."""
    own = _KEYS.get(BookKind(values["kind"]))
    for name in _KEYS.values():
        if (values.get(name) is not None) != (name == own):
            detail = f"A book of kind {values['kind']} has {'its' if name == own else 'no'} {name}."
            raise Invalid.at(f"/{name}", "wrong_key", detail)
    check_validity(values)


def check_validity(values: Mapping[str, Any]) -> None:
    """Raises `Invalid`."""
    start, end = values.get("valid_from"), values.get("valid_until")
    if start is not None and end is not None and end < start:
        raise Invalid.at("/valid_until", "before_start", "It ends before it begins.")


class PriceBookEntryService(ImportRules, RecordService[PriceBookEntry]):
    """Entries: one for each product in a book, in its currency."""

    record: ClassVar[RecordType[Any]]
    import_columns: ClassVar[tuple[ImportColumn, ...]] = (BOOK, PRODUCT)

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self._currencies: dict[UUID, str] = {}
        self._products: set[UUID] = set()

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Without the book and the product that are left open: files name them by their codes."""
        return super()._columns({n: v for n, v in given.items() if v is not None or n not in _LEFT_OPEN})

    async def before_create(self, values: dict[str, Any]) -> None:
        for name in _LEFT_OPEN:
            if name not in values:
                raise Invalid.at(f"/{name}", "required", "An entry is a product's price in a price book.")
        await self._learn([values])
        book, product = values["price_book_id"], values["product_id"]
        if book not in self._currencies:
            raise Invalid.at("/price_book_id", "unknown_reference", "There is no price book with this id.")
        if product not in self._products:
            raise Invalid.at("/product_id", "unknown_reference", "There is no product with this id.")
        values |= {"currency": self._currencies[book], "tiers": tiers_as_stored(values["tiers"])}

    async def after_create(self, row: PriceBookEntry) -> None:
        self._tell(row, None, row.price)

    async def change(
        self, row: PriceBookEntry, given: Mapping[str, Any], *, action: str = "updated"
    ) -> PriceBookEntry:
        """As every record; neither the book nor the product can be emptied."""
        for name in _LEFT_OPEN:
            if name in given and given[name] is None:
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        return await super().change(row, given, action=action)

    async def before_update(self, row: PriceBookEntry, changes: dict[str, Any]) -> None:
        for name in ("price_book_id", "product_id"):
            if changes.get(name, getattr(row, name)) != getattr(row, name):
                raise Invalid.at(f"/{name}", "immutable", "An entry stays with its product and its book.")
        if "tiers" in changes:
            changes["tiers"] = tiers_as_stored(changes["tiers"])

    async def after_update(self, before: PriceBookEntry, after: PriceBookEntry) -> None:
        if any(getattr(before, name) != getattr(after, name) for name in _PRICES):
            self._tell(after, before.price, after.price)

    async def before_delete(self, row: PriceBookEntry) -> None:
        self._tell(row, row.price, None)

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:  # noqa: ARG002
        await self._resolve(rows)
        for row in rows:
            if not row.faults:
                await _by_hook(row, self.before_create(row.values))

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        await self._resolve(rows)
        for row in rows:
            await _by_hook(row, self.before_update(row.existing, row.values))

    async def complete_import_updates(self, rows: Sequence[ImportRow]) -> None:
        for row in rows:
            former = row.existing
            changed = any(
                row.values.get(name, getattr(former, name)) != getattr(former, name) for name in _PRICES
            )
            if changed and not row.faults:
                self._tell(former, former.price, row.values.get("price", former.price))

    async def _resolve(self, rows: Sequence[ImportRow]) -> None:
        """Put ids where the file has codes, and look up what all rows name."""
        for column, name, table in (
            (BOOK, "price_book_id", "price_books"),
            (PRODUCT, "product_id", "products"),
        ):
            codes = texts_of(rows, column)
            place_ids(rows, column, name, await ids_by_code(self.uow, table, codes) if codes else {})
        await self._learn([row.values for row in rows])

    async def _learn(self, many: Sequence[Mapping[str, Any]]) -> None:
        """Currencies of books, and products, held so that nobody deletes them meanwhile; one statement each."""
        books = {values["price_book_id"] for values in many if values.get("price_book_id")}
        if books - self._currencies.keys():
            rows = await self.uow.fetch(_BOOKS, self.uow.tenant_id, list(books - self._currencies.keys()))
            self._currencies |= {row["id"]: row["currency"] for row in rows}
        products = {values["product_id"] for values in many if values.get("product_id")}
        if products - self._products:
            self._products |= await held_products(self.uow, products - self._products)

    def _tell(self, row: PriceBookEntry, former: Any, price: Any) -> None:
        tell_book_price(self.uow, row, former, price)


def tell_book_price(uow: UnitOfWork, row: Any, former: Any, price: Any) -> None:
    """Publish that a product's price in a book came, changed or went."""
    uow.publish(
        ProductPriceChanged(
            id=row.product_id,
            product_id=row.product_id,
            price_book_id=row.price_book_id,
            currency=row.currency,
            former=None if former is None else decimal_text(former),
            price=None if price is None else decimal_text(price),
        )
    )


async def held_products(uow: UnitOfWork, ids: Collection[UUID]) -> set[UUID]:
    """Those that are there; nobody deletes them before this transaction ends."""
    rows = await uow.fetch(
        "SELECT id FROM catalog.products WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND deleted_at IS NULL"
        " ORDER BY id FOR KEY SHARE",
        uow.tenant_id,
        list(ids),
    )
    return {row["id"] for row in rows}


async def ids_by_code(uow: UnitOfWork, table: str, codes: Collection[str]) -> dict[str, UUID]:
    """Ids of products or price books by their codes."""
    rows = await uow.fetch(by_texts(f"catalog.{table}", "code", "t.id"), uow.tenant_id, list(codes))
    return {row["code"]: row["id"] for row in rows}


def tiers_as_stored(tiers: Sequence[PriceTier | dict[str, str]]) -> list[dict[str, str]]:
    """Tiers as JSON, decimals as text."""
    return [
        one
        if isinstance(one, dict)
        else {"from_quantity": decimal_text(one.from_quantity), "price": decimal_text(one.price)}
        for one in tiers
    ]


async def _by_hook(row: ImportRow, checked: Any) -> None:
    try:
        await checked
    except Problem as problem:
        row.refuse_by(problem)


_PRICES = ("price", "tier_kind", "tiers")
_BOOKS = """
SELECT id, currency FROM catalog.price_books
WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND deleted_at IS NULL ORDER BY id FOR KEY SHARE"""

PRICE_BOOK: RecordType[PriceBook] = RecordType(
    object="price_book",
    plural="price_books",
    module="catalog",
    model=PriceBook,
    read=PriceBookRead,
    create=PriceBookCreate,
    update=PriceBookUpdate,
    service=PriceBookService,
    search=Search(names=("code", "name", "name_en")),
    default_sort=(("name", False),),
    upsert_keys=("external_id", "code"),
    default_scopes=KEPT_BY_MANAGERS,
)
PriceBookService.record = PRICE_BOOK

PRICE_BOOK_ENTRY: RecordType[PriceBookEntry] = RecordType(
    object="price_book_entry",
    plural="price_book_entries",
    module="catalog",
    model=PriceBookEntry,
    read=PriceBookEntryRead,
    create=PriceBookEntryCreate,
    update=PriceBookEntryUpdate,
    service=PriceBookEntryService,
    title="id",
    labels={"price": ("unit price", "价格", "单价"), "tiers": ("阶梯",), "tier_kind": ("阶梯方式",)},
    default_scopes=KEPT_BY_MANAGERS,
)
PriceBookEntryService.record = PRICE_BOOK_ENTRY
