"""What other modules may know of membership: who is a member, and paying with points, coupons and stored value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberCard:
    """One membership as others show it; points are whole numbers, spendable now."""

    id: UUID
    programme_id: UUID
    programme: str
    number: str
    account_id: UUID | None
    contact_id: UUID | None
    tier: str | None
    points: int
    since: date


class Memberships(Protocol):
    """Members of loyalty programmes of the tenant at hand, as far as the actor sees them."""

    async def of(
        self, account_ids: Collection[UUID], contact_ids: Collection[UUID] = ()
    ) -> Mapping[UUID, list[MemberCard]]:
        """Memberships by account or contact id; those without any are absent. One statement."""


class InsufficientPoints(Conflict):
    """Carries `available` and `wanted`."""

    code = "insufficient_points"
    title = "There are not so many points to spend"


class MemberEnrolled(Event):
    """An account or a contact joined a programme."""

    type: ClassVar[str] = "membership.loyalty_member.enrolled.v1"
    object: ClassVar[str] = "loyalty_member"

    programme_id: UUID
    account_id: UUID | None
    contact_id: UUID | None
    number: str


class PointsEarned(Event):
    """Points were credited; `pending_until` says when they can be spent."""

    type: ClassVar[str] = "membership.loyalty_member.points_earned.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    order_id: UUID | None
    pending_until: date | None


class PointsBurned(Event):
    type: ClassVar[str] = "membership.loyalty_member.points_burned.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    order_id: UUID | None


class TierChanged(Event):
    type: ClassVar[str] = "membership.loyalty_member.tier_changed.v1"
    object: ClassVar[str] = "loyalty_member"

    from_tier: str | None
    to_tier: str | None
    reason: str


class ClassChanged(Event):
    """A member's group by recency, frequency and amount changed."""

    type: ClassVar[str] = "membership.loyalty_member.class_changed.v1"
    object: ClassVar[str] = "loyalty_member"

    from_class: str | None
    to_class: str


class PointsReversed(Event):
    """A return, or a cancelled order, took back what was earned and gave back what was burned."""

    type: ClassVar[str] = "membership.loyalty_member.points_reversed.v1"
    object: ClassVar[str] = "loyalty_member"

    order_id: UUID
    earned_reversed: int
    burned_restored: int
    debt: int


class PointsMatured(Event):
    """The return window is over: these points can be spent."""

    type: ClassVar[str] = "membership.loyalty_member.points_matured.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int


class PointsExpired(Event):
    type: ClassVar[str] = "membership.loyalty_member.points_expired.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int


class PointsReserved(Event):
    """Points are kept for an order."""

    type: ClassVar[str] = "membership.loyalty_member.points_reserved.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    order_id: UUID | None


class PointsReleased(Event):
    """Points that were kept for an order can be spent again."""

    type: ClassVar[str] = "membership.loyalty_member.points_released.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    order_id: UUID | None


class PointsTransferred(Event):
    """A member gave points to another."""

    type: ClassVar[str] = "membership.loyalty_member.points_transferred.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    to_member_id: UUID


class PointsAdjusted(Event):
    """Points were given or taken by hand."""

    type: ClassVar[str] = "membership.loyalty_member.points_adjusted.v1"
    object: ClassVar[str] = "loyalty_member"

    points: int
    qualifying_points: int
    reason: str


class TierInUse(Conflict):
    """Carries `tiers`."""

    code = "tier_in_use"
    title = "Members have this tier"


class ProgrammeInUse(Conflict):
    code = "programme_in_use"
    title = "The programme has members"


class ProgrammeClosed(Conflict):
    code = "programme_closed"
    title = "The programme is not active"


class MemberNotActive(Conflict):
    """Carries `state`."""

    code = "member_not_active"
    title = "The membership is not active"


class PointsLeft(Conflict):
    code = "points_left"
    title = "The member has moved points or money, which is kept for good"


class BurnSettled(Conflict):
    """Carries `state`."""

    code = "burn_settled"
    title = "The burn is not reserved any more"


class NothingEarned(Conflict):
    code = "nothing_earned"
    title = "No rule of the programme gives points for this now"


class AdjustmentNeedsApproval(Conflict):
    """Carries `limit`."""

    code = "adjustment_needs_approval"
    title = "So many points need approval, and no approval process applies"


class WalletToppedUp(Event):
    """A member paid in; `bonus` is what was given on top."""

    type: ClassVar[str] = "membership.loyalty_member.wallet_topped_up.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    amount: dict[str, str]
    bonus: dict[str, str]


class WalletPaid(Event):
    """An order or an invoice was paid from stored value."""

    type: ClassVar[str] = "membership.loyalty_member.wallet_paid.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    payment_id: UUID
    order_id: UUID | None
    invoice_id: UUID | None
    amount: dict[str, str]


class WalletRefunded(Event):
    """What stored value had paid came back to it."""

    type: ClassVar[str] = "membership.loyalty_member.wallet_refunded.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    order_id: UUID | None
    invoice_id: UUID | None
    amount: dict[str, str]


class WalletWithdrawn(Event):
    """A member got money paid out that they had paid in."""

    type: ClassVar[str] = "membership.loyalty_member.wallet_withdrawn.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    amount: dict[str, str]


class WalletAdjusted(Event):
    """Stored value was given or taken by hand; `amount` says which by its sign."""

    type: ClassVar[str] = "membership.loyalty_member.wallet_adjusted.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    amount: dict[str, str]
    reason: str


class WalletBonusExpired(Event):
    type: ClassVar[str] = "membership.loyalty_member.wallet_bonus_expired.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    amount: dict[str, str]


class WalletFrozen(Event):
    type: ClassVar[str] = "membership.loyalty_member.wallet_frozen.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    reason: str


class WalletUnfrozen(Event):
    type: ClassVar[str] = "membership.loyalty_member.wallet_unfrozen.v1"
    object: ClassVar[str] = "loyalty_member"

    wallet_id: UUID
    reason: str


class InsufficientStoredValue(Conflict):
    """Carries `available` and `wanted`, as money."""

    code = "insufficient_stored_value"
    title = "There is not so much in the wallet"


class WalletIsFrozen(Conflict):
    code = "wallet_frozen"
    title = "The wallet is frozen"


class WalletNotFrozen(Conflict):
    code = "wallet_not_frozen"
    title = "The wallet is not frozen"


class NothingToRefund(Conflict):
    """Carries `left`, the money that may come back."""

    code = "nothing_to_refund"
    title = "What was paid is owed still, or has been paid back"


class CouponFixed(Conflict):
    """Carries `state` and `fields`."""

    code = "coupon_fixed"
    title = "What a coupon gives does not change once customers have it"


class CouponInUse(Conflict):
    """Carries `state`."""

    code = "coupon_in_use"
    title = "The coupon was given out"


class CouponNotIssuable(Conflict):
    """Carries `state`, and `distribution` where its codes are given out otherwise."""

    code = "coupon_not_issuable"
    title = "The coupon has no codes to be given out like this"


class CouponIssued(Event):
    """A member got a code of their own."""

    type: ClassVar[str] = "membership.coupon.issued.v1"
    object: ClassVar[str] = "coupon"

    member_id: UUID
    code_id: UUID
    reference: str | None


class CouponRedeemed(Event):
    """An order was confirmed with a coupon; `amount` is what it took off."""

    type: ClassVar[str] = "membership.coupon.redeemed.v1"
    object: ClassVar[str] = "coupon"

    order_id: UUID
    account_id: UUID
    amount: dict[str, str]


class CouponGivenBack(Event):
    """What a coupon was used for is off, or came back whole: it can be used again."""

    type: ClassVar[str] = "membership.coupon.given_back.v1"
    object: ClassVar[str] = "coupon"

    order_id: UUID
    account_id: UUID
    amount: dict[str, str]


class ReferralMade(Event):
    """Somebody joined with a member's code; `status` is rejected where that brings nothing, for `reason`."""

    type: ClassVar[str] = "membership.loyalty_member.referral_made.v1"
    object: ClassVar[str] = "loyalty_member"

    referral_id: UUID
    referred_id: UUID
    status: str
    reason: str | None


class ReferralQualified(Event):
    """The first order of whoever was brought in is enough; it is rewarded on `due_on`."""

    type: ClassVar[str] = "membership.loyalty_member.referral_qualified.v1"
    object: ClassVar[str] = "loyalty_member"

    referral_id: UUID
    referred_id: UUID
    due_on: date


class ReferralRewarded(Event):
    """Both have what was promised."""

    type: ClassVar[str] = "membership.loyalty_member.referral_rewarded.v1"
    object: ClassVar[str] = "loyalty_member"

    referral_id: UUID
    referred_id: UUID


class ReferralRejected(Event):
    """It brings nothing after all."""

    type: ClassVar[str] = "membership.loyalty_member.referral_rejected.v1"
    object: ClassVar[str] = "loyalty_member"

    referral_id: UUID
    referred_id: UUID
    reason: str


class BenefitGranted(Event):
    """A member got something for their birthday, or for the anniversary of their joining."""

    type: ClassVar[str] = "membership.loyalty_member.benefit_granted.v1"
    object: ClassVar[str] = "loyalty_member"

    occasion: str
    day: date
    rewards: list[dict[str, Any]]


class ReferralDecided(Conflict):
    """Carries `state`."""

    code = "referral_decided"
    title = "It has been rewarded or rejected"
