"""The wire shapes of loyalty programmes: tiers, earn rules, and what points are worth."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.decimals import DecimalOut, decimal_field
from app.kernel.money import Currency, MoneyIn, MoneyOut
from app.kernel.schemas import Input, Output, ShortText
from app.modules.membership.models.programmes import EarnBasis, QualifyBy, TierPeriod

Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Measure = Annotated[str, *decimal_field(r"^[0-9]{1,12}(\.[0-9]{1,4})?$", "1000")]
Factor = Annotated[str, *decimal_field(r"^[0-9]{1,3}(\.[0-9]{1,4})?$", "1.5")]
Points = Annotated[int, Field(ge=1, le=1_000_000_000)]
Cap = Annotated[int, Field(ge=0, le=1_000_000_000_000)]


class EarnKind(StrEnum):
    """What a rule gives points for. A multiplier gives none itself: it raises those of the lines it is about."""

    AMOUNT = "amount"
    UNIT = "unit"
    ORDER = "order"
    EVENT = "event"
    MULTIPLIER = "multiplier"


class PointKind(StrEnum):
    """Points to spend, and points that tiers are reached by."""

    SPENDABLE = "spendable"
    QUALIFYING = "qualifying"


class EarnRule(Input):
    """A way to earn. Points of all rules that apply add up; of several multipliers the highest counts."""

    key: Key
    kind: EarnKind
    points: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    per_amount: Measure = Field("1", description="Kind amount: points for each so many, in major units.")
    factor: Factor = Field("1", description="Kind multiplier.")
    event: Key | None = Field(None, description="Kind event: what has to be reported, such as `review`.")
    product_ids: Annotated[list[UUID], Field(max_length=500)] = Field(
        default_factory=list, description="Only lines with these products."
    )
    category_ids: Annotated[list[UUID], Field(max_length=100)] = Field(
        default_factory=list,
        description="Only products of these categories, or of those below them; or of `product_ids`.",
    )
    minimum_spend: Measure | None = Field(None, description="The order comes to so much, in major units.")
    minimum_spend_basis: EarnBasis = EarnBasis.TOTAL
    minimum_quantity: Measure | None = Field(None, description="So many units of what the rule is about.")
    valid_from: date | None = None
    valid_until: date | None = None
    earns: Annotated[list[PointKind], Field(min_length=1, max_length=2)] = Field(
        default_factory=lambda: [PointKind.SPENDABLE, PointKind.QUALIFYING]
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind is EarnKind.EVENT and self.event is None:
            raise PydanticCustomError("event_required", "A rule about an event names the event")
        if float(self.per_amount) == 0:
            raise PydanticCustomError("per_nothing", "Points are for some amount, not for nothing")
        return self


class TierInput(Input):
    """A rank. It is reached as soon as the measure of the period comes to the threshold."""

    key: Key
    name_en: ShortText
    name_zh: ShortText | None = None
    qualify_by: QualifyBy = QualifyBy.AMOUNT
    threshold: Measure = Field(
        description="An amount in major units of the programme's currency, or a count."
    )
    period: TierPeriod = TierPeriod.ROLLING
    period_months: int | None = Field(12, ge=1, le=120, description="Of a rolling period.")
    grace_days: int = Field(0, ge=0, le=366, description="How long it is kept when its period has ended.")
    multiplier: Factor = Field("1", description="Of the points to spend that its members earn.")
    benefits: Annotated[list[ShortText], Field(max_length=50)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.period is TierPeriod.CALENDAR_YEAR:
            self.period_months = None
        elif self.period_months is None:
            raise PydanticCustomError("months_required", "A rolling period has a number of months")
        if float(self.multiplier) == 0:
            raise PydanticCustomError("no_multiplier", "A multiplier is more than nothing")
        return self


class BurnRule(Input):
    """So many points are worth so much; what is burned is at least the minimum, and a multiple of the step."""

    points: Points = 100
    worth: MoneyIn
    minimum: Points = 1
    step: Points = 1


class ProgrammeCreate(Input):
    """A new programme. Members earn as soon as they are enrolled."""

    key: Key
    name_en: ShortText
    name_zh: ShortText | None = None
    points_name_en: ShortText = "points"
    points_name_zh: ShortText | None = "积分"
    active: bool = Field(True, description="In one that is not active nobody enrols, earns or burns.")
    currency: Currency = Field(description="Orders in other currencies earn nothing.")
    earn_basis: EarnBasis = EarnBasis.NET
    return_window_days: int = Field(0, ge=0, le=3650, description="How long what is earned is pending.")
    expiry_months: int | None = Field(None, ge=1, le=600, description="Absent: points never expire.")
    burn: BurnRule
    cap_order: Cap | None = Field(None, description="Most points to spend that one order earns.")
    cap_day: Cap | None = Field(None, description="Most that a member earns on one day.")
    cap_member: Cap | None = Field(None, description="Most that a member earns at all.")
    adjustment_limit: Cap | None = Field(
        None, description="Adjustments of more points than this need approval. Absent: none does."
    )
    earn_rules: Annotated[list[EarnRule], Field(max_length=50)] = Field(default_factory=list)
    tiers: Annotated[list[TierInput], Field(max_length=20)] = Field(
        default_factory=list, description="The lowest first."
    )


class ProgrammeUpdate(Input):
    """Changes to a programme; lists are replaced whole. What was earned stays as it is."""

    name_en: ShortText | None = None
    name_zh: ShortText | None = None
    points_name_en: ShortText | None = None
    points_name_zh: ShortText | None = None
    active: bool | None = None
    earn_basis: EarnBasis | None = None
    return_window_days: int | None = Field(None, ge=0, le=3650)
    expiry_months: int | None = Field(None, ge=1, le=600)
    burn: BurnRule | None = None
    cap_order: Cap | None = None
    cap_day: Cap | None = None
    cap_member: Cap | None = None
    adjustment_limit: Cap | None = None
    earn_rules: Annotated[list[EarnRule], Field(max_length=50)] | None = None
    tiers: Annotated[list[TierInput], Field(max_length=20)] | None = None


class BurnRuleRead(Output):
    points: int
    worth: MoneyOut
    minimum: int
    step: int


class EarnRuleRead(Output):
    key: str
    kind: EarnKind
    points: int
    per_amount: str
    factor: str
    event: str | None
    product_ids: list[UUID]
    category_ids: list[UUID]
    minimum_spend: str | None
    minimum_spend_basis: EarnBasis
    minimum_quantity: str | None
    valid_from: date | None
    valid_until: date | None
    earns: list[PointKind]


class TierRead(Output):
    key: str
    name_en: str
    name_zh: str | None
    qualify_by: QualifyBy
    threshold: str
    period: TierPeriod
    period_months: int | None
    grace_days: int
    multiplier: DecimalOut
    benefits: list[str]


class ProgrammeRead(Output):
    """A programme as stored."""

    id: UUID
    version: int
    key: str
    name_en: str
    name_zh: str | None
    points_name_en: str
    points_name_zh: str | None
    active: bool
    currency: str
    earn_basis: EarnBasis
    return_window_days: int
    expiry_months: int | None
    burn: BurnRuleRead
    cap_order: int | None
    cap_day: int | None
    cap_member: int | None
    adjustment_limit: int | None
    earn_rules: list[EarnRuleRead]
    tiers: list[TierRead]
    created_at: datetime
    updated_at: datetime
