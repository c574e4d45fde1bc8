"""The wire shapes of opportunities and pipelines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.money import Money, MoneyIn, MoneyOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.opportunities.models import ForecastCategory, OpportunityStatus

KEY = r"^[a-z][a-z0-9_]{0,59}$"
Key = Annotated[str, StringConstraints(pattern=KEY)]
Code = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60), Field(examples=["price"])
]
Percent = Annotated[int, Field(ge=0, le=100)]
OTHER = "other"
MAX_AMOUNT_MINOR = 10**15  # sums of thousands still fit where money is kept


def _plausible_day(day: date) -> date:
    if not 1900 <= day.year < 2200:
        raise PydanticCustomError("implausible_date", "A date lies between the years 1900 and 2200")
    return day


def _plausible_moment(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise PydanticCustomError("timezone_aware", "A time needs its offset, such as Z or +08:00")
    _plausible_day(moment.date())
    return moment.astimezone(UTC)


def _plausible_amount(amount: Money) -> Money:
    if not 0 <= amount.amount_minor <= MAX_AMOUNT_MINOR:
        raise PydanticCustomError("amount_out_of_range", "The amount lies between nothing and ten trillion")
    return amount


Amount = Annotated[MoneyIn, AfterValidator(_plausible_amount)]
Day = Annotated[date, AfterValidator(_plausible_day)]
Moment = Annotated[datetime, AfterValidator(_plausible_moment)]


class OpportunityCreate(RecordInput):
    """A chance to sell. One that is over already, or opened long ago, needs the permission to import."""

    name: ShortText
    account_id: UUID | None = None
    contact_id: UUID | None = None
    pipeline_id: UUID | None = Field(None, description="Absent means the default pipeline.")
    stage: ShortText | None = Field(
        None, description="A stage's key, or its name; absent means the pipeline's first."
    )
    status: OpportunityStatus | None = Field(None, description="Absent means what the stage says.")
    probability: Percent | None = Field(None, description="Percent; absent means the stage's.")
    amount: Amount | None = None
    expected_close_on: Day | None = None
    opened_on: Day | None = Field(None, description="Absent means today.")
    closed_on: Day | None = Field(None, description="Of one that is won or lost; absent means today.")
    product_name: ShortText | None = None
    win_reason: Code | None = None
    loss_reason: Code | None = Field(None, description="Required when lost.")
    outcome_note: LongText | None = Field(None, description="Required when the reason is `other`.")
    source: ShortText | None = None
    next_step: ShortText | None = None
    description: LongText | None = None
    created_at: Moment | None = Field(
        None, description="When it really came to be; needs `opportunity:import`."
    )


OpportunityUpdate = patch_of(OpportunityCreate)


class OpportunityRead(RecordOutput):
    """An opportunity."""

    name: str
    account_id: UUID | None
    contact_id: UUID | None
    pipeline_id: UUID
    stage: str
    last_open_stage: str | None = Field(description="How far it came; kept when it is won or lost.")
    status: OpportunityStatus
    probability: int
    amount: MoneyOut | None
    amount_home: MoneyOut | None = Field(
        description="In the company's currency, at the exchange rate of the day it was (or is expected to be)"
        " closed; without one, of the day it was opened. Null without a rate."
    )
    rate_missing: bool = Field(description="There is an amount, but no exchange rate for it.")
    expected_close_on: date | None
    opened_on: date
    closed_on: date | None
    product_name: str | None
    win_reason: str | None
    loss_reason: str | None
    outcome_note: str | None
    source: str | None
    lead_id: UUID | None = Field(description="The lead that it came of.")
    next_step: str | None
    description: str | None


class Win(Input):
    """How it was won."""

    win_reason: Code | None = None
    outcome_note: LongText | None = None
    closed_on: Day | None = Field(None, description="Absent means today.")
    amount: Amount | None = Field(None, description="What was agreed, where it differs.")


class Loss(Input):
    """Why it was lost."""

    loss_reason: Code
    outcome_note: LongText | None = Field(None, description="Required when the reason is `other`.")
    closed_on: Day | None = Field(None, description="Absent means today.")


class StageVisitRead(Output):
    """One stage on the way: entered, left, and what was expected on entering."""

    id: UUID
    from_stage: str | None
    to_stage: str
    status: OpportunityStatus
    entered_at: datetime
    left_at: datetime | None
    duration_seconds: int | None
    changed_by: UUID | None
    amount: MoneyOut | None
    expected_close_on: date | None
    probability: int


class Names(Input):
    """A name per language."""

    en: ShortText
    zh: ShortText | None = None


class StageInput(Input):
    key: Key
    name: Names
    probability: Percent
    forecast_category: ForecastCategory = ForecastCategory.PIPELINE
    is_closed: bool = False
    is_won: bool = False


def _sound(stages: list[StageInput]) -> list[StageInput]:
    keys = [stage.key for stage in stages]
    if len(set(keys)) != len(keys):
        raise PydanticCustomError("duplicate_key", "Each stage of a pipeline has a key of its own")
    if any(stage.is_won and not stage.is_closed for stage in stages):
        raise PydanticCustomError("won_is_closed", "A won stage is a closed one")
    if sum(stage.is_won for stage in stages) != 1:
        raise PydanticCustomError("one_won_stage", "A pipeline has exactly one won stage")
    if stages[0].is_closed:
        raise PydanticCustomError("first_is_open", "The first stage of a pipeline is an open one")
    return stages


Stages = Annotated[list[StageInput], Field(min_length=2, max_length=50), AfterValidator(_sound)]


class PipelineCreate(Input):
    """A pipeline with its stages in their order."""

    key: Key
    name: Names
    is_default: bool = Field(False, description="Takes the place of the present default.")
    stages: Stages


class PipelineUpdate(Input):
    """Changes to a pipeline; `stages` is replaced whole, and a stage in use cannot go."""

    name: Names | None = None
    is_default: Literal[True] | None = None
    stages: Stages | None = None

    @model_validator(mode="after")
    def _no_nulls(self) -> PipelineUpdate:
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise PydanticCustomError("required", "Nothing of a pipeline may be null")
        return self


class NamesRead(Output):
    en: str
    zh: str | None


class StageRead(Output):
    key: str
    name: NamesRead
    probability: int
    forecast_category: ForecastCategory
    is_closed: bool
    is_won: bool


class PipelineRead(Output):
    """A pipeline with its stages in their order."""

    id: UUID
    version: int
    key: str
    name: NamesRead
    is_default: bool
    stages: list[StageRead]


class Pipelines(Output):
    data: list[PipelineRead]


GroupBy = Literal[
    "stage", "status", "owner", "team", "manager", "month", "quarter", "year", "account", "product", "source"
]  # fmt: skip
DateField = Literal["closed_on", "opened_on", "expected_close_on"]


class StatisticsGroup(Output):
    """One group. `key` is its value (an id, a stage, the first day of a period), null where the field is empty."""

    key: str | None
    label: str | None = Field(description="How to show it; null where the key says it all.")
    count: int
    open: int
    won: int
    lost: int
    amount: list[MoneyOut] = Field(description="Sum of all amounts, per currency.")
    open_amount: list[MoneyOut]
    won_amount: list[MoneyOut]


class Statistics(Output):
    """Counts and sums of the opportunities that you may see and the filters let through."""

    group_by: GroupBy
    date_field: DateField
    data: list[StatisticsGroup]
