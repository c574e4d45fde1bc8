"""What other modules may know of orders: place one, look at some and their lines, and ports for stock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, Protocol
from uuid import UUID

from app.kernel.benefits import Benefit
from app.kernel.errors import Conflict
from app.kernel.events import Event
from app.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrderLine:
    """A line as it was agreed, price and tax included: the order copies it and never prices it again.

    `unit_price` and `gross` are in major units as in `kernel.totals`, `discount_amount` in minor units.
    `component_of` is the index of the bundle's line that this one is a component of. What was `entered` of `price`,
    `tax` and `cost` stays whatever else of a draft changes; the rest is asked of the catalogue again.
    """

    product_id: UUID | None
    description: str
    unit: str
    quantity: Decimal
    unit_price: Decimal
    gross: Decimal | None = None
    discount_percent: Decimal = Decimal(0)
    discount_amount: int = 0
    tax_rate: Decimal = Decimal(0)
    charge: str = "one_time"
    unit_cost: Decimal | None = None
    component_of: int | None = None
    quote_line_id: UUID | None = None
    price_entered: bool = True
    tax_entered: bool = True
    cost_entered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order that another module places; with `quote_id` there is never a second one for it.

    `total` is what the customer agreed to, in minor units: an order that does not add up to it is refused.
    """

    account_id: UUID
    currency: str
    lines: tuple[NewOrderLine, ...]
    total: int
    tax_included: bool = False
    discount_percent: Decimal = Decimal(0)
    discount_amount: int = 0
    contact_id: UUID | None = None
    opportunity_id: UUID | None = None
    quote_id: UUID | None = None
    contract_id: UUID | None = None
    partner_id: UUID | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    customer_reference: str | None = None
    source: str | None = None
    channel: str | None = None
    benefits: tuple[Benefit, ...] = ()  # what coupons take off, as it was promised


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRef:
    """An order as others show it."""

    id: UUID
    number: str
    account_id: UUID
    status: str
    total: Money
    ordered_on: date
    quote_id: UUID | None
    contract_id: UUID | None
    opportunity_id: UUID | None
    contact_id: UUID | None = None
    fulfilled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLineRef:
    """A line of a return, and the order's line that it gives back of, where that is known."""

    id: UUID
    return_id: UUID
    order_id: UUID | None
    order_line_id: UUID | None
    quantity: Decimal
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLineRef:
    """A line of an order as others show and copy it.

    `total` is the line's, tax included; `at` is when it was ordered.
    """

    id: UUID
    order_id: UUID
    account_id: UUID
    product_id: UUID | None
    description: str
    quantity: Decimal
    fulfilled: Decimal
    returned: Decimal
    cancelled: Decimal
    net: Money
    total: Money
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedLine:
    """A line's part of a shipment; `at` is when it left."""

    order_line_id: UUID
    product_id: UUID | None
    quantity: Decimal
    serial_numbers: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReturnLine:
    """So much of an order's line comes back."""

    order_line_id: UUID
    quantity: Decimal
    reason: str | None = None
    serial_numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReturn:
    """A return that another module opens, of an order's lines; `case_id` is the case that it came of."""

    order_id: UUID
    reason: str
    lines: tuple[NewReturnLine, ...]
    contact_id: UUID | None = None
    case_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRef:
    """A return as others show it."""

    id: UUID
    number: str
    status: str
    order_id: UUID | None
    account_id: UUID
    case_id: UUID | None
    total: Money
    requested_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """An order with the descriptions of its first lines."""

    order: OrderRef
    items: tuple[str, ...]


class Orders(Protocol):
    """Orders of the tenant at hand, as far as the actor sees them."""

    async def place(self, new: NewOrder) -> OrderRef:
        """Make an order of what was agreed, once for each quote: called again it answers with the first.

        It is confirmed, unless our own stock, the account's credit or the contract does not allow it: then it stays
        a draft that is held, of which nothing is reserved or drawn (`OrderHeld`), for its owner to settle.
        `OrderPlaced` follows when it is confirmed.
        Raises: `Forbidden`; `Invalid`, also where the lines do not add up to `total`.
        """

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, OrderRef]:
        """Orders by id; unknown or not visible ones are absent."""

    async def lines_of(self, order_ids: Collection[UUID]) -> Sequence[OrderLineRef]:
        """All lines of these orders, by order and position."""

    async def shipped(self, shipment_id: UUID) -> Sequence[ShippedLine]:
        """What went out with a shipment; empty for one that is unknown or of an order that is not visible."""

    async def open_return(self, new: NewReturn) -> ReturnRef:
        """Ask for goods to come back. Raises: `Forbidden`; `Invalid`; `Conflict` for more than was delivered."""

    async def returns_of(self, case_ids: Collection[UUID]) -> Mapping[UUID, Sequence[ReturnRef]]:
        """The returns that were opened from these cases and are visible, oldest first; one statement."""

    async def return_lines_of(self, return_ids: Collection[UUID]) -> Sequence[ReturnLineRef]:
        """All lines of these returns with their returns' status, by return and position."""

    async def bought_before(self, account_id: UUID, *, other_than: UUID | None = None) -> bool:
        """Whether an account has an order that was confirmed and not cancelled, whoever may see it."""

    async def purchases_of(
        self, account_ids: Collection[UUID], *, limit: int = 5
    ) -> Mapping[UUID, list[Purchase]]:
        """The newest confirmed orders of each account that were not cancelled, newest first; one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payable:
    """What is still to be paid of an order, or of one invoice, whose rows are held.

    `open` counts what is not invoiced yet too, less what stored value has paid for it in advance.
    """

    account_id: UUID
    contact_id: UUID | None
    order_id: UUID | None
    invoice_id: UUID | None
    open: Money


class CashPaidBack(Conflict):
    """Whoever may pay out stored value (`payment:cash_out`) may do this too."""

    code = "cash_paid_back"
    title = "Cash was taken off this and paid back; stored value does not take its place"


class StoredValuePayments(Protocol):
    """Payments by stored value that another module keeps, in its transaction.

    That module says which payments it made for what: those that wait for an invoice are found by their ids.
    """

    async def payable(
        self,
        *,
        order_id: UUID | None = None,
        invoice_id: UUID | None = None,
        payment_ids: Collection[UUID] = (),
    ) -> Payable | None:
        """How much may be paid, held; None for what is unknown, not visible, or not to be paid at all."""

    async def pay(self, what: Payable, amount: Money, *, reference: str) -> UUID:
        """Enter a payment, settle what is invoiced with it, the first due first, and answer with its id.

        What is more than that waits for the order's next invoice. Raises: `Forbidden`; `CashPaidBack`.
        """

    async def settle(self, invoice_id: UUID, payment_ids: Collection[UUID]) -> None:
        """Settle an issued invoice with what these payments have left."""

    async def pay_back(
        self,
        *,
        order_id: UUID | None = None,
        invoice_id: UUID | None = None,
        payment_ids: Collection[UUID],
        at_most: Money,
        reference: str,
    ) -> Money:
        """Pay back what was paid and is not owed any more, and say how much that was.

        What these payments have left beyond what is still to be paid comes first, then what credit notes left.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StockNeed:
    """So much of a product for one line of an order, or of whatever else takes goods: `order_id` is its own id then.

    `note` is what the movement says of it.
    """

    order_id: UUID
    line_id: UUID
    product_id: UUID
    quantity: Decimal
    note: str | None = None


class Stock(Protocol):
    """Port: where goods lie. The default keeps a table of what is on hand; a warehouse system may take its place."""

    async def reserve(self, needs: Sequence[StockNeed]) -> None:
        """Keep goods, all or none. Raises `OutOfStock`, which names products and what is available."""

    async def release(self, line_ids: Collection[UUID]) -> None:
        """Give back what is still reserved for these lines."""

    async def ship(self, needs: Sequence[StockNeed]) -> None:
        """Take out goods that were reserved."""

    async def take_back(self, needs: Sequence[StockNeed]) -> None:
        """Put returned goods on hand again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketLine:
    """A line as coupons and points see it: `amount` is in minor units, its own and the header's discounts off."""

    product_id: UUID | None
    quantity: Decimal
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """What somebody buys with codes and points. What `order_id` holds already does not count against limits."""

    account_id: UUID
    contact_id: UUID | None
    currency: str
    lines: tuple[BasketLine, ...]
    codes: tuple[str, ...] = ()
    points: int = 0
    order_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitClaim:
    """The benefits of one order, and its lines in the order of their discounts: id and quantity."""

    order_id: UUID
    account_id: UUID
    contact_id: UUID | None
    currency: str
    benefits: tuple[Benefit, ...]
    lines: tuple[tuple[UUID, Decimal], ...] = ()


class OrderBenefits(Protocol):
    """Port: coupons and points, which take something off the price of orders and quotes.

    Every method raises `CouponNotApplicable` or `PointsNotApplicable` where one does not hold.
    """

    async def evaluate(self, basket: Basket, *, skip_invalid: bool = False) -> Sequence[Benefit]:
        """What codes and points take off, one after the other.

        With `skip_invalid` codes that do not hold are left out.
        """

    async def hold(self, claim: BenefitClaim) -> None:
        """Keep coupons for a draft, instead of those that it held before."""

    async def redeem(self, claim: BenefitClaim) -> None:
        """The order is confirmed: what it held, or what is free again, is used up, and points are spent."""

    async def reduce(self, order_id: UUID, cancelled: Mapping[UUID, Decimal]) -> None:
        """So much of these lines is not delivered any more: points that were spent on it come back."""

    async def release(self, order_id: UUID) -> None:
        """The order is off, or has no coupons any more: what it held and used is free again."""


class CouponNotApplicable(Conflict):
    """`coupons` lists code and reason of each that does not hold."""

    code = "coupon_not_applicable"
    title = "A coupon does not hold for this"


class PointsNotApplicable(Conflict):
    """Carries `reason`, and `available` where there are too few."""

    code = "points_not_applicable"
    title = "These points cannot be spent on this"


class OutOfStock(Conflict):
    """`lacking` lists product_id, wanted and available."""

    code = "out_of_stock"
    title = "There is not enough on hand"


class CreditRefused(Conflict):
    """Carries `amount`, and `limit` and `exposure` for those who may see credit limits."""

    code = "credit_refused"
    title = "The account's credit limit does not cover this order"


class OrderPlaced(Event):
    """An order is confirmed: the customer bought."""

    type: ClassVar[str] = "orders.order.placed.v1"
    object: ClassVar[str] = "order"

    account_id: UUID
    contact_id: UUID | None
    opportunity_id: UUID | None
    quote_id: UUID | None
    contract_id: UUID | None
    partner_id: UUID | None
    owner_id: UUID | None
    source: str | None
    channel: str | None
    net: dict[str, str]
    total: dict[str, str]
    placed_on: date


class OrderHeld(Event):
    """An order was placed and could not be confirmed: `reason` is stock, credit, contract or coupon."""

    type: ClassVar[str] = "orders.order.held.v1"
    object: ClassVar[str] = "order"

    account_id: UUID
    quote_id: UUID | None
    reason: str


class OrderCancelled(Event):
    """An order was cancelled, whole."""

    type: ClassVar[str] = "orders.order.cancelled.v1"
    object: ClassVar[str] = "order"

    account_id: UUID
    reason: str | None


class OrderLinesCancelled(Event):
    """Some of an order is not wanted any more; it comes to `total` now."""

    type: ClassVar[str] = "orders.order.lines_cancelled.v1"
    object: ClassVar[str] = "order"

    account_id: UUID
    total: dict[str, str]


class OrderShipped(Event):
    """Goods of an order went out. `lines` hold order_line_id, product_id and quantity, as texts."""

    type: ClassVar[str] = "orders.order.shipped.v1"
    object: ClassVar[str] = "order"

    account_id: UUID
    shipment_id: UUID
    carrier: str | None
    tracking_number: str | None
    lines: list[dict[str, str | None]]


class OrderFulfilled(Event):
    """Everything that was ordered has been delivered."""

    type: ClassVar[str] = "orders.order.fulfilled.v1"
    object: ClassVar[str] = "order"

    account_id: UUID


class ReturnCompleted(Event):
    """Goods came back, and their return is done: `resolution` says whether they were refunded, replaced or repaired.

    What was refunded is as if it had not been sold: what it earned is taken back, line by line. What was replaced or
    repaired stays sold.

    `lines` hold order_line_id, product_id, quantity and the refunded net and total, as decimal strings.
    """

    type: ClassVar[str] = "orders.return.completed.v1"
    object: ClassVar[str] = "return"

    order_id: UUID | None
    account_id: UUID
    partner_id: UUID | None
    resolution: str
    currency: str
    lines: list[dict[str, str | None]]


class InvoiceIssued(Event):
    """An invoice, or a credit note, got its number."""

    type: ClassVar[str] = "orders.invoice.issued.v1"
    object: ClassVar[str] = "invoice"

    account_id: UUID
    order_id: UUID | None
    contract_id: UUID | None
    kind: str
    number: str
    total: dict[str, str]
    due_on: date | None


class InvoicePaid(Event):
    """Nothing is open on an invoice any more."""

    type: ClassVar[str] = "orders.invoice.paid.v1"
    object: ClassVar[str] = "invoice"

    account_id: UUID
    order_id: UUID | None
    contract_id: UUID | None


class PaymentReceived(Event):
    """A customer paid, or was paid back (`kind` refund)."""

    type: ClassVar[str] = "orders.payment.received.v1"
    object: ClassVar[str] = "payment"

    account_id: UUID
    kind: str
    method: str
    amount: dict[str, str]
    received_on: date


class InvoiceOverdue(Event):
    """An invoice is past its due day and still open; told once."""

    type: ClassVar[str] = "orders.invoice.overdue.v1"
    object: ClassVar[str] = "invoice"

    account_id: UUID
    number: str
    owner_id: UUID | None
    due_on: date
