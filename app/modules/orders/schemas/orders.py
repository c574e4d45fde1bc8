"""What goes over the wire for orders, their lines, shipments and stock."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.benefits import BenefitRead, CouponCodes
from app.kernel.countries import Country
from app.kernel.decimals import DecimalOut, Percent
from app.kernel.money import Currency, MoneyIn, MoneyOut, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.catalog.interface import ChargeKind
from app.modules.orders.models.orders import HeldFor, MovementKind, OrderStatus, PaymentStatus
from app.modules.orders.schemas.decimals import Quantity, SignedQuantity

MOST_LINES = 500
StreetText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]
SerialNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Address(Input):
    """Where goods or papers go."""

    name: ShortText | None = None
    street: StreetText | None = None
    city: ShortText | None = None
    postal_code: ShortText | None = None
    region: ShortText | None = None
    country: Country | None = Field(None, description="ISO 3166-1 alpha-2, or a name of a country.")
    phone: ShortText | None = None


class OrderLineInput(Input):
    """One thing to buy: a product, or what is described. Discounts come off one after the other, percent first."""

    product_id: UUID | None = None
    description: ShortText | None = Field(None, description="Required without a product; else its name.")
    unit: ShortText | None = Field(None, description="Absent means the product's.")
    quantity: Quantity
    unit_price: UnitPriceIn | None = Field(None, description="Absent means the catalogue's for this account.")
    discount_percent: Percent = "0"
    discount_amount: MoneyIn | None = None
    tax_rate: Percent | None = Field(None, description="Percent; absent means the product's, else none.")
    charge: ChargeKind | None = Field(None, description="Absent means the product's, else once.")
    unit_cost: UnitPriceIn | None = Field(None, description="Absent means the product's.")
    component_of: int | None = Field(
        None, ge=0, le=MOST_LINES, description="Index of the bundle's line that this is a component of."
    )


class OrderCreate(RecordInput):
    """An order. With a `customer_reference`, sending the same order again answers with the first one."""

    account_id: UUID
    contact_id: UUID | None = None
    opportunity_id: UUID | None = None
    contract_id: UUID | None = Field(None, description="The frame contract that it draws on when confirmed.")
    partner_id: UUID | None = Field(
        None,
        description="The partner through whom it came, by an id of yours, which is compared and not looked up.",
    )
    partner_name: ShortText | None = None
    customer_reference: ShortText | None = Field(
        None, description="The customer's own number for it; unique per account."
    )
    currency: Currency | None = Field(
        None, description="Absent means that of the prices, else the company's."
    )
    tax_included: bool = Field(False, description="Prices include tax.")
    discount_percent: Percent = Field("0", description="Off the sum of the lines.")
    discount_amount: MoneyIn | None = Field(None, description="Off what is left after the percentage.")
    commission_percent: Percent | None = Field(None, description="The partner's, of the net total.")
    ordered_on: date | None = Field(None, description="Absent means today.")
    requested_on: date | None = Field(None, description="When the customer wants it.")
    source: ShortText | None = None
    channel: ShortText | None = None
    shipping_address: Address | None = None
    billing_address: Address | None = None
    coupon_codes: CouponCodes = Field(
        default_factory=list,
        examples=[[]],
        description="What they take off is worked out anew with each change of a draft.",
    )
    points: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        examples=[0],
        description="Points of the contact's or the account's loyalty membership, spent when it is confirmed.",
    )
    lines: list[OrderLineInput] = Field(default_factory=list, max_length=MOST_LINES)


OrderUpdate = patch_of(OrderCreate)


class OnlineOrder(OrderCreate):
    """An order that is placed at once: it names the customer's reference and what is bought."""

    customer_reference: ShortText
    lines: list[OrderLineInput] = Field(min_length=1, max_length=MOST_LINES)


class OrderRead(RecordOutput):
    """An order's header. `gross` - `discount` = `subtotal`; less `header_discount` it bears the tax."""

    number: str
    status: OrderStatus
    account_id: UUID
    contact_id: UUID | None
    opportunity_id: UUID | None
    quote_id: UUID | None = Field(description="The quote that became this order.")
    contract_id: UUID | None
    return_id: UUID | None = Field(description="The return whose goods this order replaces.")
    partner_id: UUID | None
    partner_name: str | None
    customer_reference: str | None
    currency: str
    tax_included: bool
    discount_percent: DecimalOut
    discount_amount: MoneyOut
    gross: MoneyOut
    discount: MoneyOut = Field(description="The lines' own discounts.")
    subtotal: MoneyOut
    header_discount: MoneyOut = Field(description="Off the whole order; coupons and points are part of it.")
    benefit_discount: MoneyOut = Field(description="What of that coupons and points took off.")
    coupon_codes: list[str]
    points: int
    net: MoneyOut
    tax: MoneyOut
    total: MoneyOut
    cost: MoneyOut | None = Field(description="Null where the cost of a line is not known.")
    margin: MoneyOut | None = Field(description="`net` less `cost`.")
    commission_percent: DecimalOut | None
    commission: MoneyOut | None = Field(description="The partner's, of `net`, rounded once, half up.")
    line_count: int
    ordered_on: date
    requested_on: date | None
    source: str | None
    channel: str | None
    country: str | None = Field(description="Where it goes, else the account's.")
    shipping_address: Address | None
    billing_address: Address | None
    confirmed_at: datetime | None
    fulfilled_at: datetime | None
    closed_at: datetime | None
    cancelled_at: datetime | None
    cancel_reason: str | None
    held_for: HeldFor | None = Field(
        description="What kept a draft from being confirmed that was placed; confirming it clears this."
    )
    credit_requested: MoneyOut | None = Field(
        description="The total that approval beyond the credit limit is being asked for."
    )
    credit_approved: MoneyOut | None = Field(
        description="The total that was approved beyond the credit limit; null again for a higher one."
    )
    payment_status: PaymentStatus = Field(
        description="Follows its invoices: `paid` when nothing is open and nothing is left to invoice."
    )


class OrderLineRead(Output):
    """A line. Amounts are of what was not cancelled, and null where hidden from you."""

    id: UUID
    position: int
    product_id: UUID | None
    description: str
    unit: str
    quantity: DecimalOut
    unit_price: UnitPriceOut | None
    discount_percent: DecimalOut | None
    discount_amount: MoneyOut | None
    tax_rate: DecimalOut
    gross: MoneyOut | None
    discount: MoneyOut | None
    subtotal: MoneyOut | None
    header_discount: MoneyOut | None
    benefit_discount: MoneyOut | None = Field(description="What of that coupons and points took off.")
    net: MoneyOut | None
    tax: MoneyOut | None
    total: MoneyOut | None
    charge: ChargeKind
    unit_cost: UnitPriceOut | None
    component_of: int | None = Field(description="Position of the bundle that it is a component of.")
    quote_line_id: UUID | None
    fulfilled: DecimalOut
    cancelled: DecimalOut
    returned: DecimalOut
    return_claimed: DecimalOut = Field(description="Returned, or on its way back.")


class OrderDetail(OrderRead):
    """An order with its lines, and what coupons and points took off it, step by step."""

    lines: list[OrderLineRead]
    benefits: list[BenefitRead]


class CreditApprovalAsk(Input):
    """A word to whoever approves an order beyond the credit limit."""

    note: ShortText | None = None
    chosen_ids: Annotated[list[UUID], Field(max_length=50)] = Field(
        default_factory=list, description="Approvers, for steps that leave the choice to you."
    )


class Cancellation(Input):
    """Why an order is not wanted any more."""

    reason: ShortText | None = None


class LineQuantity(Input):
    """So much of a line."""

    line_id: UUID
    quantity: Quantity


class LineCancellation(Input):
    """What of an order is not delivered any more."""

    lines: Annotated[list[LineQuantity], Field(min_length=1, max_length=MOST_LINES)] | None = Field(
        None, description="Absent means all that has not been shipped."
    )
    reason: ShortText | None = None


class ShipmentLineInput(LineQuantity):
    """So much of a line goes out."""

    serial_numbers: list[SerialNumber] = Field(default_factory=list, max_length=10_000)


class ShipmentCreate(Input):
    """Goods that leave together."""

    lines: Annotated[list[ShipmentLineInput], Field(min_length=1, max_length=MOST_LINES)] | None = Field(
        None, description="Absent means all that is open."
    )
    carrier: ShortText | None = None
    tracking_number: ShortText | None = None
    note: LongText | None = None


class ShipmentLineRead(Output):
    """A line's part of a shipment."""

    order_line_id: UUID
    quantity: DecimalOut
    serial_numbers: list[str]


class ShipmentRead(Output):
    """A shipment, and where it left its order."""

    id: UUID
    order_id: UUID
    carrier: str | None
    tracking_number: str | None
    note: str | None
    shipped_at: datetime
    shipped_by: UUID | None
    lines: list[ShipmentLineRead]


class Shipments(Output):
    """All shipments of an order, oldest first."""

    data: list[ShipmentRead]


class StockLevelRead(Output):
    """How much of a product lies here; `available` is what is not promised to an order."""

    product_id: UUID
    on_hand: DecimalOut
    reserved: DecimalOut
    available: DecimalOut
    updated_at: datetime


class StockAdjustment(Input):
    """What came in, went out or was counted, by hand."""

    product_id: UUID
    quantity: SignedQuantity = Field(description="What `on_hand` changes by.")
    reason: ShortText = Field(examples=["delivery 4711"])


class StockMovementRead(Output):
    """What came in (more than nothing) or went out."""

    id: UUID
    product_id: UUID
    kind: MovementKind
    quantity: DecimalOut
    on_hand_after: DecimalOut
    reason: str | None = Field(description="Why it was changed by hand; else what it was for, if no order.")
    order_id: UUID | None = Field(description="Of the order, or of whatever else it was for.")
    order_line_id: UUID | None
    moved_by: UUID | None
    moved_at: datetime
