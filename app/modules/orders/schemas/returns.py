"""What goes over the wire for returns."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import Field

from app.kernel.decimals import DecimalOut, Percent
from app.kernel.money import Currency, MoneyOut, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.orders.models.orders import Condition, ReturnStatus
from app.modules.orders.models.receivables import PaymentMethod
from app.modules.orders.schemas.decimals import Quantity
from app.modules.orders.schemas.orders import MOST_LINES, SerialNumber


class ReturnLineInput(Input):
    """One thing that comes back: of an order's line, or, where that is not known, at a price of its own."""

    order_line_id: UUID | None = None
    product_id: UUID | None = Field(None, description="Only without an order's line.")
    description: ShortText | None = Field(None, description="Required without an order's line.")
    unit: ShortText | None = None
    quantity: Quantity
    unit_price: UnitPriceIn | None = Field(None, description="Required without an order's line.")
    tax_rate: Percent | None = Field(None, description="Percent; only without an order's line.")
    reason: ShortText | None = Field(None, description="Absent means that of the return.")
    serial_numbers: list[SerialNumber] = Field(default_factory=list, max_length=10_000)


class ReturnCreate(RecordInput):
    """A wish to give goods back. Its lines stay as they are; what changes is how it is decided."""

    order_id: UUID | None = None
    account_id: UUID | None = Field(None, description="Absent means the order's.")
    contact_id: UUID | None = Field(None, description="Absent means the order's.")
    reason: ShortText
    currency: Currency | None = Field(None, description="Absent means the order's, else that of the prices.")
    tax_included: bool | None = Field(None, description="Prices include tax; absent means as in the order.")
    requested_on: date | None = Field(None, description="Absent means today.")
    lines: list[ReturnLineInput] = Field(min_length=1, max_length=MOST_LINES)


class _ReturnChanges(RecordInput):
    contact_id: UUID | None = None
    reason: ShortText


ReturnUpdate = patch_of(_ReturnChanges, "ReturnUpdate")


class ReturnRead(RecordOutput):
    """A return. Until it is finished its amounts are what it would come to."""

    number: str
    status: ReturnStatus
    order_id: UUID | None
    account_id: UUID
    contact_id: UUID | None
    partner_id: UUID | None = Field(description="The order's.")
    reason: str
    currency: str
    tax_included: bool
    net: MoneyOut
    tax: MoneyOut
    total: MoneyOut
    line_count: int
    requested_on: date
    country: str | None = Field(description="The order's, else the account's.")
    source: str | None = Field(description="The order's.")
    replacement_order_id: UUID | None
    decision_note: str | None
    resolved_at: datetime | None
    case_id: UUID | None = Field(description="The case from which it was opened.")


class ReturnLineRead(Output):
    """A line; prices and amounts are null where hidden from you."""

    id: UUID
    position: int
    order_line_id: UUID | None
    product_id: UUID | None
    description: str
    unit: str
    quantity: DecimalOut
    unit_price: UnitPriceOut | None
    net: MoneyOut | None
    tax: MoneyOut | None
    total: MoneyOut | None
    reason: str | None
    condition: Condition | None
    restock: bool
    serial_numbers: list[str]


class ReturnDetail(ReturnRead):
    """A return with its lines."""

    lines: list[ReturnLineRead]


class InspectedLine(Input):
    """How a line looks, and whether it goes back into stock when the return is refunded or replaced."""

    line_id: UUID
    condition: Condition
    restock: bool = False


class Inspection(Input):
    """What was found; lines that are not named do not go back into stock."""

    lines: list[InspectedLine] = Field(default_factory=list, max_length=MOST_LINES)


class Decision(Input):
    """A word on what was decided."""

    note: ShortText | None = None


class RefundDecision(Decision):
    """How the money goes back; absent, what was invoiced is credited, and what was paid stays on the account."""

    method: PaymentMethod | None = None


class Rejection(Input):
    """Why a return is not taken."""

    note: ShortText
