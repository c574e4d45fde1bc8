"""What other modules may know of the catalogue: products, what they cost whom, and which go together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event
from app.kernel.money import UnitPrice
from app.kernel.totals import Totals


class ChargeKind(StrEnum):
    """How often a product is charged: once, or again for each period."""

    ONE_TIME = "one_time"
    MONTHLY = "monthly"
    YEARLY = "yearly"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRef:
    """A product, or a variant of one, as others show and copy it. `cost` is None where the actor may not see it."""

    id: UUID
    code: str
    name: str
    name_en: str | None
    unit: str
    status: str  # draft | active | end_of_sale
    category_id: UUID | None
    tax_class: str | None
    charge: ChargeKind
    stocked: bool
    is_bundle: bool
    warranty_months: int | None
    cost: UnitPrice | None

    def name_in(self, language: str, written: str | None = None) -> str:
        """What a document in this language calls it; what somebody `written` besides its names stays."""
        if written and written not in (self.name, self.name_en):
            return written
        return (self.name_en or self.name) if language == "en" else self.name


class PriceSource(StrEnum):
    """Where a unit price came from."""

    LIST = "list"
    AGREED = "agreed"  # for this account or contract
    PRICE_BOOK = "price_book"
    ENTERED = "entered"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceQueryLine:
    """One line to price. An entered `unit_price` beats every list; `discount_amount` is in minor units.

    `component_of` is the index of the bundle's line that this one is a component of. A `kept` line stands in a
    document already: it stays sellable although its product is not any more.
    """

    product_id: UUID
    quantity: Decimal
    unit_price: Decimal | None = None
    discount_percent: Decimal = Decimal(0)
    discount_amount: int = 0
    component_of: int | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceQuery:
    """What is priced for whom. `on` is the day in the tenant's zone; `country` decides the tax rates."""

    currency: str
    on: date
    lines: tuple[PriceQueryLine, ...]
    account_id: UUID | None = None
    contract_id: UUID | None = None
    partner_id: UUID | None = None
    segment: str | None = None
    channel: str | None = None
    country: str | None = None
    discount_percent: Decimal = Decimal(0)
    discount_amount: int = 0
    tax_included: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """One step of the waterfall: what the unit, or the line, came to after it.

    `kind` is list, agreed, price_book, tier, entered, included, fixed, line_discount, header_discount, net, tax or
    total; `detail` names the price book, the tier or the percentage. `amount` is in major units.
    """

    kind: str
    amount: Decimal
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedLine:
    """A line's price; its amounts stand at the same index of the pricing's `totals.lines`.

    `gross` is the exact price of the whole quantity where it is not quantity x unit price (slab tiers).
    `unit_cost` is what one unit costs us in the query's currency, whoever asks: to be kept and computed with, not for
    showing; `product.cost` is the one that the actor may see.
    """

    product: ProductRef
    quantity: Decimal
    list_price: Decimal | None
    unit_price: Decimal
    gross: Decimal | None
    source: PriceSource
    price_book_id: UUID | None
    tax_rate: Decimal
    steps: tuple[PriceStep, ...]
    unit_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class HeldAccount:
    """An account that nobody deletes before this transaction ends; no `country` where the actor may not read it."""

    country: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """What a query came to: its lines in order, and their totals."""

    lines: tuple[PricedLine, ...]
    totals: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredLine:
    """A line as configuration rules see it; `component_of` as in a price query."""

    product_id: UUID
    quantity: Decimal
    component_of: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A configuration rule that lines break. `line` is the index of the line to blame, None for all of them.

    `code` is requires, excludes, quantity, component_missing, component_quantity, component_unknown …
    """

    line: int | None
    code: str
    message: str
    rule_id: UUID | None = None


class Catalog(Protocol):
    """Products and prices of the tenant at hand."""

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ProductRef]:
        """Products by id; unknown ids are absent. With `hold` they are not deleted before this transaction ends."""

    async def names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """Names by id, deleted ones too: for lists that show a name beside their own rows."""

    async def category_names(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """Names of categories by id; unknown and deleted ones are absent."""

    async def category_trees(self, ids: Collection[UUID]) -> Mapping[UUID, frozenset[UUID]]:
        """Each category with all that it stands below; unknown ones are absent. One statement."""

    async def priced_by(
        self,
        product_id: UUID,
        currency: str,
        *,
        price_book_id: UUID | None = None,
        account_id: UUID | None = None,
        contract_id: UUID | None = None,
    ) -> Sequence[UUID]:
        """The product itself, and those of its variants that take its price because they have none of their own.

        It is the list price, or the one in this book, or the one agreed with this account or contract. One statement.
        """

    async def by_code(self, codes: Collection[str]) -> Mapping[str, UUID]:
        """Product ids by code (SKU), for imports and intake; unknown codes are absent."""

    async def price(self, query: PriceQuery, *, pointer: str = "/lines") -> Pricing:
        """Price and total all lines, in a number of statements that does not depend on how many there are.

        Raises: `Invalid` at `{pointer}/{index}/…` for an unknown or not sellable product, a discount beyond the
        price, and a product without a price in this currency (error `no_price`); all refusals at once.
        """

    async def prices(self, query: PriceQuery, *, pointer: str = "/lines") -> Sequence[PricedLine]:
        """As `price`, the lines alone, whose steps end with the unit's price: for those who total by themselves."""

    async def prices_for_account(
        self, query: PriceQuery, *, pointer: str = "/lines"
    ) -> tuple[Sequence[PricedLine], HeldAccount | None]:
        """As `prices`, and the query's account, found and held by the same statement; None where there is none that
        the actor sees.

        Taxes are those of its country where the query names no country. Raises `Forbidden` for who may not read
        accounts.
        """

    async def violations(self, lines: Sequence[ConfiguredLine]) -> Sequence[Violation]:
        """Every configuration and bundle rule that the lines break; empty when they go together."""


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """Whose contract it is, whether its prices hold (`in_force`), and whether they ever will again (not `over`)."""

    account_id: UUID
    in_force: bool
    over: bool


class PricedContracts(Protocol):
    """Port: the contracts in which prices are agreed."""

    async def terms(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ContractTerms]:
        """Of contracts that the actor sees; others are absent. With `hold` they are not deleted meanwhile."""


class ProductUser(Protocol):
    """Port: a module whose records name products and keep them from being deleted."""

    async def uses(self, product_id: UUID) -> Mapping[str, int]:
        """How many live records of each kind name the product."""


class ProductInUse(Conflict):
    """`used_by` counts what refers to the product; one that is not sold any more goes to the end of sale instead."""

    code = "product_in_use"
    title = "Other records refer to this product"


class OptionInUse(Conflict):
    """Carries `variants`, how many of them have values that the change would take away."""

    code = "option_in_use"
    title = "Variants of this product use these options"


class CategoryLoop(Conflict):
    code = "category_loop"
    title = "A category cannot stand below itself"


class CategoryTooDeep(Conflict):
    """Carries `levels`, how many there may be."""

    code = "category_too_deep"
    title = "Categories would have more levels than allowed"


class CatalogEntryInUse(Conflict):
    """A unit, tax class, category or price book is still used; `used_by` counts by what."""

    code = "catalog_entry_in_use"
    title = "Other records of the catalogue use this"


class ProductPriceChanged(Event):
    """A price of a product changed: its list price, its price in a price book, or one agreed (`agreed_price_id`).

    Prices are of one unit, in major units; null where there is none. A book's are those below its first tier.
    """

    type: ClassVar[str] = "catalog.product.price_changed.v1"
    object: ClassVar[str] = "product"

    product_id: UUID
    price_book_id: UUID | None
    currency: str
    former: str | None
    price: str | None
    agreed_price_id: UUID | None = None
    account_id: UUID | None = None
    contract_id: UUID | None = None
