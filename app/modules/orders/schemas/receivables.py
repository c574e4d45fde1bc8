"""What goes over the wire for invoices, payments, ageing, statements and credit."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.contact import Email
from app.kernel.decimals import DecimalOut, Percent
from app.kernel.figures import Language
from app.kernel.money import Money, MoneyIn, MoneyOut, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.kernel.totals import TaxRead
from app.modules.orders.models.receivables import (
    InvoiceKind,
    InvoiceStatus,
    PaymentKind,
    PaymentMethod,
)
from app.modules.orders.schemas.decimals import Quantity

MOST_LINES = 500
MOST_SHARES = 200


def _positive(value: str) -> str:
    if Decimal(value) <= 0:
        raise PydanticCustomError("not_positive", "Give more than nothing")
    return value


def _positive_money(value: Money) -> Money:
    if value.amount_minor <= 0:
        raise PydanticCustomError("not_positive", "Give more than nothing")
    return value


PositiveQuantity = Annotated[Quantity, AfterValidator(_positive)]
Amount = Annotated[MoneyIn, AfterValidator(_positive_money)]


# -- invoices ------------------------------------------------------------------------------------------------


class InvoiceLineInput(Input):
    """Something that is charged for. The price includes tax where the invoice says so."""

    product_id: UUID | None = None
    description: ShortText
    unit: Annotated[str, StringConstraints(max_length=40)] | None = None
    quantity: PositiveQuantity = "1"
    unit_price: UnitPriceIn
    discount_percent: Percent = "0"
    tax_rate: Percent = "0"


def _one_currency(lines: list[InvoiceLineInput]) -> list[InvoiceLineInput]:
    if len({line.unit_price.currency for line in lines}) > 1:
        raise PydanticCustomError("one_currency", "An invoice is in one currency")
    if any(line.unit_price.amount < 0 for line in lines):
        raise PydanticCustomError("negative_price", "A credit note takes money off, not a negative price")
    return lines


InvoiceLines = Annotated[
    list[InvoiceLineInput], Field(min_length=1, max_length=MOST_LINES), AfterValidator(_one_currency)
]


class _InvoiceFields(RecordInput):
    due_on: date | None = Field(
        None, description="Absent: by the account's payment terms, from the day of issue."
    )
    reference: ShortText | None = Field(None, description="The customer's own, as of their purchase order.")
    note: LongText | None = None


class InvoiceCreate(_InvoiceFields):
    """A draft of an invoice by hand; those of orders and contracts are made from them."""

    account_id: UUID
    lines: InvoiceLines
    tax_included: bool = Field(False, description="Whether the prices include tax.")


InvoiceUpdate = patch_of(_InvoiceFields, "InvoiceUpdate")
InvoiceUpdate.__doc__ = (
    "Changes to an invoice; what is printed on it changes only in a draft, its lines by `PUT …/lines`."
)


class InvoiceRead(RecordOutput):
    """An invoice or a credit note.

    `paid` is what the customer has paid for it in the end, `credited` what credit notes took off, `open_amount` what
    is still to be paid, or, of a credit note, still to be used.
    """

    number: str | None
    kind: InvoiceKind
    status: InvoiceStatus
    account_id: UUID
    customer_name: str | None
    order_id: UUID | None
    contract_id: UUID | None
    instalment_id: UUID | None
    corrects_id: UUID | None
    reason: str | None
    reference: str | None
    note: str | None
    currency: str
    tax_included: bool
    net: MoneyOut
    tax: MoneyOut
    total: MoneyOut
    paid: MoneyOut
    credited: MoneyOut
    open_amount: MoneyOut
    issued_on: date | None
    due_on: date | None
    settled_on: date | None
    overdue_since: date | None


class InvoiceLineRead(Output):
    """A line; `gross` less `discount` and its share of the header's discount is `net`, with prices before tax.

    Amounts are null where they are hidden from you.
    """

    id: UUID
    position: int
    order_line_id: UUID | None
    corrects_line_id: UUID | None
    product_id: UUID | None
    description: str
    unit: str | None
    quantity: DecimalOut
    unit_price: UnitPriceOut | None
    tax_rate: DecimalOut
    gross: MoneyOut | None
    discount: MoneyOut | None
    header_discount: MoneyOut | None
    net: MoneyOut | None
    tax: MoneyOut | None
    total: MoneyOut | None
    credited_quantity: DecimalOut
    credited_total: MoneyOut | None


class InvoiceDetail(InvoiceRead):
    """An invoice with its lines in their order, and its tax by rate."""

    lines: list[InvoiceLineRead]
    taxes: list[TaxRead]


class InvoiceLinesWrite(Input):
    """All lines of a draft, in place of those it has."""

    lines: InvoiceLines


class InvoiceIssue(Input):
    """When it is issued: absent today, never later."""

    issued_on: date | None = None


class InvoiceMailing(Input):
    """How an invoice goes to the customer by mail."""

    to: Email | None = Field(None, description="Absent: the address of the order's contact.")
    message: LongText | None = Field(None, description="Stands in the mail before what we say.")
    language: Language | None = Field(None, description="Of the mail and the PDF; absent: the company's.")


class InvoiceMailed(Output):
    """Where an invoice is on its way to."""

    invoice_id: UUID
    to: str


class CreditLine(Input):
    """So much of one line of the invoice."""

    invoice_line_id: UUID
    quantity: PositiveQuantity


class CreditNoteCreate(Input):
    """What to take off an invoice: these quantities, this amount, or, without either, everything that is left."""

    reason: ShortText = Field(examples=["damaged in transit"])
    lines: Annotated[list[CreditLine], Field(min_length=1, max_length=MOST_LINES)] | None = None
    amount: Amount | None = Field(None, description="With tax; shared out over the lines.")

    @model_validator(mode="after")
    def _one_way(self) -> CreditNoteCreate:
        if self.lines is not None and self.amount is not None:
            raise PydanticCustomError("one_way", "Give quantities or an amount, not both")
        return self


class InvoicedAs(StrEnum):
    """What of an order is invoiced: what has been shipped, or everything that is left."""

    SHIPPED = "shipped"
    REMAINING = "remaining"


class OrderLineShare(Input):
    """So much of a line of the order."""

    order_line_id: UUID
    quantity: PositiveQuantity


class OrderInvoice(Input):
    """An invoice of an order; of each line never more than was ordered.

    `percent` invoices that part of every line in advance; what is shipped or left later is less by it.
    """

    order_id: UUID
    what: InvoicedAs = InvoicedAs.REMAINING
    percent: Annotated[Percent, AfterValidator(_positive)] | None = None
    lines: Annotated[list[OrderLineShare], Field(min_length=1, max_length=MOST_LINES)] | None = None
    due_on: date | None = Field(
        None, description="Absent: by the account's payment terms, from the day of issue."
    )

    @model_validator(mode="after")
    def _one_way(self) -> OrderInvoice:
        if self.lines is not None and self.percent is not None:
            raise PydanticCustomError("one_way", "Give quantities or a percentage, not both")
        return self


PaymentState = Literal["unpaid", "partly_paid", "paid"]


class OrderInvoiceRead(Output):
    """An invoice or credit note of an order."""

    id: UUID
    number: str | None
    kind: InvoiceKind
    status: InvoiceStatus
    total: MoneyOut
    open_amount: MoneyOut
    due_on: date | None


class OrderPaymentRead(Output):
    """What of a payment went to an order's invoices."""

    id: UUID
    number: str
    received_on: date
    amount: MoneyOut


class OrderReceivables(Output):
    """How an order stands: `invoiced` net of credit notes, `to_invoice` what is not invoiced yet, drafts aside."""

    order_id: UUID
    total: MoneyOut
    invoiced: MoneyOut
    to_invoice: MoneyOut
    paid: MoneyOut
    open: MoneyOut
    payment_status: PaymentState
    invoices: list[OrderInvoiceRead]
    payments: list[OrderPaymentRead]


class InstalmentInvoice(Input):
    """An invoice for one payment of a contract's plan; its amounts include tax."""

    instalment_id: UUID
    amount: Amount | None = Field(None, description="Absent: what has not been invoiced of it yet.")
    tax_rate: Percent = "0"


# -- payments and allocations --------------------------------------------------------------------------------


class _PaymentFields(RecordInput):
    method: PaymentMethod
    reference: ShortText | None = Field(None, description="The bank's; taken once per account.")
    note: LongText | None = None


class PaymentCreate(_PaymentFields):
    """Money that came in."""

    account_id: UUID
    amount: Amount
    received_on: date | None = Field(None, description="Absent means today.")


PaymentUpdate = patch_of(_PaymentFields, "PaymentUpdate")
PaymentUpdate.__doc__ = "Changes to a payment; its amount stays: delete it and enter it again."


class PaymentRead(RecordOutput):
    """A payment of a customer, or a refund to one."""

    number: str
    kind: PaymentKind
    method: PaymentMethod
    account_id: UUID
    amount: MoneyOut
    unallocated: MoneyOut
    received_on: date
    reference: str | None
    note: str | None


class Share(Input):
    """So much for one invoice."""

    invoice_id: UUID
    amount: Amount


class Allocate(Input):
    """For which invoices; without any, those of the account in the same currency, the first due first."""

    allocations: Annotated[list[Share], Field(min_length=1, max_length=MOST_SHARES)] | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Allocate:
        ids = [share.invoice_id for share in self.allocations or ()]
        if len(set(ids)) != len(ids):
            raise PydanticCustomError("twice", "Name each invoice once")
        return self


class Deallocate(Input):
    """Which allocations to take back; without any, all of them that are for invoices."""

    allocation_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_SHARES)] | None = None


class RefundCreate(Input):
    """Money that goes back to the customer."""

    method: PaymentMethod
    amount: Amount | None = Field(None, description="Absent: all that is left.")
    received_on: date | None = Field(None, description="When it was paid back; absent means today.")
    reference: ShortText | None = None
    note: LongText | None = None


class AllocationRead(Output):
    """So much of a payment or credit note, for an invoice or a refund. `reversed`: it was taken back."""

    id: UUID
    payment_id: UUID | None
    credit_note_id: UUID | None
    invoice_id: UUID | None
    refund_id: UUID | None
    amount: MoneyOut
    counts_on: date
    reverses_id: UUID | None
    reversed: bool
    created_at: datetime
    created_by: UUID | None


class Allocations(Output):
    """Everything that was allocated and taken back, in that order."""

    data: list[AllocationRead]
