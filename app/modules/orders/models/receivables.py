"""What customers owe: invoices and credit notes, payments and refunds, and which was settled with which."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, TenantOwned, Versioned, module_ref, one_of


class InvoiceKind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class InvoiceStatus(StrEnum):
    """Of a credit note, `partly_paid` and `paid` say how much of it was used."""

    DRAFT = "draft"
    OPEN = "open"
    PARTLY_PAID = "partly_paid"
    PAID = "paid"
    CREDITED = "credited"
    VOID = "void"


class PaymentKind(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"


class PaymentMethod(StrEnum):
    """`stored_value` is money that the customer has with us already: whoever keeps it enters such payments."""

    CASH = "cash"
    BANK_TRANSFER = "bank_transfer"
    CARD = "card"
    ALIPAY = "alipay"
    WECHAT_PAY = "wechat_pay"
    CHEQUE = "cheque"
    DIRECT_DEBIT = "direct_debit"
    STORED_VALUE = "stored_value"
    OTHER = "other"


class CreditMode(StrEnum):
    """What happens to an order that an account's credit limit does not cover."""

    BLOCK = "block"
    WARN = "warn"
    APPROVAL = "approval"


class Invoice(RecordTable):
    """An invoice to a customer, or a credit note that corrects one. Amounts are minor units of `currency`.

    `settled` is what was allocated to it (of a credit note: what of it was used), `credited` what credit notes took
    off it again. `paid` = `settled` - `credited` is what the customer has paid for it in the end, and `open_amount`
    = `total` - `settled` what is still open. Issued, it is immutable but for these.
    """

    __tablename__ = "invoices"
    __table_args__ = (one_of("kind", InvoiceKind), one_of("status", InvoiceStatus), {"schema": "orders"})

    number: Mapped[str | None]  # without gaps; given when it is issued
    kind: Mapped[str]
    status: Mapped[str]
    account_id: Mapped[UUID] = module_ref("customers.accounts", on_delete="restrict")
    customer_name: Mapped[str | None]  # as it was called on the day of issue
    order_id: Mapped[UUID | None]
    contract_id: Mapped[UUID | None] = module_ref("contracts.contracts", on_delete="keep")
    instalment_id: Mapped[UUID | None] = module_ref("contracts.instalments", on_delete="keep")
    corrects_id: Mapped[UUID | None]
    reason: Mapped[str | None]  # why a credit note was given
    reference: Mapped[str | None]  # the customer's own
    note: Mapped[str | None]
    currency: Mapped[str]
    tax_included: Mapped[bool]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    settled: Mapped[int]
    credited: Mapped[int]
    paid: Mapped[int]
    open_amount: Mapped[int]
    issued_on: Mapped[date | None]
    due_on: Mapped[date | None]
    settled_on: Mapped[date | None]
    overdue_since: Mapped[date | None]


class InvoiceLine(TenantOwned):
    """A line of an invoice; `credited_quantity` and `credited_total` say what credit notes took off it again."""

    __tablename__ = "invoice_lines"
    __table_args__ = ({"schema": "orders"},)

    invoice_id: Mapped[UUID]
    position: Mapped[int]
    order_line_id: Mapped[UUID | None]
    corrects_line_id: Mapped[UUID | None]
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="keep")
    description: Mapped[str]
    unit: Mapped[str | None]
    quantity: Mapped[Decimal]
    unit_price: Mapped[Decimal]  # major units
    tax_rate: Mapped[Decimal]  # percent
    gross: Mapped[int]
    discount: Mapped[int]
    header_discount: Mapped[int]
    net: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    credited_quantity: Mapped[Decimal]
    credited_total: Mapped[int]


class Payment(RecordTable):
    """Money that a customer paid, or a refund. `unallocated` settles nothing yet; of a refund it is always 0.

    A bank's `reference` is there once for the account that was named when it was entered, `reference_scope`.
    """

    __tablename__ = "payments"
    __table_args__ = (one_of("kind", PaymentKind), one_of("method", PaymentMethod), {"schema": "orders"})

    number: Mapped[str]
    kind: Mapped[str]
    method: Mapped[str]
    account_id: Mapped[UUID] = module_ref("customers.accounts", on_delete="restrict")
    amount: Mapped[int]  # minor units of `currency`
    currency: Mapped[str]
    unallocated: Mapped[int]
    received_on: Mapped[date]
    reference: Mapped[str | None]
    reference_scope: Mapped[UUID]
    note: Mapped[str | None]


class Allocation(TenantOwned):
    """So much of a payment or a credit note was used for an invoice or a refund. Never changed: taken back by a
    row with the opposite amount.

    It counts from the day on which both sides were there, whenever somebody entered it.
    """

    __tablename__ = "allocations"
    __table_args__ = ({"schema": "orders"},)

    payment_id: Mapped[UUID | None]
    credit_note_id: Mapped[UUID | None]
    invoice_id: Mapped[UUID | None]
    refund_id: Mapped[UUID | None]
    amount: Mapped[int]
    currency: Mapped[str]
    counts_on: Mapped[date]
    reverses_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]


class CreditSettings(Versioned):
    """How a company treats orders beyond a credit limit; without a row it blocks them."""

    __tablename__ = "credit_settings"
    __table_args__ = (one_of("mode", CreditMode), {"schema": "orders"})

    mode: Mapped[str]
