"""What a programme gives beside points for orders: for referrals, and on birthdays and anniversaries."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import Json, TenantOwned, Versioned, module_ref, one_of

_SCHEMA = {"schema": "membership"}


class Occasion(StrEnum):
    """Days of a member's that come back every year: of their birth, and of their joining."""

    BIRTHDAY = "birthday"
    ANNIVERSARY = "anniversary"


class ReferralStatus(StrEnum):
    """`qualified`: the first order is enough; it is rewarded once that cannot come back any more."""

    PENDING = "pending"
    QUALIFIED = "qualified"
    REWARDED = "rewarded"
    REJECTED = "rejected"


class RewardSettings(Versioned):
    """Of a programme, whose id it has. `wallet_limit` is in minor units of the programme's currency."""

    __tablename__ = "reward_settings"
    __table_args__ = (_SCHEMA,)

    wallet_limit: Mapped[int | None]
    referral: Mapped[Json | None]
    occasions: Mapped[list[Any]]


class ReferralCode(TenantOwned):
    """The code that a member, whose id it has, passes on."""

    __tablename__ = "referral_codes"
    __table_args__ = (_SCHEMA,)

    code: Mapped[str]


class Referral(TenantOwned):
    """Somebody joined with a member's code. What it brings was promised then: `rewards` and `minimum_spend`.

    `referred_holder` is the account or contact that joined: it is brought in once for ever.
    """

    __tablename__ = "referrals"
    __table_args__ = (one_of("status", ReferralStatus), _SCHEMA)

    programme_id: Mapped[UUID]
    referrer_id: Mapped[UUID]
    referred_id: Mapped[UUID]
    referred_holder: Mapped[UUID]
    status: Mapped[str]
    reason: Mapped[str | None]
    made_on: Mapped[date]
    minimum_spend: Mapped[int]
    rewards: Mapped[Json]
    order_id: Mapped[UUID | None] = module_ref("orders.orders", on_delete="keep")
    due_on: Mapped[date | None]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


class BenefitGrant(TenantOwned):
    """What a member got for an occasion: once in a year, for ever."""

    __tablename__ = "benefit_grants"
    __table_args__ = (one_of("occasion", Occasion), _SCHEMA)

    member_id: Mapped[UUID]
    occasion: Mapped[str]
    year: Mapped[int]
    day: Mapped[date]
    rewards: Mapped[list[Any]]
    granted_at: Mapped[datetime]
