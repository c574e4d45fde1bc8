"""Programmes, their members, and the points that they earn and spend."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, RecordTable, TenantOwned, Versioned, module_ref, one_of

_SCHEMA = {"schema": "membership"}
_DERIVED = {"derived": True}


class EarnBasis(StrEnum):
    """What of an order's line earns: its price without tax, or with it."""

    NET = "net"
    TOTAL = "total"


class QualifyBy(StrEnum):
    """What a tier is reached by; a visit is an order of which something was kept."""

    AMOUNT = "amount"
    POINTS = "points"
    VISITS = "visits"


class TierPeriod(StrEnum):
    """Over what a tier is reached: the last months, or the calendar year."""

    ROLLING = "rolling"
    CALENDAR_YEAR = "calendar_year"


class MemberStatus(StrEnum):
    """`superseded`: its account or contact was merged into another that is a member already."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    SUPERSEDED = "superseded"


class BurnStatus(StrEnum):
    RESERVED = "reserved"
    COMMITTED = "committed"
    RELEASED = "released"


class AdjustmentStatus(StrEnum):
    PENDING = "pending"
    APPLIED = "applied"
    REFUSED = "refused"
    RECALLED = "recalled"


class TierReason(StrEnum):
    QUALIFIED = "qualified"
    RENEWED = "renewed"
    PERIOD_ENDED = "period_ended"


class Programme(Versioned):
    """The rules by which members earn and spend points. `burn_points` points are worth `burn_amount` minor units."""

    __tablename__ = "programmes"
    __table_args__ = (one_of("earn_basis", EarnBasis), _SCHEMA)

    key: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    points_name_en: Mapped[str]
    points_name_zh: Mapped[str | None]
    active: Mapped[bool]
    currency: Mapped[str]
    earn_basis: Mapped[str]
    return_window_days: Mapped[int]
    expiry_months: Mapped[int | None]
    burn_points: Mapped[int]
    burn_amount: Mapped[int]
    burn_minimum: Mapped[int]
    burn_step: Mapped[int]
    cap_order: Mapped[int | None]
    cap_day: Mapped[int | None]
    cap_member: Mapped[int | None]
    adjustment_limit: Mapped[int | None]
    earn_rules: Mapped[list[Any]]


class Tier(TenantOwned):
    """A rank of a programme; the higher its position the better. `threshold` is in minor units, points or visits."""

    __tablename__ = "tiers"
    __table_args__ = (one_of("qualify_by", QualifyBy), one_of("period", TierPeriod), _SCHEMA)

    programme_id: Mapped[UUID]
    position: Mapped[int]
    key: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    qualify_by: Mapped[str]
    threshold: Mapped[int]
    period: Mapped[str]
    period_months: Mapped[int | None]
    grace_days: Mapped[int]
    multiplier: Mapped[Decimal]
    benefits: Mapped[list[Any]]


class LoyaltyMember(RecordTable):
    """An account or a contact in a programme. The balances are sums of the ledger, moved with the row held.

    `points` can be spent, `points_pending` once the return window is over, `points_reserved` are promised to orders;
    `points_debt` is what a return took back beyond what was left, paid by what comes in next.
    """

    __tablename__ = "loyalty_members"
    __table_args__ = (one_of("status", MemberStatus), _SCHEMA)

    programme_id: Mapped[UUID]
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    number: Mapped[str]
    status: Mapped[str]
    since: Mapped[date]
    birthday: Mapped[date | None]
    time_zone: Mapped[str | None]  # None: the company's
    tier: Mapped[str | None]
    tier_since: Mapped[date | None]
    tier_until: Mapped[date | None]
    points: Mapped[int] = mapped_column(info=_DERIVED)
    points_pending: Mapped[int] = mapped_column(info=_DERIVED)
    points_reserved: Mapped[int] = mapped_column(info=_DERIVED)
    points_debt: Mapped[int] = mapped_column(info=_DERIVED)
    points_qualifying: Mapped[int] = mapped_column(info=_DERIVED)
    points_at: Mapped[datetime] = mapped_column(info=_DERIVED)
    rfm_class: Mapped[str | None]
    rfm_scores: Mapped[str | None]
    value_class: Mapped[str | None]
    rfm_explanation: Mapped[Json | None] = mapped_column(info=_DERIVED)
    rfm_at: Mapped[datetime | None] = mapped_column(info=_DERIVED)


class TierChange(TenantOwned):
    """One step of a member between tiers; None is the rank and file."""

    __tablename__ = "tier_changes"
    __table_args__ = (one_of("reason", TierReason), _SCHEMA)

    member_id: Mapped[UUID]
    from_tier: Mapped[str | None]
    to_tier: Mapped[str | None]
    reason: Mapped[str]
    until: Mapped[date | None]
    at: Mapped[datetime]


class Earning(TenantOwned):
    """What one order, or one event, brought a member, and how much of that returns took back.

    `amount` is in minor units of the programme's currency and on its basis. An adjustment of qualifying points is an
    earning without an order, which may be negative.
    """

    __tablename__ = "earnings"
    __table_args__ = (_SCHEMA,)

    member_id: Mapped[UUID]
    order_id: Mapped[UUID | None]
    event: Mapped[str | None]
    reference: Mapped[str | None]
    earned_on: Mapped[date]
    visits: Mapped[int]
    amount: Mapped[int]
    amount_returned: Mapped[int]
    spendable: Mapped[int]
    spendable_reversed: Mapped[int]
    qualifying: Mapped[int]
    qualifying_reversed: Mapped[int]


class OrderShare(TenantOwned):
    """One line of an order: which part of what was earned and burned belongs to it, and what of it came back."""

    __tablename__ = "order_shares"
    __table_args__ = (_SCHEMA,)

    member_id: Mapped[UUID]
    order_id: Mapped[UUID]
    order_line_id: Mapped[UUID]
    quantity: Mapped[Decimal]
    returned: Mapped[Decimal]
    amount: Mapped[int]
    spendable: Mapped[int]
    spendable_reversed: Mapped[int]
    qualifying: Mapped[int]
    qualifying_reversed: Mapped[int]
    burned: Mapped[int]
    burned_restored: Mapped[int]


class ReturnedLine(TenantOwned):
    """A line of a return that has been taken into account; its id is the return line's, so that it is once."""

    __tablename__ = "returned_lines"
    __table_args__ = (_SCHEMA,)

    return_id: Mapped[UUID]
    order_id: Mapped[UUID]
    order_line_id: Mapped[UUID]
    quantity: Mapped[Decimal]
    at: Mapped[datetime]


class PointLot(TenantOwned):
    """Spendable points that came together, with the last day on which they count.

    `matures_on` is set while they are pending. What is not `remaining`, `expired` or `reversed` was spent.
    """

    __tablename__ = "lots"
    __table_args__ = (_SCHEMA,)

    member_id: Mapped[UUID]
    earning_id: Mapped[UUID | None]
    earned_on: Mapped[date]
    matures_on: Mapped[date | None]
    expires_on: Mapped[date | None]
    points: Mapped[int]
    remaining: Mapped[int]
    expired: Mapped[int]
    reversed: Mapped[int]


class Burn(TenantOwned):
    """Points spent, or kept for an order until that is sure; worth `amount` minor units."""

    __tablename__ = "burns"
    __table_args__ = (one_of("status", BurnStatus), _SCHEMA)

    member_id: Mapped[UUID]
    order_id: Mapped[UUID | None]
    status: Mapped[str]
    points: Mapped[int]
    restored: Mapped[int]
    amount: Mapped[int]
    currency: Mapped[str]
    note: Mapped[str | None]
    made_by: Mapped[UUID | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class BurnTake(TenantOwned):
    """What a burn took of which lot, in order."""

    __tablename__ = "burn_takes"
    __table_args__ = (_SCHEMA,)

    burn_id: Mapped[UUID]
    lot_id: Mapped[UUID]
    position: Mapped[int]
    points: Mapped[int]
    restored: Mapped[int]


class Adjustment(TenantOwned):
    """Points, or `amount` minor units of a wallet, given or taken by hand; a pending one waits for approval."""

    __tablename__ = "adjustments"
    __table_args__ = (one_of("status", AdjustmentStatus), _SCHEMA)

    member_id: Mapped[UUID]
    points: Mapped[int]
    qualifying_points: Mapped[int]
    reason: Mapped[str]
    status: Mapped[str]
    requested_by: Mapped[UUID | None]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    amount: Mapped[int | None]
    currency: Mapped[str | None]


class LedgerTransaction(TenantOwned):
    """Why points moved; the same source moves them once for each kind."""

    __tablename__ = "ledger_transactions"
    __table_args__ = (_SCHEMA,)

    programme_id: Mapped[UUID]
    kind: Mapped[str]
    source_key: Mapped[str]
    order_id: Mapped[UUID | None]
    note: Mapped[str | None]
    made_by: Mapped[UUID | None]
    at: Mapped[datetime]


class LedgerEntry(TenantOwned):
    """So many points into an account of a member, or of the programme where there is none; a sum of zero overall."""

    __tablename__ = "ledger_entries"
    __table_args__ = (_SCHEMA,)

    transaction_id: Mapped[UUID]
    member_id: Mapped[UUID | None]
    account: Mapped[str]
    currency: Mapped[str]
    points: Mapped[int]
