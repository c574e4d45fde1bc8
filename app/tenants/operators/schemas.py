"""Wire schemas of operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from app.kernel.contact import Email
from app.kernel.money import Currency, MoneyIn, MoneyOut
from app.kernel.schemas import Input, Output, ShortText
from app.tenants.billing.periods import BillingInterval
from app.tenants.schemas import Country, Locale, TimeZone

Reason = Annotated[
    str,
    Field(
        min_length=5,
        max_length=500,
        description="Why; the company reads it in its audit log.",
        examples=["Asked for by their owner, ticket 4711."],
    ),
]
Status = Literal["trialing", "active", "past_due", "suspended", "cancelled"]


class WithReason(Input):
    reason: Reason


class OperatorTenantCreate(Input):
    """A company and its owner, who gets a mail to choose a password if they are new here."""

    company: ShortText = Field(examples=["Acme Ltd"])
    owner_name: ShortText = Field(examples=["Olivia Owner"])
    owner_email: Email
    locale: Locale = "en"
    country: Country = "US"
    time_zone: TimeZone = "UTC"
    currency: Currency = Currency("USD")
    reason: Reason


class OperatorTenant(Output):
    """A company as operators see it: its account, none of its data."""

    id: UUID
    name: str
    slug: str
    status: Status
    country: str
    currency: str
    locale: str
    time_zone: str
    members: int = Field(description="Active ones.")
    created_at: datetime


class OperatorMember(Output):
    id: UUID
    name: str
    email: str
    roles: list[str] = Field(description="Keys of their roles.")


class OperatorMemberList(Output):
    data: list[OperatorMember]


class PlanMove(Input):
    plan: str = Field(max_length=40, description="Key of a plan on offer.", examples=["professional"])
    interval: BillingInterval | None = Field(None, description="Absent: as it is.")
    reason: Reason


class ImpersonationCreate(Input):
    member_id: UUID
    reason: Reason
    minutes: int = Field(30, ge=1, le=60, description="How long at most.")
    may_write: bool = Field(False, description="Also change things; without it every change is refused.")


class ImpersonationRead(Output):
    """An operator in a member's place."""

    id: UUID = Field(description="Of the session.")
    member_id: UUID
    operator_id: UUID
    operator_name: str
    reason: str
    may_write: bool
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


class ImpersonationMade(ImpersonationRead):
    access_token: str = Field(description="Shown once; nothing prolongs it.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750
    expires_in: int = Field(description="Seconds.")


class ImpersonationList(Output):
    data: list[ImpersonationRead]


class OperatorActRead(Output):
    """What an operator did."""

    id: UUID
    tenant_id: UUID | None = Field(description="The company; null for the installation.")
    at: datetime
    operator_id: UUID
    operator_name: str
    action: str
    reason: str | None
    details: dict[str, Any]
    request_id: str


class CreditGrant(Input):
    amount: MoneyIn = Field(description="Negative takes credit back.")
    reason: Reason


class CreditBalance(Output):
    balance: MoneyOut = Field(
        description="What the company has in its favour, in this currency; bills take it first."
    )


class OperatorBill(Output):
    """A bill as operators list it."""

    id: UUID
    number: str | None
    status: Literal["draft", "open", "paid", "void", "uncollectible"]
    period_start: datetime
    period_end: datetime
    total: MoneyOut
    due: MoneyOut
    issued_at: datetime | None


class OperatorBillList(Output):
    data: list[OperatorBill]


class BillPaidByHand(Input):
    amount: MoneyIn
    reference: ShortText = Field(
        description="Of the payment, for instance the bank's; it is booked once.",
        examples=["Bank 2026-03-01 #17"],
    )
    reason: Reason


class ErasureRequest(Input):
    slug: ShortText = Field(description="The company's slug, so that nobody erases another by mistake.")
    reason: Reason


class ErasureRead(Output):
    """An erasure: under way, or over and certified."""

    tenant_id: UUID
    requested_at: datetime
    requested_by: str
    reason: str
    completed_at: datetime | None
    rows: dict[str, int] = Field(description="Deleted so far, by table.")
    certificate: dict[str, Any] | None = Field(description="Null until everything is gone.")
    key_id: str | None = Field(description="The public Ed25519 key that checks the signature, in base64url.")
    signature: str | None = Field(description="In base64url.")
    valid: bool | None = Field(description="Whether a key of this installation made the signature.")
