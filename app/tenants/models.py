"""Tables of a tenant's own people. What crosses tenants (users, tokens, key hashes) is plain SQL in `auth`.

Those control tables are out of reach for the application role, so no mapped class tempts anyone to read them.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, TenantOwned, Versioned, one_of


class TenantStatus(StrEnum):
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    ERASED = "erased"


class SuspendedFor(StrEnum):
    """Why an account is suspended: a payment ends what is for something unpaid, the operator what they began."""

    UNPAID = "unpaid"
    TRIAL_OVER = "trial_over"
    OPERATOR = "operator"


class MemberStatus(StrEnum):
    ACTIVE = "active"
    DEACTIVATED = "deactivated"


class InvitationStatus(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REVOKED = "revoked"


class Tenant(Versioned):
    """A subscribing company and its settings; it owns its own row (`id = tenant_id`)."""

    __tablename__ = "tenants"
    __table_args__ = (
        one_of("status", TenantStatus),
        one_of("suspended_for", SuspendedFor),
        CheckConstraint("id = tenant_id", name="own_row"),
        CheckConstraint("fiscal_year_start_month BETWEEN 1 AND 12", name="fiscal_year_start_month"),
        {"schema": "tenants"},
    )
    name: Mapped[str]
    slug: Mapped[str]
    status: Mapped[str]
    locale: Mapped[str]  # BCP 47: en, zh-CN
    time_zone: Mapped[str]  # IANA
    currency: Mapped[str]  # ISO 4217
    country: Mapped[str]  # ISO 3166-1 alpha-2
    fiscal_year_start_month: Mapped[int]
    business_calendar: Mapped[Json]
    sign_up_key: Mapped[bytes | None] = mapped_column(info={"secret": True})
    legal_name: Mapped[str | None]
    address: Mapped[str | None]  # line by line
    tax_number: Mapped[str | None]
    bank_details: Mapped[str | None]  # line by line
    brand_color: Mapped[str | None]  # #rrggbb
    logo_hash: Mapped[bytes | None]  # SHA-256 of the logo's bytes
    trial_ends_at: Mapped[datetime | None]  # a full hour; what follows is billed
    past_due_since: Mapped[datetime | None]
    suspended_at: Mapped[datetime | None]
    suspended_for: Mapped[str | None]
    cancel_at: Mapped[datetime | None]  # as its people asked for
    cancelled_at: Mapped[datetime | None]
    export_until: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]


class Logo(TenantOwned):
    """The picture on a company's documents and pages; it has one (`id = tenant_id`)."""

    __tablename__ = "logos"
    __table_args__ = (CheckConstraint("id = tenant_id", name="own_row"), {"schema": "tenants"})
    media_type: Mapped[str]
    content: Mapped[bytes]


class Role(Versioned):
    """A named set of grants. Built-in roles keep no grants here: they follow what the modules declare."""

    __tablename__ = "roles"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        UniqueConstraint("tenant_id", "name"),
        {"schema": "tenants"},
    )
    key: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    built_in: Mapped[bool]
    grants: Mapped[Json]  # "lead:read" → "team"
    field_rules: Mapped[Json]  # "lead" → {"hidden": [...], "readonly": [...]}


class Member(Versioned):
    """A person's membership in a tenant. `email` is a copy of the identity's, which the tenant may not read."""

    __tablename__ = "members"
    __table_args__ = (
        UniqueConstraint("tenant_id", "user_id"),
        one_of("status", MemberStatus),
        {"schema": "tenants"},
    )
    user_id: Mapped[UUID]
    email: Mapped[str]
    email_key: Mapped[str]
    name: Mapped[str]
    title: Mapped[str | None]
    status: Mapped[str]
    role_ids: Mapped[list[UUID]]
    team_ids: Mapped[list[UUID]]  # the first is the home team
    manager_id: Mapped[UUID | None]
    joined_at: Mapped[datetime]
    deactivated_at: Mapped[datetime | None]
    calendar_id: Mapped[UUID | None]
    skills: Mapped[list[Any]]  # [{"skill": "Chinese", "level": 3}]


class Team(Versioned):
    """A node of the sales organisation."""

    __tablename__ = "teams"
    __table_args__ = (UniqueConstraint("tenant_id", "name"), {"schema": "tenants"})
    name: Mapped[str]
    parent_id: Mapped[UUID | None]
    manager_id: Mapped[UUID | None]
    calendar_id: Mapped[UUID | None]


class Session(TenantOwned):
    """A signed-in device: the family of its refresh tokens."""

    __tablename__ = "sessions"
    __table_args__ = ({"schema": "tenants"},)
    user_id: Mapped[UUID]
    member_id: Mapped[UUID]
    device: Mapped[str]
    user_agent: Mapped[str]
    ip: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # whatever happens; idling ends it earlier
    revoked_at: Mapped[datetime | None]
    revoked_because: Mapped[str | None]
    operator_id: Mapped[UUID | None]  # whoever acts in the member's place
    operator_name: Mapped[str | None]
    purpose: Mapped[str | None]  # why, in the operator's words
    may_write: Mapped[bool | None]


class OperatorAct(TenantOwned):
    """What an operator did with a company; of the zero tenant where it concerned the installation."""

    __tablename__ = "operator_acts"
    __table_args__ = ({"schema": "tenants"},)
    at: Mapped[datetime]
    operator_id: Mapped[UUID]
    operator_name: Mapped[str]
    action: Mapped[str]
    reason: Mapped[str | None]
    details: Mapped[Json]
    request_id: Mapped[str]


class ApiKey(Versioned):
    """A key of a member's, for machines. Its hash lives in a control table."""

    __tablename__ = "api_keys"
    __table_args__ = ({"schema": "tenants"},)
    member_id: Mapped[UUID]
    name: Mapped[str]
    hint: Mapped[str]
    grants: Mapped[Json]  # what it may do, at most what its member may
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Invitation(Versioned):
    """Somebody asked to join; the token that proves it is known to the mail only."""

    __tablename__ = "invitations"
    __table_args__ = (one_of("status", InvitationStatus), {"schema": "tenants"})
    email: Mapped[str]
    email_key: Mapped[str]
    name: Mapped[str]
    role_ids: Mapped[list[UUID]]
    team_ids: Mapped[list[UUID]]
    status: Mapped[str]
    invited_by: Mapped[UUID]
    member_id: Mapped[UUID | None]
    expires_at: Mapped[datetime]


class Calendar(Versioned):
    """Business hours; at most one is the tenant's default. Without one, the tenant's `business_calendar` counts."""

    __tablename__ = "calendars"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("subdivision IS NULL OR country IS NOT NULL", name="subdivision"),
        {"schema": "tenants"},
    )
    name: Mapped[str]
    time_zone: Mapped[str]  # IANA
    days: Mapped[Json]
    country: Mapped[str | None]  # whose public holidays are free: ISO 3166-1 alpha-2
    subdivision: Mapped[str | None]
    days_off: Mapped[list[Any]]
    work_days: Mapped[list[Any]]
    is_default: Mapped[bool]


class Absence(Versioned):
    """A member is not there from `starts_at` until before `ends_at`."""

    __tablename__ = "absences"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_at"),
        CheckConstraint("stand_in_id <> member_id", name="stand_in_id"),
        {"schema": "tenants"},
    )
    member_id: Mapped[UUID]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str | None]
    stand_in_id: Mapped[UUID | None]


class ExchangeRate(Versioned):
    """What one unit of `currency` is worth in the company's own from a day on, until the next such day."""

    __tablename__ = "exchange_rates"
    __table_args__ = (
        UniqueConstraint("tenant_id", "home_currency", "currency", "valid_from"),
        CheckConstraint("rate > 0", name="rate"),
        {"schema": "tenants"},
    )
    currency: Mapped[str]
    home_currency: Mapped[str]  # the company's own when the rate was entered; others do not count
    valid_from: Mapped[date]
    rate: Mapped[Decimal]


DEFAULT_CALENDAR: dict[str, Any] = {
    "days": {day: [["09:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
    "holidays": [],
}
