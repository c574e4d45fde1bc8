"""Orders and returns of the past, many at once."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from app.kernel.countries import Country
from app.kernel.decimals import Percent
from app.kernel.money import Currency
from app.kernel.schemas import ExternalId, Input, Output, ShortText
from app.modules.orders.schemas.decimals import Cost, Price, Quantity

MOST_ORDERS = 1_000
MOST_IMPORTED_LINES = 5_000
Code = Annotated[str, Field(min_length=1, max_length=100)]


class ImportedLine(Input):
    """A line as it was: prices are plain decimals in the order's currency."""

    external_id: ExternalId | None = Field(None, description="Your own key of the line; returns name it.")
    product_id: UUID | None = None
    product: Code | None = Field(None, description="The product's code, instead of its id.")
    description: ShortText | None = Field(None, description="Required without a product; else its name.")
    unit: ShortText | None = None
    quantity: Quantity
    unit_price: Price = Field(description="Negative for what was credited.")
    discount_percent: Percent = "0"
    tax_rate: Percent = "0"
    unit_cost: Cost | None = None


class ImportedOrder(Input):
    """An order of the past. What was delivered then takes nothing from stock."""

    external_id: ExternalId = Field(description="Your own key; what is there already is left as it is.")
    account_id: UUID | None = None
    account: ExternalId | None = Field(None, description="The account's external id, instead of its id.")
    currency: Currency
    ordered_on: date
    status: Literal["fulfilled", "closed", "cancelled"] = "closed"
    tax_included: bool = False
    discount_percent: Percent = "0"
    customer_reference: ShortText | None = None
    owner_id: UUID | None = Field(None, description="Absent means you.")
    source: ShortText | None = None
    channel: ShortText | None = None
    country: Country | None = Field(None, description="Absent means the account's.")
    lines: list[ImportedLine] = Field(min_length=1, max_length=MOST_IMPORTED_LINES)


class OrderImport(Input):
    """Up to 1,000 orders; the body's limit holds besides."""

    orders: list[ImportedOrder] = Field(min_length=1, max_length=MOST_ORDERS)


class ImportedReturnLine(Input):
    """What came back: of an order's line where that is known, else at a price of its own."""

    external_id: ExternalId | None = None
    order_line: ExternalId | None = Field(None, description="The external id of the order's line.")
    order_line_id: UUID | None = None
    product_id: UUID | None = None
    product: Code | None = Field(None, description="The product's code, instead of its id.")
    description: ShortText | None = Field(None, description="Absent means that of the line, or the product.")
    unit: ShortText | None = None
    quantity: Quantity
    unit_price: Price | None = Field(None, description="Required without an order's line.")
    tax_rate: Percent = Field("0", description="Only without an order's line.")
    reason: ShortText | None = None


class ImportedReturn(Input):
    """A return of the past, refunded then. Its lines may be of several orders of the account."""

    external_id: ExternalId = Field(description="Your own key; what is there already is left as it is.")
    account_id: UUID | None = None
    account: ExternalId | None = Field(None, description="The account's external id, instead of its id.")
    currency: Currency
    returned_on: date
    reason: ShortText = "returned"
    tax_included: bool = False
    owner_id: UUID | None = Field(None, description="Absent means you.")
    source: ShortText | None = None
    country: Country | None = Field(None, description="Absent means the account's.")
    lines: list[ImportedReturnLine] = Field(min_length=1, max_length=MOST_IMPORTED_LINES)


class ReturnImport(Input):
    """Up to 1,000 returns; the body's limit holds besides."""

    returns: list[ImportedReturn] = Field(min_length=1, max_length=MOST_ORDERS)


class ImportStatus(StrEnum):
    CREATED = "created"
    EXISTING = "existing"
    FAILED = "failed"


class ImportFault(Output):
    """What is wrong with which part of an item."""

    pointer: str
    code: str
    detail: str


class ImportedItem(Output):
    """What became of one order or return, at its place in the request."""

    external_id: str
    status: ImportStatus
    id: UUID | None
    errors: list[ImportFault]


class ImportAnswer(Output):
    """What became of each; a failure leaves the others alone."""

    results: list[ImportedItem]
    succeeded: int = Field(description="Created, or there already.")
    created: int
    existing: int
    failed: int
    lines: int = Field(description="Lines of those that were created.")
