"""The wire shapes of opportunities and pipelines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.money import Money, MoneyIn, MoneyOut
from app.kernel.schemas import (
    FilterCondition,
    Input,
    LongText,
    Output,
    RecordInput,
    RecordOutput,
    ShortText,
    patch_of,
)
from app.modules.opportunities.models import ForecastCategory, OpportunityStatus
from app.modules.opportunities.models.selling import CommitteeRole

KEY = r"^[a-z][a-z0-9_]{0,59}$"
Key = Annotated[str, StringConstraints(pattern=KEY)]
Code = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60), Field(examples=["price"])
]
FieldName = Annotated[str, StringConstraints(pattern=r"^(custom\.)?[a-z][a-z0-9_]{0,59}$")]
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
    amount: Amount | None = Field(None, description="Entered only while it has no lines; else their sum.")
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
    forecast_category: ForecastCategory | None = Field(None, description="Absent means the stage's.")
    budget: Amount | None = Field(None, description="What selling it may cost.")
    winning_competitor_id: UUID | None = Field(None, description="Of a lost one: who won it.")
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
    forecast_category: ForecastCategory
    is_rotting: bool = Field(description="Nobody has touched it for as long as its stage allows.")
    rotting_since: datetime | None
    line_count: int
    winning_competitor_id: UUID | None
    budget: MoneyOut | None
    team_member_ids: list[UUID] = Field(description="Who works on it beside its owner.")


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
    winning_competitor_id: UUID | None = Field(None, description="Who won it.")


class StageVisitRead(Output):
    """One stage on the way: entered, left, and what was expected on entering.

    `duration_seconds` of the stage in which it stands runs on and is null. Visits from before pipelines were
    kept have none.
    """

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
    pipeline_id: UUID | None
    forecast_category: ForecastCategory | None
    rotted_at: datetime | None = Field(description="When it was first found rotting in this stage.")


class StageVisitCorrection(Input):
    """When it really came into the stage: after the stage before was entered and before this one was left."""

    entered_at: Moment = Field(examples=["2026-03-01T12:00:00Z"])


class Names(Input):
    """A name per language."""

    en: ShortText
    zh: ShortText | None = None


class Guidance(Input):
    """What to do in a stage, per language."""

    en: LongText | None = None
    zh: LongText | None = None


class StageRequirements(Input):
    """What must hold before an opportunity enters a stage."""

    fields: list[FieldName] = Field(
        default_factory=list, max_length=30, description="Fields with a value; custom ones as `custom.key`."
    )
    conditions: list[FilterCondition] = Field(
        default_factory=list, max_length=10, description="All must hold; fields and operators as in lists."
    )
    lines: bool = Field(False, description="It has at least one line.")
    contact_roles: list[CommitteeRole] = Field(
        default_factory=list, max_length=9, description="Each is played by somebody of its committee."
    )
    tasks: list[Key] = Field(
        default_factory=list, max_length=20, description="Playbook tasks that are done, by key."
    )


class PlaybookTemplate(Input):
    """A task that entering the stage gives out."""

    key: Key
    subject: Names
    due_in_days: int | None = Field(None, ge=0, le=365)
    team_role: Code | None = Field(
        None, description="Whoever has this role in the opportunity's team; absent or nobody: its owner."
    )
    repeat: bool = Field(False, description="Given out again when the stage is entered again.")


class StageInput(Input):
    """A stage. Left out, `moves` allows every other stage; an empty list allows none."""

    key: Key
    name: Names
    probability: Percent
    forecast_category: ForecastCategory = ForecastCategory.PIPELINE
    is_closed: bool = False
    is_won: bool = False
    rotting_days: int | None = Field(None, ge=1, le=3650, description="Untouched this long, it rots.")
    guidance: Guidance | None = None
    moves: list[Key] | None = Field(None, max_length=50, description="The stages that may follow.")
    requirements: StageRequirements = Field(default_factory=StageRequirements)
    playbook: list[PlaybookTemplate] = Field(default_factory=list, max_length=20)


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
    if any(stage.is_closed and stage.rotting_days is not None for stage in stages):
        raise PydanticCustomError("closed_rots", "What is won or lost does not rot")
    if {key for stage in stages for key in stage.moves or ()} - set(keys):
        raise PydanticCustomError("unknown_move", "Moves lead to stages of the same pipeline")
    tasks = [task.key for stage in stages for task in stage.playbook]
    if len(set(tasks)) != len(tasks):
        raise PydanticCustomError("duplicate_task", "Each playbook task of a pipeline has a key of its own")
    if {key for stage in stages for key in stage.requirements.tasks} - set(tasks):
        raise PydanticCustomError("unknown_task", "Required tasks are those of the pipeline's playbooks")
    return stages


Stages = Annotated[list[StageInput], Field(min_length=2, max_length=50), AfterValidator(_sound)]


TeamIds = Annotated[list[UUID], Field(min_length=1, max_length=100)]


class PipelineCreate(Input):
    """A pipeline with its stages in their order."""

    key: Key
    name: Names
    is_default: bool = Field(False, description="Takes the place of the present default.")
    team_ids: TeamIds | None = Field(None, description="The teams that may use it; absent means all.")
    stages: Stages


class PipelineUpdate(Input):
    """Changes to a pipeline; `stages` is replaced whole, and a stage in use cannot go."""

    name: Names | None = None
    is_default: Literal[True] | None = None
    team_ids: TeamIds | None = Field(None, description="Null lets every team use it.")
    stages: Stages | None = None

    @model_validator(mode="after")
    def _no_nulls(self) -> PipelineUpdate:
        if any(getattr(self, name) is None for name in self.model_fields_set - {"team_ids"}):
            raise PydanticCustomError("required", "Nothing else of a pipeline may be null")
        return self


class NamesRead(Output):
    en: str
    zh: str | None


class GuidanceRead(Output):
    en: str | None
    zh: str | None


class ConditionRead(Output):
    field: str
    op: str
    value: Any


class RequirementsRead(Output):
    """What must hold before an opportunity enters the stage."""

    fields: list[str]
    conditions: list[ConditionRead]
    lines: bool
    contact_roles: list[CommitteeRole]
    tasks: list[str]


class PlaybookTemplateRead(Output):
    key: str
    subject: NamesRead
    due_in_days: int | None
    team_role: str | None
    repeat: bool


class StageRead(Output):
    """A stage; `moves` is null where every other stage may follow."""

    key: str
    name: NamesRead
    probability: int
    forecast_category: ForecastCategory
    is_closed: bool
    is_won: bool
    rotting_days: int | None
    guidance: GuidanceRead
    moves: list[str] | None
    requirements: RequirementsRead
    playbook: list[PlaybookTemplateRead]


class PipelineRead(Output):
    """A pipeline with its stages in their order."""

    id: UUID
    version: int
    key: str
    name: NamesRead
    is_default: bool
    team_ids: list[UUID] | None = Field(description="The teams that may use it; null means all.")
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
