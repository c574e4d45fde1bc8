"""The wire shapes of board, funnel, outcomes, activity, targets and forecast."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.money import MoneyOut
from app.kernel.schemas import Input, Output, Page
from app.modules.opportunities.models import ForecastCategory
from app.modules.opportunities.reading.periods import PeriodKind
from app.modules.opportunities.schemas import Amount, NamesRead, OpportunityRead, StageRead

Share = Annotated[str, Field(examples=["0.2500"], description="A share of one, with four decimals.")]


def share(part: int | Decimal, whole: int | Decimal) -> str | None:
    """`part / whole` with four decimals, rounded half up; None of nothing."""
    if not whole:
        return None
    return str((Decimal(part) / Decimal(whole)).quantize(Decimal("0.0001"), ROUND_HALF_UP))


def days_with_decimal(value: Decimal) -> str:
    """Days with one decimal, rounded half up."""
    return str(value.quantize(Decimal("0.1"), ROUND_HALF_UP))


class Worth(Output):
    """What some opportunities are worth together; null where your role hides amounts."""

    count: int
    amount: list[MoneyOut] | None = Field(description="Sum of the amounts, per currency, unconverted.")
    weighted: list[MoneyOut] | None = Field(
        description="Sum of amount × probability ÷ 100 per currency, rounded half up once."
    )
    amount_home: MoneyOut | None = Field(description="Sum in the company's currency.")
    weighted_home: MoneyOut | None = Field(description="The weighted sum in the company's currency.")
    unconverted: int = Field(
        description="How many have an amount that the home sums leave out: no rate is known."
    )


class BoardColumn(Output):
    """One stage: an open one holds what is open there, a closed one what stands there."""

    stage: StageRead
    totals: Worth
    cards: list[OpportunityRead]
    next_cursor: str | None = Field(description="Where `/board/columns/{stage}` goes on; null on the last.")
    has_more: bool


class Board(Output):
    """A pipeline, column by column."""

    pipeline_id: UUID
    pipeline: NamesRead
    columns: list[BoardColumn]


class FunnelStage(Output):
    """One stage of one cohort."""

    stage: str
    name: NamesRead
    is_closed: bool
    entered: int = Field(description="Opportunities that came into this stage, whenever they left it.")
    still_there: int = Field(description="Of those, open and standing in it.")
    moved_on: int = Field(description="Of those, gone to another stage since, or won.")
    lost_from: int = Field(description="Of those, lost while it was their last open stage.")
    won: int = Field(description="Of those, won.")
    conversion: Share | None = Field(description="moved_on ÷ entered.")
    conversion_to_won: Share | None = Field(description="won ÷ entered.")
    median_days: int | None = Field(description="Whole days in the stage, of those that left it: the median.")
    p90_days: int | None = Field(description="Nine in ten of those that left it took at most this long.")


class FunnelCohort(Output):
    """What entered its stages in one period."""

    starts_on: date | None = Field(description="First day of the period; null when nothing divides the time.")
    stages: list[FunnelStage]


class Funnel(Output):
    """How opportunities pass through a pipeline."""

    pipeline_id: UUID
    data: list[FunnelCohort]


OutcomeGroup = Literal[
    "reason", "owner", "team", "manager", "source", "product", "account", "stage", "currency",
    "winning_competitor", "month", "quarter", "year",
]  # fmt: skip


class OutcomeSums(Output):
    """What was won and lost in one group."""

    key: str | None
    label: str | None
    won: int
    lost: int
    won_amount: MoneyOut | None = Field(
        description="In the company's currency; null where amounts are hidden."
    )
    lost_amount: MoneyOut | None
    unconverted: int = Field(
        description="Closed ones with an amount that the sums leave out: no rate is known."
    )
    win_rate: Share | None = Field(description="won ÷ (won + lost).")
    win_rate_by_value: Share | None = Field(description="won_amount ÷ (won_amount + lost_amount).")
    average_cycle_days: str | None = Field(
        description="Mean of closed_on − opened_on of the won ones, in days with one decimal."
    )


class Outcomes(Output):
    """What was won and lost, and in all."""

    group_by: OutcomeGroup
    data: list[OutcomeSums]
    total: OutcomeSums


class Velocity(Output):
    """What the pipeline brings per day, with the parts that it comes of."""

    closed_from: date | None
    closed_to: date | None
    open_count: int = Field(description="Opportunities that are open: the number.")
    won: int
    lost: int
    win_rate: Share | None = Field(description="won ÷ (won + lost).")
    average_amount: MoneyOut | None = Field(
        description="Mean amount of the won ones that have one in the company's currency."
    )
    average_cycle_days: str | None = Field(description="Mean of closed_on − opened_on of the won ones.")
    velocity: MoneyOut | None = Field(
        description="open_count × win_rate × average_amount ÷ average cycle in days, from the exact parts; per day."
        " Null when a part is missing, or won deals took no day."
    )
    unconverted: int


class MemberActivity(Output):
    """What one member did in one period."""

    member_id: UUID | None = Field(description="Null for what nobody owns.")
    name: str | None
    starts_on: date
    activities: dict[str, int] = Field(
        description="Done activities by kind: calls, meetings, tasks, notes …."
    )
    opportunities_opened: int = Field(description="Owned, by opened_on.")
    stages_moved: int = Field(description="Moves to another open stage that the member made.")
    opportunities_won: int = Field(description="Owned, by closed_on.")
    won_amount: MoneyOut | None = Field(description="In the company's currency.")


class ActivityReport(Output):
    """Who did what, by member and period."""

    period: PeriodKind
    data: list[MemberActivity]


# -- targets -------------------------------------------------------------------------------------------------

Subject = Literal["member", "team", "tenant"]
Measure = Literal["won_amount", "won_count", "new_opportunities", "activities"]


class TargetCreate(Input):
    """What somebody is to reach in a period: an amount for `won_amount`, a quantity for the others."""

    member_id: UUID | None = Field(None, description="For one member.")
    team_id: UUID | None = Field(None, description="For a team with those below. Neither: for the company.")
    period: PeriodKind
    starts_on: date = Field(description="First day of the month, fiscal quarter or fiscal year.")
    measure: Measure
    amount: Amount | None = Field(None, description="In the company's currency.")
    quantity: Annotated[int, Field(ge=1, le=10**9)] | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> TargetCreate:
        if self.member_id is not None and self.team_id is not None:
            raise PydanticCustomError("one_of", "A target is of a member or of a team, not of both")
        if (self.measure == "won_amount") != (self.amount is not None) or (
            (self.measure == "won_amount") == (self.quantity is not None)
        ):
            raise PydanticCustomError(
                "amount_or_quantity", "won_amount takes an amount, the others a quantity"
            )
        return self


class TargetUpdate(Input):
    """Another amount or quantity."""

    amount: Amount | None = None
    quantity: Annotated[int, Field(ge=1, le=10**9)] | None = None


class TargetRead(Output):
    """A target, and how far it is reached by what you see."""

    id: UUID
    version: int
    subject: Subject
    member_id: UUID | None
    team_id: UUID | None
    name: str | None
    period: PeriodKind
    starts_on: date
    ends_on: date
    measure: Measure
    amount: MoneyOut | None
    quantity: int | None
    attained_amount: MoneyOut | None = Field(
        description="Won in the period, by closed_on, in the company's currency."
    )
    attained_quantity: int | None
    attainment: Share | None = Field(description="attained ÷ target.")
    members_total: MoneyOut | int | None = Field(
        description="Of a team or the company: the sum of the targets of the members in it and below, "
        "for the same period and measure."
    )
    created_at: datetime
    updated_at: datetime


class Targets(Page[TargetRead]):
    """Targets, newest period first."""


# -- forecast ------------------------------------------------------------------------------------------------


class CategoryFigures(Output):
    """One forecast category of one line."""

    category: ForecastCategory
    count: int
    amount: MoneyOut | None = Field(description="What the opportunities say, in the company's currency.")
    weighted: MoneyOut | None = Field(description="amount × probability ÷ 100, rounded half up once.")
    submitted: MoneyOut | None = Field(
        description="The member's own latest figure; of teams and the company, the sum of their members'."
    )
    overridden: MoneyOut | None = Field(
        description="A manager's latest figure for the member; of teams, the sum, with the members' own elsewhere."
    )


class ForecastLine(Output):
    """A member, a team with those below, or everything you see."""

    subject: Subject
    id: UUID | None
    name: str | None
    team_ids: list[UUID] = Field(description="Of a member, the teams that it is in.")
    parent_id: UUID | None = Field(description="Of a team, the one above.")
    categories: list[CategoryFigures]
    weighted: MoneyOut | None = Field(description="Won, and what is open weighted by its probability.")
    target: MoneyOut | None = Field(description="The target for the won amount.")
    attainment: Share | None = Field(description="closed ÷ target.")
    gap: MoneyOut | None = Field(description="target − closed; negative when more was won.")
    unconverted: int


class Forecast(Output):
    """What a period is expected to bring."""

    period: PeriodKind
    starts_on: date
    ends_on: date
    data: list[ForecastLine]
    undated: int = Field(
        description="Open opportunities that you see without an expected close date: in no period."
    )


Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]


class SubmissionCreate(Input):
    """What a member stands for in a period; or what their manager makes of it."""

    member_id: UUID | None = Field(None, description="Absent means you; another one makes it an override.")
    period: PeriodKind
    starts_on: date = Field(description="First day of the month, fiscal quarter or fiscal year.")
    category: ForecastCategory = ForecastCategory.COMMIT
    amount: Amount = Field(description="In the company's currency.")
    note: Note | None = Field(None, description="Why; required of an override.")


class ForecastSubmissionRead(Output):
    """A submitted figure. Nothing replaces it; the latest of its kind counts."""

    id: UUID
    member_id: UUID
    period: PeriodKind
    starts_on: date
    category: ForecastCategory
    kind: Literal["submission", "override"]
    amount: MoneyOut
    note: str | None
    submitted_by: UUID | None
    created_at: datetime


class Submissions(Page[ForecastSubmissionRead]):
    """Submitted figures, newest first."""


class WeekForecast(Output):
    """What was expected of the period in one week, as it was known then."""

    week_starts_on: date
    taken_at: datetime
    closed: MoneyOut | None
    commit: MoneyOut | None
    best_case: MoneyOut | None
    pipeline: MoneyOut | None
    weighted: MoneyOut | None
    submitted_commit: MoneyOut | None = Field(description="The members' latest commit figures at that time.")
    weighted_error: Share | None = Field(description="(weighted − actual) ÷ actual.")
    commit_error: Share | None = Field(description="(closed + commit − actual) ÷ actual.")


class Accuracy(Output):
    """A period's weekly forecasts beside what came."""

    period: PeriodKind
    starts_on: date
    ends_on: date
    actual: MoneyOut | None = Field(description="Won in the period, by closed_on, as it stands.")
    mean_absolute_error: Share | None = Field(description="Mean of the absolute weighted errors.")
    weeks: list[WeekForecast]


OpportunityPage = Page[OpportunityRead]
