"""What goes over the wire for the assignment of leads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.errors import Invalid
from app.kernel.schemas import FilterTree, Input, Output, ShortText
from app.modules.leads.models import AssignmentRule, EscalateTo, Presence, Queue, Strategy
from app.modules.leads.schemas import LeadRead

MemberIds = Annotated[list[UUID], Field(max_length=500)]
TeamIds = Annotated[list[UUID], Field(max_length=100)]
Values = Annotated[list[ShortText], Field(max_length=500)]
TargetKind = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$"),
    Field(
        examples=["team"], description="`member`, `team`, `queue`, `territory`, or one that a module adds."
    ),
]
Seconds = Annotated[int, Field(ge=60, le=31_536_000)]


class ResponseTimeInput(Input):
    """How soon a lead wants its first response, in working time, and what happens when it gets none."""

    respond_within_seconds: Seconds
    remind_before_seconds: Seconds | None = Field(
        None, description="So long before, the owner gets a task, and there is an event."
    )
    max_reassignments: int = Field(
        0, ge=0, le=20, description="How often a missed lead goes to the next candidate of its rule."
    )
    escalate_to: EscalateTo = Field(EscalateTo.DEFAULT_QUEUE, description="Who gets it after that.")

    @model_validator(mode="after")
    def _remind_in_between(self) -> ResponseTimeInput:
        if self.remind_before_seconds and self.remind_before_seconds >= self.respond_within_seconds:
            raise PydanticCustomError("not_in_order", "The reminder comes after the beginning")
        return self


class ResponseTimeRead(Output):
    respond_within_seconds: int
    remind_before_seconds: int | None
    max_reassignments: int
    escalate_to: EscalateTo


class AssignmentSettingsInput(Input):
    active: bool = Field(
        description="Leads that programs and imports make without an owner get one by rules."
    )


class AssignmentSettingsRead(Output):
    active: bool
    version: int = Field(description="0 while nothing has been set.")


class AssigneeInput(Input):
    """What a member takes of leads."""

    capacity: int = Field(30, ge=0, le=100_000, description="Leads in thirty days; a thirtieth of it in one.")
    weight: int = Field(1, ge=0, le=1_000, description="Their share under the strategy `weighted`.")
    accepting: bool = Field(True, description="False: rules give them nothing.")


class AssigneeRead(Output):
    id: UUID = Field(description="The member's.")
    version: int = Field(description="0 while these are the defaults.")
    capacity: int
    weight: int
    accepting: bool
    day_quota: int = Field(description="Leads in twenty-four hours under the strategy `capacity`.")


class SkillWanted(Input):
    skill: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    level: int = Field(1, ge=1, le=5, description="The least.")


class SkillWantedRead(Output):
    skill: str
    level: int


class AssignmentRuleCreate(Input):
    """Which leads go where. Rules are asked by position; the first that matches and finds somebody decides."""

    name: ShortText
    position: int = Field(0, ge=0, le=1_000_000)
    active: bool = True
    filter: FilterTree | None = Field(None, description="As in a search; absent: every lead.")
    target: TargetKind
    target_id: UUID | None = Field(None, description="Of the target; a territory needs none.")
    strategy: Strategy = Strategy.ROUND_ROBIN
    presence: Presence = Presence.WORKING
    skills: Annotated[list[SkillWanted], Field(max_length=20)] = Field(default_factory=list)
    within_territory: bool = Field(False, description="Only members of the territory that the lead is in.")
    response: ResponseTimeInput | None = None


class AssignmentRuleUpdate(Input):
    """Changes to a rule; lists and objects are replaced whole."""

    name: ShortText | None = None
    position: int | None = Field(None, ge=0, le=1_000_000)
    active: bool | None = None
    filter: FilterTree | None = None
    target: TargetKind | None = None
    target_id: UUID | None = None
    strategy: Strategy | None = None
    presence: Presence | None = None
    skills: Annotated[list[SkillWanted], Field(max_length=20)] | None = None
    within_territory: bool | None = None
    response: ResponseTimeInput | None = None


class AssignmentRuleRead(Output):
    """A rule of assignment."""

    id: UUID
    version: int
    name: str
    position: int
    active: bool
    filter: dict[str, Any] | None
    target: str
    target_id: UUID | None
    strategy: Strategy
    presence: Presence
    skills: list[SkillWantedRead]
    within_territory: bool
    response: ResponseTimeRead | None
    created_at: datetime
    updated_at: datetime


class AssignmentRules(Output):
    data: list[AssignmentRuleRead]


class QueueNames(Input):
    """A name per language."""

    en: ShortText
    zh: ShortText | None = None


class QueueNamesRead(Output):
    en: str
    zh: str | None


class LeadQueueCreate(Input):
    """Where leads wait until a member pulls them."""

    name: QueueNames
    is_default: bool = Field(False, description="It takes what no rule takes; the former default steps back.")
    team_id: UUID | None = Field(None, description="The team that sees the leads while they wait.")
    member_ids: MemberIds = Field(default_factory=list, description="Who may pull.")
    team_ids: TeamIds = Field(default_factory=list, description="The members of these teams may pull too.")
    response: ResponseTimeInput | None = None


class LeadQueueUpdate(Input):
    """Changes to a queue; lists and objects are replaced whole."""

    name: QueueNames | None = None
    is_default: bool | None = None
    team_id: UUID | None = None
    member_ids: MemberIds | None = None
    team_ids: TeamIds | None = None
    response: ResponseTimeInput | None = None


class LeadQueueRead(Output):
    """A queue of leads."""

    id: UUID
    version: int
    name: QueueNamesRead
    is_default: bool
    team_id: UUID | None
    member_ids: list[UUID]
    team_ids: list[UUID]
    response: ResponseTimeRead | None
    waiting: int = Field(description="Leads in it.")
    created_at: datetime
    updated_at: datetime


class LeadQueues(Output):
    data: list[LeadQueueRead]


class Pull(Input):
    count: int = Field(1, ge=1, le=50, description="At most so many.")


class PulledLeads(Output):
    """The leads that were taken, the one that waited longest first."""

    data: list[LeadRead]


class TerritoryCreate(Input):
    """A part of the market: a lead is in it if each list that is not empty names it, and it is in the parent."""

    name: ShortText
    parent_id: UUID | None = None
    countries: Values = Field(default_factory=list, description="ISO 3166 codes.")
    regions: Values = Field(default_factory=list)
    cities: Values = Field(default_factory=list)
    industries: Values = Field(default_factory=list)
    sizes: Values = Field(default_factory=list)
    products: Values = Field(default_factory=list, description="Compared with the lead's `product_name`.")
    member_ids: MemberIds = Field(default_factory=list, description="None, and no team: those of the parent.")
    team_ids: TeamIds = Field(default_factory=list)


class TerritoryUpdate(Input):
    """Changes to a territory; lists are replaced whole."""

    name: ShortText | None = None
    parent_id: UUID | None = None
    countries: Values | None = None
    regions: Values | None = None
    cities: Values | None = None
    industries: Values | None = None
    sizes: Values | None = None
    products: Values | None = None
    member_ids: MemberIds | None = None
    team_ids: TeamIds | None = None


class TerritoryRead(Output):
    """A part of the market and who works it."""

    id: UUID
    version: int
    name: str
    parent_id: UUID | None
    countries: list[str]
    regions: list[str]
    cities: list[str]
    industries: list[str]
    sizes: list[str]
    products: list[str]
    member_ids: list[UUID]
    team_ids: list[UUID]
    created_at: datetime
    updated_at: datetime


class Territories(Output):
    data: list[TerritoryRead]


class AssignRequest(Input):
    """Which leads to assign; give ids, or a filter."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=10_000)] | None = None
    filter: FilterTree | None = None
    reassign: bool = Field(False, description="Also leads that have an owner. Those that ended stay.")

    @model_validator(mode="after")
    def _one_of_both(self) -> AssignRequest:
        if (self.ids is None) == (self.filter is None):
            raise PydanticCustomError("one_of", "Give either ids or a filter")
        return self


class PassedRule(Output):
    """A rule that came earlier and did not decide."""

    rule_id: UUID
    name: str
    why: str = Field(
        description="`conditions`, `nobody_available`, `no_territory`, `target_gone` or `broken_filter`."
    )


class CandidateRead(Output):
    """Somebody who was considered."""

    member_id: UUID
    outcome: str = Field(description="`chosen`, `able`, or what spoke against them.")
    open_leads: int | None
    quota_left: int | None


class AssignmentDecisionRead(Output):
    """Where a lead goes and why."""

    lead_id: UUID
    rule_id: UUID | None
    rule_name: str | None
    target: str | None
    target_id: UUID | None
    strategy: str | None
    territory_id: UUID | None
    member_id: UUID | None
    queue_id: UUID | None = Field(description="Null in a preview while there is no default queue yet.")
    reason: str = Field(
        description="`rule`, `stand_in`, `waits_in_queue`, `no_rule`, `nobody_available`, `pulled`, `manager`,"
        " `default_queue`."
    )
    passed: list[PassedRule]
    candidates: list[CandidateRead]


class AssignmentRead(AssignmentDecisionRead):
    """A decision that was carried out."""

    id: UUID
    at: datetime
    cause: Literal["created", "imported", "run", "pulled", "overdue", "escalated"]
    former_owner_id: UUID | None


class AssignRun(Output):
    """What a run did; above a hundred leads it goes on as a job."""

    job_id: UUID | None
    leads: int = Field(description="How many the run is about.")
    assigned: int = Field(description="Given to members.")
    waiting: int = Field(description="Put into queues.")
    skipped: int = Field(description="They have an owner, or have ended.")


class AssignPreview(Output):
    """What a run would do with the first hundred leads; nothing is written."""

    data: list[AssignmentDecisionRead]
    more: bool = Field(description="There are more than a hundred.")


# -- between rows and wire -----------------------------------------------------------------------------------


def columns_of_body(body: Input, *, nullable: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The columns that a body names: names per language, filters and response times taken apart.

    Raises: Invalid for a null where none may be.
    """
    partial = type(body).__name__.endswith("Update")
    names = body.model_fields_set if partial else type(body).model_fields
    values: dict[str, Any] = {}
    for name in sorted(names):
        value = getattr(body, name)
        if value is None and partial and name not in nullable | {"response", "filter"}:
            raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        if isinstance(value, QueueNames):
            values |= {"name_en": value.en, "name_zh": value.zh}
        elif name == "response":
            values |= _NO_RESPONSE if value is None else value.model_dump(mode="json")
        elif name == "filter":
            values[name] = None if value is None else value.model_dump(by_alias=True, mode="json")
        elif name == "skills":
            values[name] = [skill.model_dump() for skill in value]
        else:
            values[name] = value
    return values


def rule_read(row: AssignmentRule) -> AssignmentRuleRead:
    """A rule as its answer."""
    values = {n: v for n, v in row.__dict__.items() if n in AssignmentRuleRead.model_fields}
    return AssignmentRuleRead.model_validate(values | {"response": _response(row)})


def queue_read(row: Queue, waiting: int) -> LeadQueueRead:
    """A queue as its answer."""
    values = {n: v for n, v in row.__dict__.items() if n in LeadQueueRead.model_fields}
    name = QueueNamesRead(en=row.name_en, zh=row.name_zh)
    return LeadQueueRead.model_validate(
        values | {"name": name, "response": _response(row), "waiting": waiting}
    )


def _response(row: AssignmentRule | Queue) -> ResponseTimeRead | None:
    if row.respond_within_seconds is None:
        return None
    return ResponseTimeRead(
        respond_within_seconds=row.respond_within_seconds,
        remind_before_seconds=row.remind_before_seconds,
        max_reassignments=row.max_reassignments,
        escalate_to=EscalateTo(row.escalate_to),
    )


_NO_RESPONSE: dict[str, Any] = {
    "respond_within_seconds": None,
    "remind_before_seconds": None,
    "max_reassignments": 0,
    "escalate_to": EscalateTo.DEFAULT_QUEUE.value,
}
