"""Wire schemas of operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from app.kernel.contact import Email
from app.kernel.money import Currency
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
