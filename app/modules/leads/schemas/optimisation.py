"""What goes over the wire for optimised assignment."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.money import MoneyIn, MoneyOut
from app.kernel.schemas import FilterTree, Input, Output, ShortText
from app.modules.leads.models import ItemOutcome, OptimisationState

MAX_LEADS = 3_000
MAX_MEMBERS = 200

Dimension = Literal["industry", "source", "size"]
FieldName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$", max_length=100)
]
Conflict = Literal["gone", "not_allowed", "closed", "owner_changed", "changed", "member_inactive"]


def _usual_dimensions() -> list[Dimension]:
    return ["industry", "source"]


class OptimisedMember(Input):
    """Somebody who may get leads."""

    member_id: UUID
    capacity: int | None = Field(
        None,
        ge=0,
        le=MAX_LEADS,
        description="Most leads of this plan. Absent: 30 less the open leads of theirs, outside the plan, that came "
        "in within the last 30 days.",
    )
    skills: list[ShortText] | None = Field(
        None, max_length=100, description="What they can take, in words of `skill_field`. Absent: everything."
    )


class OptimisationOptions(Input):
    """How value is estimated, and for how long the search may go on."""

    segment_by: list[Dimension] = Field(
        default_factory=_usual_dimensions,
        max_length=3,
        description="Win rates are told apart by these. `size` is the lead's field `custom.size`.",
    )
    history_days: int = Field(
        730, ge=30, le=3_650, description="Won and lost opportunities of this many days count."
    )
    prior_strength: float = Field(
        10.0,
        ge=0,
        le=1_000,
        description="How many opportunities the team's rate counts for, against a member's own.",
    )
    amount_field: FieldName | None = Field(
        None,
        description="A custom field of leads (money or number) that says what one is worth. Absent or empty: the "
        "average won amount of its source, else of all, else `default_amount`.",
        examples=["custom.expected_amount"],
    )
    default_amount: MoneyIn | None = Field(
        None, description="In the company's currency; absent: one unit of it."
    )
    switching_penalty: float = Field(
        0.1, ge=0, le=1, description="Share of a lead's value that is lost when it leaves an owner."
    )
    skill_field: FieldName | None = Field(
        None, description="The field of a lead that asks for a skill.", examples=["industry"]
    )
    skill_penalty: float = Field(
        0.5, ge=0, le=1, description="Share of a lead's value that is lost with a member who lacks the skill."
    )
    seconds: float = Field(10.0, ge=0.1, le=120, description="Limit of the ant colony.")
    exact_seconds: float = Field(
        10.0, ge=0, le=120, description="Limit of the exact solver; 0 leaves it out."
    )
    seed: int = Field(1, ge=0, description="The same seed gives the same plan.")


class OptimisationRequest(Input):
    """Which leads, among whom. Either `ids` or `filter`; without both, the open leads that nobody owns."""

    ids: list[UUID] | None = Field(None, min_length=1, max_length=MAX_LEADS)
    filter: FilterTree | None = Field(None, description="Of the open leads that you may assign.")
    members: list[OptimisedMember] | None = Field(None, min_length=1, max_length=MAX_MEMBERS)
    team_id: UUID | None = Field(
        None,
        description="Instead of members: the active ones of this team. Absent: your own team, or you alone.",
    )
    options: OptimisationOptions = Field(default_factory=OptimisationOptions)


class OptimisationAdjustment(Input):
    """Another member for one lead of a plan; null leaves the lead where it is."""

    member_id: UUID | None


class OptimisationApplication(Input):
    """How to apply a plan."""

    on_conflict: Literal["refuse", "skip"] = Field(
        "refuse", description="Leads that changed meanwhile: apply nothing, or the others."
    )
    with_open_work: bool = Field(True, description="Also move open tasks and other open work on the leads.")


class OptimisationMemberRead(Output):
    """A member of a plan and what they get by it."""

    member_id: UUID
    name: str | None
    capacity: int
    skills: list[str] | None
    leads: int = Field(description="Leads that the plan gives them, or leaves with them.")
    value: MoneyOut


class OptimisationSearch(Output):
    """How the ant colony fared."""

    value: MoneyOut
    gap: float = Field(
        description="To the exact optimum where it is proved, else to the upper bound; relative."
    )
    seconds: float
    best_after: float = Field(description="Seconds until it met its best plan.")
    iterations: int


class OptimisationExact(Output):
    """How the exact solver fared within its limit."""

    value: MoneyOut | None
    proved: bool = Field(description="Whether `value` is the optimum.")
    seconds: float


class OptimisationCounts(Output):
    """Leads by what became of them."""

    planned: int
    applied: int
    unchanged: int
    conflict: int
    restored: int
    kept: int


class OptimisationRead(Output):
    """A plan: who gets which leads, what that is worth, and how good it is."""

    id: UUID
    version: int = Field(description="Grows with each change; the ETag.")
    state: OptimisationState
    created_at: datetime
    updated_at: datetime
    created_by: UUID
    job_id: UUID
    leads: int
    assigned: int = Field(description="Leads that have a member in the plan.")
    unassigned: int = Field(
        description="Leads that it leaves where they are: nobody has room, or it does not pay."
    )
    value: MoneyOut | None
    upper_bound: MoneyOut | None = Field(description="No plan is worth more.")
    gap: float | None = Field(description="(upper bound − value) / upper bound; 0 is proved optimal.")
    method: Literal["ant_colony", "exact", "adjusted"] | None = Field(
        description="Whose plan it is; the better one of colony and exact solver is taken."
    )
    search: OptimisationSearch | None
    exact: OptimisationExact | None = Field(description="Null when left out, or too large for it.")
    members: list[OptimisationMemberRead]
    options: OptimisationOptions
    counts: OptimisationCounts
    failure: str | None
    solved_at: datetime | None
    applied_at: datetime | None
    undone_at: datetime | None


class LeadBrief(Output):
    """A lead as a plan's line shows it."""

    id: UUID
    name: str
    company: str | None
    owner_id: UUID | None


class OptimisationChoice(Output):
    """What one member would make of the lead."""

    member_id: UUID
    value: MoneyOut
    win_rate: float = Field(description="After shrinkage.")
    won: int = Field(description="Their wins in the segment.")
    closed: int = Field(
        description="Their won and lost opportunities in the segment: what stands behind the rate."
    )
    team_rate: float = Field(description="What the rate was shrunk towards.")
    expected_value: MoneyOut
    switching_penalty: MoneyOut
    skill_penalty: MoneyOut


class OptimisationReason(Output):
    """Why a lead goes where it goes."""

    reason: Literal["best", "capacity", "not_worth_it", "adjusted"] = Field(
        description="`best`: nobody is worth more. `capacity`: somebody is, but the whole plan is worth more so. "
        "`not_worth_it`: left where it is, as penalties exceed what it brings. `adjusted`: somebody decided."
    )
    chosen: OptimisationChoice | None
    alternative: OptimisationChoice | None = Field(description="The best of the other members.")


class OptimisationItemRead(Output):
    """One lead of a plan."""

    lead_id: UUID
    lead: LeadBrief | None = Field(description="Null when you may not see the lead any more.")
    member_id: UUID | None
    former_owner_id: UUID | None
    value: MoneyOut
    amount: MoneyOut
    amount_from: Literal["field", "source_average", "average", "default"]
    segment: dict[Dimension, str | None]
    why: OptimisationReason
    adjusted: bool
    outcome: ItemOutcome
    conflict: Conflict | None
