"""The wire shapes of products, their categories, units and taxes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from app.kernel.countries import Country
from app.kernel.decimals import DecimalOut, decimal_text
from app.kernel.money import UnitPrice, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.catalog.interface import ChargeKind
from app.modules.catalog.models import ProductStatus

MAX_PRICES = 50
MAX_OPTIONS = 6
MAX_VALUES = 50


def decimal_in(pattern: str, example: str) -> tuple[Any, Any]:
    """How a plain decimal number is read from text, and how the document describes that."""
    fits = re.compile(pattern)

    def read(value: Any) -> Decimal:
        if isinstance(value, Decimal):
            return value
        if not isinstance(value, str) or fits.fullmatch(value) is None:
            raise PydanticCustomError(
                "invalid_decimal", "A plain decimal number as text, such as {example}", {"example": example}
            )
        return Decimal(decimal_text(Decimal(value)))

    return BeforeValidator(read), WithJsonSchema(
        {"type": "string", "pattern": pattern, "examples": [example]}
    )


PriceNumber = Annotated[Decimal, *decimal_in(r"^[0-9]{1,12}(\.[0-9]{1,8})?$", "99.50")]
"""A price of one unit in major units, to eight decimals."""
Quantity = Annotated[Decimal, *decimal_in(r"^[0-9]{1,12}(\.[0-9]{1,6})?$", "3")]
"""A plain decimal number as text, to six decimals."""
Share = Annotated[Decimal, *decimal_in(r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)$", "13")]
"""Percent as text, 0 to 100, to four decimals."""

Code = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
"""A product's code or SKU, as it is printed; capitals differ."""
_KEY = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,39}$"), Field(examples=["standard"])]


def _plausible(day: date) -> date:
    if not 1900 <= day.year < 2200:
        raise PydanticCustomError("implausible_date", "A date lies between the years 1900 and 2200")
    return day


Day = Annotated[date, AfterValidator(_plausible)]


def _one_per_currency(prices: Sequence[UnitPrice]) -> list[UnitPrice]:
    if any(price.amount < 0 for price in prices):
        raise PydanticCustomError("negative", "A price is not negative")
    if len({price.currency for price in prices}) < len(prices):
        raise PydanticCustomError("one_per_currency", "One price for each currency")
    return sorted(prices, key=lambda price: price.currency)


Prices = Annotated[list[UnitPriceIn], Field(max_length=MAX_PRICES), AfterValidator(_one_per_currency)]
"""At most one unit price for each currency."""


class OptionValue(Input):
    """One choice of an option: red."""

    key: Key
    name: ShortText
    name_en: ShortText | None = None


class ProductOption(Input):
    """What variants of a product differ in: colour, with its choices."""

    key: Key
    name: ShortText
    name_en: ShortText | None = None
    values: Annotated[list[OptionValue], Field(min_length=1, max_length=MAX_VALUES)]


def _distinct(options: list[ProductOption]) -> list[ProductOption]:
    for keys in ([one.key for one in options], *([v.key for v in one.values] for one in options)):
        if len(set(keys)) < len(keys):
            raise PydanticCustomError(
                "repeated_key", "Options, and the values of one, have keys of their own"
            )
    return options


Options = Annotated[list[ProductOption], Field(max_length=MAX_OPTIONS), AfterValidator(_distinct)]


def _keys(values: dict[str, str]) -> dict[str, str]:
    if not all(_KEY.fullmatch(text) for pair in values.items() for text in pair):
        raise PydanticCustomError("invalid_key", "Options and values are named by their keys")
    return values


OptionChoice = Annotated[dict[str, str], Field(max_length=MAX_OPTIONS), AfterValidator(_keys)]


class ProductCreate(RecordInput):
    """A new product, or with `parent_id` a new variant of one, which takes unit, charge and stock from it."""

    code: Code
    name: ShortText
    name_en: ShortText | None = None
    description: LongText | None = None
    unit: Key = Field("piece", description="The code of a unit.")
    category_id: UUID | None = None
    tax_class: Key | None = Field(None, description="The code of a tax class; without one no tax is due.")
    charge: ChargeKind = ChargeKind.ONE_TIME
    stocked: bool = Field(False, description="Whether it is kept on hand, so that orders reserve it.")
    prices: Prices = Field(default_factory=list, description="The list price in each currency.")
    costs: Prices = Field(default_factory=list, description="What one unit costs us, in each currency.")
    warranty_months: int | None = Field(None, ge=0, le=1200)
    options: Options = Field(
        default_factory=list, description="With options it is a template, of which only variants are sold."
    )

    status: ProductStatus = Field(
        ProductStatus.DRAFT, description="Only an active product is sold; it never becomes a draft again."
    )
    parent_id: UUID | None = Field(None, description="The product with options of which this is a variant.")
    option_values: OptionChoice = Field(
        default_factory=dict, description="The value chosen for each option of the parent, by key."
    )


ProductUpdate = patch_of(ProductCreate)


class ProductRead(RecordOutput):
    """A product. `costs` are left out for roles that may not see them."""

    code: str
    name: str
    name_en: str | None
    description: str | None
    unit: str
    category_id: UUID | None
    tax_class: str | None
    charge: ChargeKind
    stocked: bool
    status: ProductStatus
    prices: list[UnitPriceOut]
    costs: list[UnitPriceOut]
    warranty_months: int | None
    is_bundle: bool
    options: list[ProductOption]
    parent_id: UUID | None
    option_values: dict[str, str]


class ProductCategoryCreate(RecordInput):
    """A shelf of the catalogue."""

    name: ShortText
    name_en: ShortText | None = None
    parent_id: UUID | None = Field(None, description="The category that this one is part of.")
    position: int = Field(0, ge=0, le=1_000_000, description="Its place among its neighbours.")


ProductCategoryUpdate = patch_of(ProductCategoryCreate)


class ProductCategoryRead(RecordOutput):
    """A category."""

    name: str
    name_en: str | None
    parent_id: UUID | None
    position: int


class UnitCreate(Input):
    """What products are counted in."""

    code: Key
    name_en: ShortText
    name_zh: ShortText | None = None
    decimals: int = Field(0, ge=0, le=6, description="Places that a quantity may have after the point.")


class UnitRead(Output):
    """A unit."""

    id: UUID
    version: int
    code: str
    name_en: str
    name_zh: str | None
    decimals: int


class Units(Output):
    """All units, by code."""

    data: list[UnitRead]


class TaxRateInput(Input):
    """A rate in percent, in a country, from a day on until the next one of that country begins."""

    country: Country
    valid_from: Day
    rate: Share


class TaxRateRead(Output):
    """A rate in percent."""

    country: str
    valid_from: date
    rate: DecimalOut


def _one_a_day(rates: list[TaxRateInput]) -> list[TaxRateInput]:
    if len({(rate.country, rate.valid_from) for rate in rates}) < len(rates):
        raise PydanticCustomError("repeated_rate", "One rate for a country and a day")
    return rates


Rates = Annotated[list[TaxRateInput], Field(max_length=1_000), AfterValidator(_one_a_day)]


class TaxClassCreate(Input):
    """What is taxed alike, with its rates by country. Where there is no rate, none is due."""

    code: Key
    name_en: ShortText
    name_zh: ShortText | None = None
    rates: Rates = Field(default_factory=list)


class TaxClassUpdate(Input):
    """Changes to a tax class; `rates` are replaced whole."""

    name_en: ShortText | None = None
    name_zh: ShortText | None = None
    rates: Rates | None = None


class TaxClassRead(Output):
    """A tax class with its rates, by country and day."""

    id: UUID
    version: int
    code: str
    name_en: str
    name_zh: str | None
    rates: list[TaxRateRead]


class TaxClasses(Output):
    """All tax classes, by code."""

    data: list[TaxClassRead]
