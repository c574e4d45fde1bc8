"""The wire shapes of leads, their conversion and the report on sources."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.contact import Email, Phone, Url
from app.kernel.countries import Country
from app.kernel.holding import HeldOutput
from app.kernel.money import MoneyIn, MoneyOut
from app.kernel.schemas import (
    DuplicateCandidate,
    ExternalId,
    Input,
    LongText,
    Output,
    RecordInput,
    ShortText,
    patch_of,
)
from app.modules.leads.models import LeadStatus, Rating

AddressText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
UrlText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2048)]
Code = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60), Field(examples=["no_budget"])
]
OTHER = "other"


def _plausible(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise PydanticCustomError("timezone_aware", "A time needs its offset, such as Z or +08:00")
    # Compared before converting: a year 9999 in a western zone cannot be converted to UTC.
    if not 1900 <= moment.year < 2200:
        raise PydanticCustomError("implausible_time", "A time lies between the years 1900 and 2200")
    return moment.astimezone(UTC)


def _plausible_day(day: date) -> date:
    if not 1900 <= day.year < 2200:
        raise PydanticCustomError("implausible_date", "A date lies between the years 1900 and 2200")
    return day


Moment = Annotated[datetime, AfterValidator(_plausible)]
Day = Annotated[date, AfterValidator(_plausible_day)]


class _TouchFields(Input):
    """Where somebody came from."""

    source: ShortText | None = Field(None, examples=["web"])
    channel: ShortText | None = None
    campaign: ShortText | None = None
    medium: ShortText | None = None
    referrer: UrlText | None = None
    landing_page: UrlText | None = None
    utm_source: ShortText | None = None
    utm_medium: ShortText | None = None
    utm_campaign: ShortText | None = None
    utm_term: ShortText | None = None
    utm_content: ShortText | None = None


TOUCH_FIELDS: tuple[str, ...] = tuple(_TouchFields.model_fields)


class _LeadFields(_TouchFields, RecordInput):
    name: ShortText
    company: ShortText | None = None
    title: ShortText | None = None
    email: Email | None = None
    phone: Phone | None = None
    website: Url | None = None
    status: LeadStatus = LeadStatus.NEW
    stage: ShortText | None = Field(
        None, description="One of the company's own stages, by key or name; it brings its status along."
    )
    disqualified_reason: Code | None = Field(None, description="Required when disqualified.")
    disqualified_note: LongText | None = Field(None, description="Required when the reason is `other`.")
    rating: Rating | None = None
    score: int | None = Field(
        None,
        ge=-1_000_000,
        le=1_000_000,
        description="Only where no scoring model is active: it computes it.",
    )
    industry: ShortText | None = None
    size: ShortText | None = Field(None, description="Head count, as a range.", examples=["51-200"])
    product_name: ShortText | None = Field(None, description="What they are interested in.")
    country: Country | None = Field(None, description="ISO 3166 code; names are taken too.")
    region: ShortText | None = None
    city: ShortText | None = None
    address: AddressText | None = None
    description: LongText | None = None
    first_response_at: Moment | None = Field(
        None, description="When somebody first answered; absent it follows from the first step."
    )


class LeadCreate(_LeadFields):
    """Somebody who showed interest. Where they came from is kept as first and as last touch."""

    created_at: Moment | None = Field(None, description="When it really came to be; needs `lead:import`.")
    qualified_at: Moment | None = Field(None, description="Needs `lead:import`.")
    disqualified_at: Moment | None = Field(None, description="Needs `lead:import`.")
    allow_duplicates: bool = Field(
        False,
        description="Make it although it looks like another; needs the permission duplicate_rule:override.",
    )
    assign: bool | None = Field(
        None,
        description="Find the owner by the assignment rules. Absent: when assignment is active, no owner is given"
        " and a program creates it.",
    )


LeadUpdate = patch_of(_LeadFields, "LeadUpdate")
LeadUpdate.__doc__ = (
    "Changes to a lead; absent fields stay as they are. `status` goes by the permitted steps."
)


class TouchRead(Output):
    """A touch: when, and where they came from."""

    touched_at: datetime
    source: str | None = None
    channel: str | None = None
    campaign: str | None = None
    medium: str | None = None
    referrer: str | None = None
    landing_page: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None


class LeadRead(HeldOutput):
    """A lead. The fields from `source` to `utm_content` are those of the first touch."""

    name: str
    company: str | None
    title: str | None
    email: str | None
    phone: str | None
    website: str | None
    source: str | None
    channel: str | None
    campaign: str | None
    medium: str | None
    referrer: str | None
    landing_page: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    first_touch_at: datetime
    last_touch_at: datetime
    last_source: str | None
    last_channel: str | None
    last_campaign: str | None
    last_medium: str | None
    last_touch: TouchRead
    status: LeadStatus
    stage: str | None = Field(description="Key of one of the company's own stages within the status.")
    disqualified_reason: str | None
    disqualified_note: str | None
    rating: Rating | None
    score: int | None
    grade: str | None = Field(description="What the active scoring model calls such a score.")
    scored_at: datetime | None = Field(description="When the model last computed the score.")
    completeness: int | None = Field(description="How much of what one wants to know is filled in, 0 to 100.")
    industry: str | None
    country: str | None
    region: str | None
    city: str | None
    address: str | None
    description: str | None
    first_response_at: datetime | None
    qualified_at: datetime | None
    disqualified_at: datetime | None
    converted_at: datetime | None
    converted_account_id: UUID | None
    converted_contact_id: UUID | None
    converted_opportunity_id: UUID | None
    size: str | None
    product_name: str | None
    queue_id: UUID | None = Field(description="The queue in which it waits for an owner.")
    queued_at: datetime | None
    assigned_at: datetime | None = Field(
        description="When a rule, a queue or a missed response last moved it."
    )
    response_due_at: datetime | None = Field(description="When the first response is due.")
    duplicate_count: int = Field(description="Records that looked like this one when it was last checked.")


class Touch(_TouchFields):
    """A later touch: it becomes the last one; the first stays."""

    touched_at: Moment | None = Field(None, description="Absent means now.")


class Disqualification(Input):
    """Why a lead is not worth more work."""

    reason: Code
    note: LongText | None = Field(None, description="Required when the reason is `other`.")


class LeadQuery(Input):
    """What is known of a lead that may be there already."""

    name: ShortText | None = None
    company: ShortText | None = Field(None, description="Names are compared within a company only.")
    email: Email | None = None
    phone: Phone | None = None
    country: Country | None = None


# -- conversion ----------------------------------------------------------------------------------------------


class Side(Input):
    """The account or the contact of a conversion: a given one, or a new one. Absent, the likeliest is matched."""

    id: UUID | None = Field(None, description="This one is taken, and only its empty fields are filled.")
    create: dict[str, Any] | None = Field(
        None, description="Make a new one; these fields go before the lead's, as in its create body."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Side:
        if (self.id is None) == (self.create is None):
            raise PydanticCustomError("one_of", "Give either an id or what to create")
        return self


class OpportunityPlan(Input):
    """The opportunity that a conversion opens."""

    name: ShortText | None = Field(None, description="Absent means the company's, else the person's name.")
    pipeline: ShortText | None = Field(None, description="Key or id; absent means the default pipeline.")
    stage: ShortText | None = Field(None, description="Key; absent means the pipeline's first stage.")
    amount: MoneyIn | None = None
    expected_close_on: Day | None = None
    external_id: ExternalId | None = None
    product_name: ShortText | None = None
    next_step: ShortText | None = None


class ConversionPlan(Input):
    """What to make of a lead. An empty plan matches or makes the account and the contact, without an opportunity."""

    account: Side | None = None
    contact: Side | None = None
    opportunity: OpportunityPlan | None = None
    owner_id: UUID | None = Field(None, description="Who gets a lead without an owner; absent means you.")
    duplicates: Literal["ask", "match", "create"] = Field(
        "ask", description="What to do about records that look alike but are not equal; `ask` answers 409."
    )
    overwrite_source: bool = Field(False, description="Also replace the source of a matched record.")


class ConvertedRecord(Output):
    """An account or contact after a conversion."""

    id: UUID
    name: str
    created: bool = Field(description="False when it was there before.")
    filled: list[str] = Field(description="Fields of a matched record that were empty and are filled.")


class ConvertedOpportunity(Output):
    id: UUID
    name: str
    stage: str
    amount: MoneyOut | None


class Conversion(Output):
    """What a lead became. Converting again answers the same."""

    lead_id: UUID
    converted_at: datetime
    owner_id: UUID
    account: ConvertedRecord
    contact: ConvertedRecord | None
    opportunity: ConvertedOpportunity | None
    activities_moved: int


class FieldPreview(Output):
    """One field: where its value comes from, and whether it would be written."""

    field: str
    from_field: str | None = Field(description="The lead's field; null for what the plan says.")
    value: Any
    written: bool = Field(description="False where a matched record has a value already.")


class RecordPreview(Output):
    """What would become of the account or the contact."""

    outcome: Literal["create", "match", "undecided"]
    id: UUID | None
    name: str | None
    candidates: list[DuplicateCandidate]
    hidden: int
    fields: list[FieldPreview]


class OpportunityPreview(Output):
    name: str
    pipeline: str
    stage: str
    probability: int
    fields: list[FieldPreview]


class ConversionPreview(Output):
    """What a conversion would do; nothing is written."""

    lead_id: UUID
    owner_id: UUID
    account: RecordPreview
    contact: RecordPreview | None
    opportunity: OpportunityPreview | None


TargetObject = Literal["account", "contact", "opportunity"]
FieldName = Annotated[str, StringConstraints(pattern=r"^(custom\.)?[a-z][a-z0-9_]{0,59}$")]


class MappingTarget(Input):
    object: TargetObject
    field: FieldName = Field(examples=["custom.budget"])


class MappedField(Input):
    """Where one field of a lead goes. Without targets it is not carried at all."""

    lead_field: FieldName = Field(examples=["custom.budget"])
    targets: list[MappingTarget] = Field(max_length=10)


def _once(fields: list[MappedField]) -> list[MappedField]:
    names = [field.lead_field for field in fields]
    if len(set(names)) != len(names):
        raise PydanticCustomError("duplicate_field", "Each field of the lead is named once")
    return fields


class ConversionMappingInput(Input):
    """The whole mapping. Custom fields that it does not name go to custom fields of the same key and kind."""

    fields: Annotated[list[MappedField], Field(max_length=200), AfterValidator(_once)]


class MappingTargetRead(Output):
    object: TargetObject
    field: str


class MappedFieldRead(Output):
    lead_field: str
    targets: list[MappingTargetRead]
    by_default: bool = Field(description="True where equal keys decide, and not the tenant.")


class ConversionMappingRead(Output):
    version: int = Field(description="0 while nothing has been set.")
    fields: list[MappedFieldRead]


# -- sources -------------------------------------------------------------------------------------------------

Period = Literal["month", "quarter", "year", "all"]
TouchKind = Literal["first", "last"]


class SourceRow(Output):
    """One source in one period, by the leads that came in then."""

    source: str | None
    period_start: date | None = Field(description="First day of the period; null for `all`.")
    leads: int
    qualified: int
    converted: int
    won: int = Field(description="Opportunities of those leads that are won and that you may see.")
    won_amount: list[MoneyOut] = Field(description="Their amounts, per currency.")
    conversion_rate: float = Field(description="converted / leads, to four decimals.")


class SourcesReport(Output):
    period: Period
    touch: TouchKind
    data: list[SourceRow]
