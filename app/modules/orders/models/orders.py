"""Orders, what is on them, how they went out, and what lies in stock."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, RecordTable, TenantOwned, Versioned, module_ref, one_of
from app.modules.catalog.interface import ChargeKind


class OrderStatus(StrEnum):
    DRAFT = "draft"
    CONFIRMED = "confirmed"
    IN_FULFILMENT = "in_fulfilment"
    FULFILLED = "fulfilled"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class HeldFor(StrEnum):
    """What keeps an order that was placed from being confirmed."""

    STOCK = "stock"
    CREDIT = "credit"
    CONTRACT = "contract"
    COUPON = "coupon"


class ReturnStatus(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    RECEIVED = "received"
    INSPECTED = "inspected"
    REFUNDED = "refunded"
    REPLACED = "replaced"
    REPAIRED = "repaired"
    REJECTED = "rejected"


class Condition(StrEnum):
    """How goods look that came back."""

    NEW = "new"
    OPENED = "opened"
    USED = "used"
    DAMAGED = "damaged"
    DEFECTIVE = "defective"


class MovementKind(StrEnum):
    ADJUSTED = "adjusted"
    SHIPPED = "shipped"
    TAKEN_BACK = "taken_back"


class PaymentStatus(StrEnum):
    """How far an order is paid: `paid` is one of which nothing is left to invoice and nothing invoiced is open."""

    UNPAID = "unpaid"
    PARTLY_PAID = "partly_paid"
    PAID = "paid"


class Order(RecordTable):
    """What a customer bought. Amounts are sums of the lines, in minor units of `currency`.

    `exact_value` is quantity x price of the lines in major units, without discounts, never rounded. `cost` is known
    where that of every line is; `margin` is `net` less `cost`. `country` is where it goes, else the account's.
    `content_hash` tells whether a repeated `customer_reference` means the same order. `held_for` is what kept a draft
    that was placed from being confirmed; `credit_requested` the total that approval beyond the credit limit is asked
    for, while it is, and `credit_approved` the one that it was given for. `payment_status` is kept by the database,
    which follows the invoices; it changes without a new version. `benefits` are what coupons and points take off,
    step by step; `benefit_discount`, their sum, is part of `header_discount`.
    """

    __tablename__ = "orders"
    __table_args__ = (
        one_of("status", OrderStatus),
        one_of("held_for", HeldFor),
        one_of("payment_status", PaymentStatus),
        {"schema": "orders"},
    )

    number: Mapped[str]
    status: Mapped[str]
    account_id: Mapped[UUID] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    opportunity_id: Mapped[UUID | None] = module_ref("opportunities.opportunities", on_delete="keep")
    quote_id: Mapped[UUID | None]
    contract_id: Mapped[UUID | None]
    return_id: Mapped[UUID | None]  # the return whose goods it replaces
    partner_id: Mapped[UUID | None]
    partner_name: Mapped[str | None]
    customer_reference: Mapped[str | None]
    content_hash: Mapped[str | None] = mapped_column(info={"derived": True})
    currency: Mapped[str]
    tax_included: Mapped[bool]
    discount_percent: Mapped[Decimal]
    discount_amount: Mapped[int]
    gross: Mapped[int]
    discount: Mapped[int]
    subtotal: Mapped[int]
    header_discount: Mapped[int]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    exact_value: Mapped[Decimal] = mapped_column(info={"derived": True})
    cost: Mapped[int | None]
    margin: Mapped[int | None]
    commission_percent: Mapped[Decimal | None]
    commission: Mapped[int | None]
    line_count: Mapped[int]
    ordered_on: Mapped[date]
    requested_on: Mapped[date | None]
    source: Mapped[str | None]
    channel: Mapped[str | None]
    country: Mapped[str | None]
    shipping_address: Mapped[Json | None]
    billing_address: Mapped[Json | None]
    confirmed_at: Mapped[datetime | None]
    fulfilled_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None]
    held_for: Mapped[str | None]
    credit_requested: Mapped[int | None]
    credit_approved: Mapped[int | None]
    payment_status: Mapped[str]
    coupon_codes: Mapped[list[str]]
    points: Mapped[int]
    benefit_discount: Mapped[int]
    benefits: Mapped[list[Any]] = mapped_column(info={"derived": True})


class OrderLine(TenantOwned):
    """One thing on an order. Amounts are in minor units and of what was not cancelled.

    `exact_gross` is the price of the whole quantity in major units where that is not quantity x `unit_price`.
    `component_of` is the position of the bundle that this is a component of. What was not entered (`price_entered`,
    `tax_entered`, `cost_entered`) follows the catalogue while the order is a draft. `return_claimed` is what returns
    that were not rejected speak of, `returned` what those have finished, and `refunded_…` what that came to.
    """

    __tablename__ = "order_lines"
    __table_args__ = (one_of("charge", ChargeKind), {"schema": "orders"})

    order_id: Mapped[UUID]
    position: Mapped[int]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="restrict")
    description: Mapped[str]
    unit: Mapped[str]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal]
    exact_gross: Mapped[Decimal | None]
    discount_percent: Mapped[Decimal]
    discount_amount: Mapped[int]
    tax_rate: Mapped[Decimal]
    gross: Mapped[int]
    discount: Mapped[int]
    subtotal: Mapped[int]
    header_discount: Mapped[int]
    benefit_discount: Mapped[int]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    charge: Mapped[str]
    unit_cost: Mapped[Decimal | None]
    cost: Mapped[int | None]
    component_of: Mapped[int | None]
    price_entered: Mapped[bool]
    tax_entered: Mapped[bool]
    cost_entered: Mapped[bool]
    quote_line_id: Mapped[UUID | None]
    external_id: Mapped[str | None]
    fulfilled: Mapped[Decimal]
    cancelled: Mapped[Decimal]
    return_claimed: Mapped[Decimal]
    returned: Mapped[Decimal]
    returned_net: Mapped[int]
    returned_tax: Mapped[int]
    invoiced: Mapped[Decimal]  # net of what was credited, drafts included; what it came to:
    invoiced_total: Mapped[int]
    invoiced_tax: Mapped[int]

    @property
    def open(self) -> Decimal:
        """What is still to be delivered."""
        return self.quantity - self.cancelled - self.fulfilled


class Shipment(TenantOwned):
    """Goods of one order that left together."""

    __tablename__ = "shipments"
    __table_args__ = ({"schema": "orders"},)

    order_id: Mapped[UUID]
    carrier: Mapped[str | None]
    tracking_number: Mapped[str | None]
    note: Mapped[str | None]
    shipped_at: Mapped[datetime]
    shipped_by: Mapped[UUID | None]


class ShipmentLine(TenantOwned):
    """How much of a line is in a shipment."""

    __tablename__ = "shipment_lines"
    __table_args__ = ({"schema": "orders"},)

    shipment_id: Mapped[UUID]
    order_line_id: Mapped[UUID]
    quantity: Mapped[Decimal]
    serial_numbers: Mapped[list[Any]]


class StockLevel(Versioned):
    """How much of a product lies here, and how much of that is promised."""

    __tablename__ = "stock_levels"
    __table_args__ = ({"schema": "orders"},)

    product_id: Mapped[UUID] = module_ref("catalog.products", on_delete="restrict")
    on_hand: Mapped[Decimal]
    reserved: Mapped[Decimal]


class StockReservation(TenantOwned):
    """What is kept for a line of an order, or of whatever else takes goods; its id is the line's."""

    __tablename__ = "stock_reservations"
    __table_args__ = ({"schema": "orders"},)

    order_id: Mapped[UUID]
    product_id: Mapped[UUID] = module_ref("catalog.products", on_delete="restrict")
    quantity: Mapped[Decimal]


class StockMovement(TenantOwned):
    """What came in or went out, for good: `quantity` is what `on_hand` changed by."""

    __tablename__ = "stock_movements"
    __table_args__ = (one_of("kind", MovementKind), {"schema": "orders"})

    product_id: Mapped[UUID] = module_ref("catalog.products", on_delete="restrict")
    kind: Mapped[str]
    quantity: Mapped[Decimal]
    on_hand_after: Mapped[Decimal]
    reason: Mapped[str | None]
    order_id: Mapped[UUID | None]
    order_line_id: Mapped[UUID | None]
    moved_by: Mapped[UUID | None]
    moved_at: Mapped[datetime]
