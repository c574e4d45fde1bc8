"""The wire shapes of what a programme gives beside points for orders."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.money import Money, MoneyIn, MoneyOut
from app.kernel.schemas import Input, Output, Page
from app.modules.membership.models.rewards import Occasion, ReferralStatus
from app.modules.membership.schemas.members import Note
from app.modules.membership.schemas.programmes import Factor, Points


def _not_negative(amount: Money) -> Money:
    if amount.amount_minor < 0:
        raise PydanticCustomError("negative", "Not less than nothing")
    return amount


NotNegative = Annotated[MoneyIn, AfterValidator(_not_negative)]


class RewardKind(StrEnum):
    """What is given: points, bonus money, a coupon of the member's own, or more points for orders of that day."""

    POINTS = "points"
    WALLET = "wallet"
    COUPON = "coupon"
    MULTIPLIER = "multiplier"


_NEEDS = {
    RewardKind.POINTS: "points",
    RewardKind.WALLET: "amount",
    RewardKind.COUPON: "coupon_id",
    RewardKind.MULTIPLIER: "factor",
}


class RewardInput(Input):
    """One thing that is given. It says what its kind needs, and nothing else."""

    kind: RewardKind
    points: Points | None = None
    amount: NotNegative | None = Field(None, description="Bonus money for the wallet in this currency.")
    coupon_id: UUID | None = Field(None, description="A coupon that is given out to single members.")
    factor: Factor | None = Field(None, description="Kind multiplier: of the points of orders of that day.")
    valid_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="How long bonus money or a coupon lasts. Absent: for ever, or as it says.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {name for name in _NEEDS.values() if getattr(self, name) is not None}
        if given != {_NEEDS[self.kind]}:
            raise PydanticCustomError("other_kind", "A reward says what its kind needs, and nothing else")
        if self.amount is not None and not self.amount.amount_minor:
            raise PydanticCustomError("nothing", "A reward is more than nothing")
        if self.valid_days is not None and self.kind not in (RewardKind.WALLET, RewardKind.COUPON):
            raise PydanticCustomError("no_end", "Only bonus money and coupons last so long")
        return self


class RewardRead(Output):
    kind: RewardKind
    points: int | None
    amount: MoneyOut | None
    coupon_id: UUID | None
    factor: str | None
    valid_days: int | None


Rewards = Annotated[list[RewardInput], Field(max_length=5)]


class ReferralRule(Input):
    """What bringing somebody in is worth, once their first order that is enough cannot come back any more."""

    active: bool = True
    referrer: Rewards = Field(default_factory=list, description="For the member whose code it was.")
    referred: Rewards = Field(default_factory=list, description="For whoever joined with it.")
    minimum_spend: NotNegative | None = Field(
        None, description="What of the order has to be kept, as the programme counts what earns."
    )
    max_per_month: int | None = Field(
        None, ge=1, le=10_000, description="Most that one member brings in within a calendar month."
    )

    @model_validator(mode="after")
    def _no_days(self) -> Self:
        if any(one.kind is RewardKind.MULTIPLIER for one in (*self.referrer, *self.referred)):
            raise PydanticCustomError("no_day", "There is no day on which more points would be given")
        return self


class OccasionRule(Input):
    """What members get on a day that comes back every year, by the clock of where they are."""

    occasion: Occasion
    rewards: Annotated[list[RewardInput], Field(min_length=1, max_length=5)]
    catch_up_days: int = Field(
        7, ge=0, le=60, description="For how long it is still given when it was missed."
    )


class RewardSettingsWrite(Input):
    """What a programme gives, whole; amounts are in its currency but for bonus money."""

    wallet_adjustment_limit: NotNegative | None = Field(
        None, description="Adjustments of wallets by more than this need approval. Absent: none does."
    )
    referral: ReferralRule | None = None
    occasions: Annotated[list[OccasionRule], Field(max_length=2)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({one.occasion for one in self.occasions}) < len(self.occasions):
            raise PydanticCustomError("twice", "Name each occasion once")
        return self


class ReferralRuleRead(Output):
    active: bool
    referrer: list[RewardRead]
    referred: list[RewardRead]
    minimum_spend: MoneyOut | None
    max_per_month: int | None


class OccasionRuleRead(Output):
    occasion: Occasion
    rewards: list[RewardRead]
    catch_up_days: int


class RewardSettingsRead(Output):
    """What a programme gives; the version is 0 before it is said first."""

    version: int
    wallet_adjustment_limit: MoneyOut | None
    referral: ReferralRuleRead | None
    occasions: list[OccasionRuleRead]


class ReferralCodeRead(Output):
    """What a member passes on: whoever joins with it is brought in by them."""

    code: str


class ReferralRejection(Input):
    reason: Note


class ReferralRead(Output):
    """Somebody whom a member brought in. `reason` says why it brings nothing."""

    id: UUID
    referrer_id: UUID
    referred_id: UUID
    status: ReferralStatus
    reason: str | None
    made_on: date
    order_id: UUID | None
    due_on: date | None = Field(description="When the order cannot come back any more, and it is rewarded.")
    created_at: datetime
    decided_at: datetime | None


class ReferralPage(Page[ReferralRead]):
    """Newest first."""


class BenefitGrantRead(Output):
    """What a member got for an occasion."""

    id: UUID
    occasion: Occasion
    year: int
    day: date
    rewards: list[RewardRead]
    granted_at: datetime


class BenefitGrantPage(Page[BenefitGrantRead]):
    """Newest first."""
