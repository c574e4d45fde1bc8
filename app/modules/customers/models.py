"""Accounts, the people in them, the roles they play, and what they consented to."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.duplicates import DuplicateColumns
from app.kernel.holding import HoldingColumns
from app.kernel.models import Base, Json, RecordTable, TenantOwned, Versioned, one_of


class AccountKind(StrEnum):
    COMPANY = "company"
    PERSON = "person"


class LifecycleStage(StrEnum):
    SUBSCRIBER = "subscriber"
    LEAD = "lead"
    QUALIFIED = "qualified"
    OPPORTUNITY = "opportunity"
    CUSTOMER = "customer"
    EVANGELIST = "evangelist"
    LOST = "lost"


class Rating(StrEnum):
    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class Channel(StrEnum):
    """A way to reach somebody; consent is kept per channel."""

    EMAIL = "email"
    PHONE = "phone"
    SMS = "sms"
    WECHAT = "wechat"
    POST = "post"


class ConsentStatus(StrEnum):
    GRANTED = "granted"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """What a contact plays when an account buys."""

    DECISION_MAKER = "decision_maker"
    INFLUENCER = "influencer"
    USER = "user"
    GATEKEEPER = "gatekeeper"
    CHAMPION = "champion"
    BLOCKER = "blocker"


class Account(HoldingColumns, DuplicateColumns, RecordTable):
    """An organisation that we deal with, or a consumer."""

    __tablename__ = "accounts"
    __table_args__ = (
        one_of("kind", AccountKind),
        one_of("lifecycle_stage", LifecycleStage),
        one_of("rating", Rating, nullable=True),
        one_of("preferred_channel", Channel, nullable=True),
        {"schema": "customers"},
    )

    name: Mapped[str]
    kind: Mapped[str]
    parent_id: Mapped[UUID | None]
    industry: Mapped[str | None]
    size: Mapped[str | None]
    country: Mapped[str | None]
    region: Mapped[str | None]
    city: Mapped[str | None]
    address: Mapped[str | None]
    postal_code: Mapped[str | None]
    website: Mapped[str | None]
    phone: Mapped[str | None]
    phones: Mapped[list[str]]
    email: Mapped[str | None]
    emails: Mapped[list[str]]
    registration_number: Mapped[str | None]
    source: Mapped[str | None]
    lifecycle_stage: Mapped[str]
    rating: Mapped[str | None]
    credit_limit: Mapped[int | None]  # minor units of `credit_currency`
    credit_currency: Mapped[str | None]
    payment_terms_days: Mapped[int | None]
    preferred_channel: Mapped[str | None]
    language: Mapped[str | None]
    description: Mapped[str | None]
    consents: Mapped[Json]  # the state of each channel; the history is in `consents`
    completeness: Mapped[int]


class Contact(DuplicateColumns, RecordTable):
    """A person. `account_id` and `role` are the first account; further ones are `ContactRole` rows."""

    __tablename__ = "contacts"
    __table_args__ = (
        one_of("role", Role, nullable=True),
        one_of("preferred_channel", Channel, nullable=True),
        {"schema": "customers"},
    )

    name: Mapped[str]
    family_name: Mapped[str | None]
    given_name: Mapped[str | None]
    title: Mapped[str | None]
    department: Mapped[str | None]
    account_id: Mapped[UUID | None]
    role: Mapped[str | None]
    reports_to_id: Mapped[UUID | None]
    email: Mapped[str | None]
    emails: Mapped[list[str]]
    phone: Mapped[str | None]
    mobile: Mapped[str | None]
    country: Mapped[str | None]
    region: Mapped[str | None]
    city: Mapped[str | None]
    address: Mapped[str | None]
    source: Mapped[str | None]
    preferred_channel: Mapped[str | None]
    language: Mapped[str | None]
    time_zone: Mapped[str | None]
    description: Mapped[str | None]
    consents: Mapped[Json]
    completeness: Mapped[int]


class ContactRole(TenantOwned):
    """A contact's part in an account that is not their first one."""

    __tablename__ = "contact_roles"
    __table_args__ = (one_of("role", Role, nullable=True), {"schema": "customers"})

    contact_id: Mapped[UUID]
    account_id: Mapped[UUID]
    role: Mapped[str | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]


class Consent(TenantOwned):
    """One statement about one channel; append-only, so that it can be proved later."""

    __tablename__ = "consents"
    __table_args__ = (
        one_of("channel", Channel),
        one_of("status", ConsentStatus),
        {"schema": "customers"},
    )

    object: Mapped[str]
    record_id: Mapped[UUID]
    channel: Mapped[str]
    status: Mapped[str]
    source: Mapped[str]
    note: Mapped[str | None]
    given_at: Mapped[datetime]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]


class PoolMovementKind(StrEnum):
    """How a record came into a pool or out of it."""

    RELEASED = "released"
    RECYCLED = "recycled"
    CLAIMED = "claimed"
    DISTRIBUTED = "distributed"
    ASSIGNED = "assigned"


class Pool(Versioned):
    """Records of one type that nobody owns, and the rules by which they are claimed and come back.

    `recycle_rules` are `[{"kind", "days", "level_field", "levels"}]`. Deleted pools stay for the sake of the log.
    """

    __tablename__ = "pools"
    __table_args__ = ({"schema": "customers"},)

    object: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    is_enabled: Mapped[bool]
    open_to_all: Mapped[bool]
    holding_limit: Mapped[int | None]
    holding_counts_won: Mapped[bool]
    claim_limit_per_request: Mapped[int | None]
    claim_limit_per_day: Mapped[int | None]
    former_owner_ban_days: Mapped[int | None]
    embargo_hours: Mapped[int | None]
    view_limit_per_day: Mapped[int | None]
    mask_contacts: Mapped[bool]
    recycle_enabled: Mapped[bool]
    recycle_rules: Mapped[list[Any]]
    recycle_exemptions: Mapped[list[str]]
    recycle_exempt_tags: Mapped[list[str]]
    reminder_days: Mapped[int | None]
    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=904)


class PoolMember(TenantOwned):
    """A member or a team that may claim from a pool, or a member who administers it."""

    __tablename__ = "pool_members"
    __table_args__ = ({"schema": "customers"},)

    pool_id: Mapped[UUID]
    is_admin: Mapped[bool]
    member_id: Mapped[UUID | None]
    team_id: Mapped[UUID | None]


class PoolUse(Base):
    """How often a member claimed from a pool and opened its records, on one day of the tenant's time zone."""

    __tablename__ = "pool_uses"
    __table_args__ = ({"schema": "customers"},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    pool_id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    claims: Mapped[int]
    views: Mapped[int]


class PoolView(Base):
    """A pooled record that a member has opened on a day; the second look at it costs nothing."""

    __tablename__ = "pool_views"
    __table_args__ = ({"schema": "customers"},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    record_id: Mapped[UUID] = mapped_column(primary_key=True)


class PoolMovement(TenantOwned):
    """A record's way into a pool or out of it: from whom (since `held_since` theirs), to whom, why. Append-only."""

    __tablename__ = "pool_movements"
    __table_args__ = (one_of("kind", PoolMovementKind), {"schema": "customers"})

    pool_id: Mapped[UUID]
    object: Mapped[str]
    record_id: Mapped[UUID]
    kind: Mapped[str]
    at: Mapped[datetime]
    from_owner_id: Mapped[UUID | None]
    held_since: Mapped[datetime | None]
    to_owner_id: Mapped[UUID | None]
    reason: Mapped[str | None]
    rule: Mapped[str | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID]
    actor_name: Mapped[str]
