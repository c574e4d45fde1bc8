"""Tables of bills and of what becomes of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.kernel.models import Json, TenantOwned, Versioned, one_of
from app.kernel.states import StateMachine


class BillStatus(StrEnum):
    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


BILL_STATES: Final = StateMachine(
    "bill",
    BillStatus.DRAFT,
    {
        (BillStatus.DRAFT, "finalise"): BillStatus.OPEN,
        (BillStatus.OPEN, "pay"): BillStatus.PAID,
        (BillStatus.OPEN, "void"): BillStatus.VOID,
        (BillStatus.OPEN, "give_up"): BillStatus.UNCOLLECTIBLE,
        (BillStatus.UNCOLLECTIBLE, "pay"): BillStatus.PAID,
        (BillStatus.UNCOLLECTIBLE, "void"): BillStatus.VOID,
    },
)
OWED: Final = frozenset({BillStatus.OPEN, BillStatus.UNCOLLECTIBLE})


class Bill(Versioned):
    """What a company owes for a period; once issued, what it says never changes (a trigger says so).

    Amounts in minor units of `currency`. Of `total` what is not `balance_applied`, `paid` or credited is `due`; what
    is paid or credited beyond that goes to the company's balance. `period` is over, `following` is paid in advance.
    """

    __tablename__ = "bills"
    __table_args__ = (
        UniqueConstraint("tenant_id", "period_end", name="period"),
        UniqueConstraint("tenant_id", "number"),
        one_of("status", BillStatus),
        CheckConstraint("total = subtotal - discount + tax", name="total"),
        {"schema": "tenants"},
    )
    number: Mapped[str | None]
    status: Mapped[str]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    following_start: Mapped[datetime]
    following_end: Mapped[datetime]
    currency: Mapped[str]
    lines: Mapped[list[Any]]
    discounts: Mapped[list[Any]]
    tax_rate: Mapped[str]  # in percent
    reverse_charge: Mapped[bool]
    seller: Mapped[Json]
    buyer: Mapped[Json]
    subtotal: Mapped[int]
    discount: Mapped[int]
    tax: Mapped[int]
    total: Mapped[int]
    balance_applied: Mapped[int]
    paid: Mapped[int]
    credited: Mapped[int]
    credited_tax: Mapped[int]
    due: Mapped[int]
    usage_until: Mapped[datetime]  # usage that arrived later is not on this bill
    issued_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    provider: Mapped[str | None]
    provider_reference: Mapped[str | None]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]


class BillPayment(TenantOwned):
    """Money that came in for a bill; of its `amount` so much as is not `applied` went to the company's balance."""

    __tablename__ = "bill_payments"
    __table_args__ = (UniqueConstraint("tenant_id", "provider", "reference"), {"schema": "tenants"})
    bill_id: Mapped[UUID]
    provider: Mapped[str]
    reference: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[int]
    applied: Mapped[int]
    at: Mapped[datetime]


class BillCreditNote(TenantOwned):
    """What is given back of a bill: off what is due first, the rest to the company's balance or refunded."""

    __tablename__ = "bill_credit_notes"
    __table_args__ = (UniqueConstraint("tenant_id", "number"), {"schema": "tenants"})
    bill_id: Mapped[UUID]
    number: Mapped[str]
    currency: Mapped[str]
    lines: Mapped[list[Any]]  # [{"position": 2, "amount": 1500}], tax included; none: of the whole bill
    reason: Mapped[str]
    tax: Mapped[int]
    total: Mapped[int]
    applied: Mapped[int]
    to_balance: Mapped[int]
    refunded: Mapped[int]
    issued_at: Mapped[datetime]


class BillingTransaction(TenantOwned):
    """Something that moved money between accounts of the ledger."""

    __tablename__ = "billing_transactions"
    __table_args__ = ({"schema": "tenants"},)
    kind: Mapped[str]
    bill_id: Mapped[UUID | None]
    reference: Mapped[str | None]
    note: Mapped[str | None]
    at: Mapped[datetime]


class BillingEntry(TenantOwned):
    """One side of it; debits are positive. Entries of a transaction sum to zero per currency (a trigger says so)."""

    __tablename__ = "billing_entries"
    __table_args__ = ({"schema": "tenants"},)
    transaction_id: Mapped[UUID]
    account: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[int]
