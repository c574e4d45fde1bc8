"""Tables of payments: what is stored at the provider, and every attempt to take what is due."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.kernel.models import TenantOwned, one_of


class AttemptStatus(StrEnum):
    STARTED = "started"  # asked, and the answer not booked yet
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PaymentCustomer(TenantOwned):
    """Who the company is to a provider."""

    __tablename__ = "payment_customers"
    __table_args__ = (UniqueConstraint("tenant_id", "provider"), {"schema": "tenants"})
    provider: Mapped[str]
    reference: Mapped[str]


class PaymentMethod(TenantOwned):
    """A card or account that the company stored with its provider, as it was when we looked last."""

    __tablename__ = "payment_methods"
    __table_args__ = (UniqueConstraint("tenant_id", "provider", "reference"), {"schema": "tenants"})
    provider: Mapped[str]
    reference: Mapped[str]
    kind: Mapped[str]
    brand: Mapped[str | None]
    last4: Mapped[str | None]
    exp_month: Mapped[int | None]
    exp_year: Mapped[int | None]
    is_default: Mapped[bool]
    stored_at: Mapped[datetime]


class PaymentAttempt(TenantOwned):
    """One attempt to take what is due of a bill: by the schedule at a `step` of dunning, or asked for by somebody.

    Its id is the provider's idempotency key. While it is under way no other one of the bill begins; whoever claimed
    it last until `claimed_until` asks the provider.
    """

    __tablename__ = "payment_attempts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "bill_id", "step"),
        one_of("status", AttemptStatus),
        CheckConstraint("amount > 0", name="amount"),
        {"schema": "tenants"},
    )
    bill_id: Mapped[UUID]
    step: Mapped[int | None]
    provider: Mapped[str]
    customer: Mapped[str]
    method: Mapped[str]
    currency: Mapped[str]
    amount: Mapped[int]
    status: Mapped[str]
    reference: Mapped[str | None]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]
    started_at: Mapped[datetime]
    claimed_until: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class PaymentRefund(TenantOwned):
    """What a credit note gives back of a payment; without `reference` the provider has not said that it did."""

    __tablename__ = "payment_refunds"
    __table_args__ = (UniqueConstraint("tenant_id", "note_id", "payment_id"), {"schema": "tenants"})
    note_id: Mapped[UUID]
    payment_id: Mapped[UUID]
    amount: Mapped[int]
    reference: Mapped[str | None]
    refunded_at: Mapped[datetime | None]
