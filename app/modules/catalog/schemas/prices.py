"""The wire shapes of price books, agreed prices, and of carts that are priced."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.countries import Country
from app.kernel.decimals import DecimalOut
from app.kernel.money import Currency, MoneyIn, MoneyOut, UnitPriceOut
from app.kernel.schemas import Input, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.kernel.totals import TaxRead
from app.modules.catalog.interface import PriceSource
from app.modules.catalog.models.prices import BookKind, TierKind
from app.modules.catalog.schemas import Code, Day, PriceNumber, Quantity, Share

MAX_TIERS = 50
MAX_CART = 1_000
GroupName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Field(examples=["retail"])
]


class PriceBookCreate(RecordInput):
    """A list of prices in one currency, for whoever `kind` and its key name."""

    code: Code
    name: ShortText
    name_en: ShortText | None = None
    currency: Currency
    kind: BookKind = BookKind.DEFAULT
    contract_id: UUID | None = Field(None, description="Of kind `contract`: whose prices these are.")
    partner_id: UUID | None = Field(
        None,
        description="Of kind `partner`: who sells at these prices, by an id of yours that is not looked up.",
    )
    segment: GroupName | None = Field(None, description="Of kind `segment`: the accounts' segment.")
    channel: GroupName | None = Field(None, description="Of kind `channel`: the channel of sale.")
    valid_from: Day | None = None
    valid_until: Day | None = Field(None, description="The last day.")
    priority: int = Field(100, ge=0, le=1_000_000, description="Among books of one kind the smallest first.")
    active: bool = True


PriceBookUpdate = patch_of(PriceBookCreate)


class PriceBookRead(RecordOutput):
    """A price book."""

    code: str
    name: str
    name_en: str | None
    currency: str
    kind: BookKind
    contract_id: UUID | None
    partner_id: UUID | None
    segment: str | None
    channel: str | None
    valid_from: date | None
    valid_until: date | None
    priority: int
    active: bool


class PriceTier(Input):
    """The price of one unit from a quantity on, in the book's currency."""

    from_quantity: Quantity
    price: PriceNumber


class PriceTierRead(Output):
    """The price of one unit from a quantity on."""

    from_quantity: DecimalOut
    price: DecimalOut


def _rising(tiers: list[PriceTier]) -> list[PriceTier]:
    bounds = [tier.from_quantity for tier in tiers]
    if any(bound <= 0 for bound in bounds) or sorted(set(bounds)) != bounds:
        raise PydanticCustomError(
            "tiers_not_rising", "Each tier begins above nothing and above the one before"
        )
    return tiers


Tiers = Annotated[list[PriceTier], Field(max_length=MAX_TIERS), AfterValidator(_rising)]
_TIER_KIND = (
    "`range`: the whole quantity at the price of the tier that it reaches. "
    "`slab`: what exceeds a tier's quantity at that tier's price, what is below at the prices before."
)


class PriceBookEntryCreate(RecordInput):
    """A product's price in a price book; tiers change it with the quantity."""

    price_book_id: UUID | None = Field(None, description="Needed.")
    product_id: UUID | None = Field(None, description="Needed.")
    price: PriceNumber = Field(description="Of one unit, in the book's currency, below the first tier.")
    tier_kind: TierKind = Field(TierKind.RANGE, description=_TIER_KIND)
    tiers: Tiers = Field(default_factory=list)


PriceBookEntryUpdate = patch_of(PriceBookEntryCreate)


class PriceBookEntryRead(RecordOutput):
    """A product's price in a price book."""

    price_book_id: UUID
    product_id: UUID
    currency: str
    price: DecimalOut
    tier_kind: TierKind
    tiers: list[PriceTierRead]


class AgreedPriceCreate(RecordInput):
    """What one account, or one contract, pays for a product: it goes before every list."""

    product_id: UUID
    account_id: UUID | None = None
    contract_id: UUID | None = None
    currency: Currency
    price: PriceNumber
    valid_from: Day | None = None
    valid_until: Day | None = Field(None, description="The last day.")


AgreedPriceUpdate = patch_of(AgreedPriceCreate)


class AgreedPriceRead(RecordOutput):
    """A price agreed with an account or in a contract."""

    product_id: UUID
    account_id: UUID | None
    contract_id: UUID | None
    currency: str
    price: DecimalOut
    valid_from: date | None
    valid_until: date | None


class EntryInput(Input):
    """One product's price, to be set in a book. The product is named by id or by code."""

    product_id: UUID | None = None
    product_code: Code | None = None
    price: PriceNumber
    tier_kind: TierKind = Field(TierKind.RANGE, description=_TIER_KIND)
    tiers: Tiers = Field(default_factory=list)

    @model_validator(mode="after")
    def _named_once(self) -> EntryInput:
        if (self.product_id is None) == (self.product_code is None):
            raise PydanticCustomError("one_name", "A product is named by its id or by its code")
        return self


class EntriesInput(Input):
    """Prices of many products, all or none."""

    entries: Annotated[list[EntryInput], Field(min_length=1, max_length=1_000)]


class EntriesSet(Output):
    """What setting them changed."""

    created: int
    updated: int
    unchanged: int


# -- pricing a cart ------------------------------------------------------------------------------------------


class CartLine(Input):
    """One line to price. An entered `unit_price` beats every list."""

    product_id: UUID
    quantity: Quantity
    unit_price: PriceNumber | None = None
    discount_percent: Share = Decimal(0)
    discount_amount: MoneyIn | None = None
    component_of: int | None = Field(
        None, ge=0, description="The index of the bundle's line that this one is a component of."
    )


class Cart(Input):
    """What is to be priced, and for whom."""

    currency: Currency
    lines: Annotated[list[CartLine], Field(min_length=1, max_length=MAX_CART)]
    on: Day | None = Field(None, description="The day that prices and tax rates are those of; absent, today.")
    account_id: UUID | None = None
    contract_id: UUID | None = Field(None, description="One in force, of the account if one is named.")
    partner_id: UUID | None = Field(
        None, description="Whose price books count: an id of yours, which is compared and not looked up."
    )
    segment: GroupName | None = None
    channel: GroupName | None = None
    country: Country | None = Field(None, description="Whose taxes are due; absent, the company's own.")
    discount_percent: Share = Decimal(0)
    discount_amount: MoneyIn | None = None
    tax_included: bool = Field(False, description="Whether prices hold the tax already.")


class PriceStepRead(Output):
    """What the unit, or the line, came to after this step, in major units."""

    kind: str
    amount: DecimalOut
    detail: str | None


class PricedLineRead(Output):
    """A line's price, step by step. `cost` and `margin` are null where unknown or hidden from you."""

    product_id: UUID
    product_code: str
    product_name: str
    quantity: DecimalOut
    list_price: UnitPriceOut | None
    unit_price: UnitPriceOut
    source: PriceSource
    price_book_id: UUID | None
    tax_rate: DecimalOut
    gross: MoneyOut
    discount: MoneyOut
    subtotal: MoneyOut
    header_discount: MoneyOut
    net: MoneyOut
    tax: MoneyOut
    total: MoneyOut
    cost: MoneyOut | None
    margin: MoneyOut | None
    steps: list[PriceStepRead]


class ViolationRead(Output):
    """A rule that the lines break; `line` is the index of the one to blame, null for all of them."""

    line: int | None
    code: str
    message: str
    rule_id: UUID | None


class PricedCart(Output):
    """A cart with its prices, totals and whatever does not go together in it."""

    currency: str
    lines: list[PricedLineRead]
    gross: MoneyOut
    discount: MoneyOut
    subtotal: MoneyOut
    header_discount: MoneyOut
    net: MoneyOut
    tax: MoneyOut
    total: MoneyOut
    margin: MoneyOut | None = Field(
        description="Null where the cost of a line is unknown or hidden from you."
    )
    taxes: list[TaxRead]
    violations: list[ViolationRead]
