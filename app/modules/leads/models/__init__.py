"""Leads, and the tenant's mapping of their fields for conversion."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.duplicates import DuplicateColumns
from app.kernel.holding import HoldingColumns
from app.kernel.models import Json, RecordTable, TenantOwned, Versioned, module_ref, one_of


class LeadStatus(StrEnum):
    NEW = "new"
    WORKING = "working"
    NURTURING = "nurturing"
    QUALIFIED = "qualified"
    CONVERTED = "converted"
    DISQUALIFIED = "disqualified"


class Rating(StrEnum):
    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class Lead(HoldingColumns, DuplicateColumns, RecordTable):
    """Somebody who showed interest. `source` to `utm_content` are the first touch, `last_touch` the latest.

    The first touch has a column per field, because reports and filters go by it; of the last touch those that
    are asked for most are columns too. `conversion` is the answer of the conversion, kept to be given again.
    """

    __tablename__ = "leads"
    __table_args__ = (one_of("rating", Rating, nullable=True), {"schema": "leads"})

    name: Mapped[str]
    company: Mapped[str | None]
    title: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    website: Mapped[str | None]
    source: Mapped[str | None]
    channel: Mapped[str | None]
    campaign: Mapped[str | None]
    medium: Mapped[str | None]
    referrer: Mapped[str | None]
    landing_page: Mapped[str | None]
    utm_source: Mapped[str | None]
    utm_medium: Mapped[str | None]
    utm_campaign: Mapped[str | None]
    utm_term: Mapped[str | None]
    utm_content: Mapped[str | None]
    first_touch_at: Mapped[datetime]
    last_touch_at: Mapped[datetime]
    last_source: Mapped[str | None]
    last_channel: Mapped[str | None]
    last_campaign: Mapped[str | None]
    last_medium: Mapped[str | None]
    last_touch: Mapped[Json]
    status: Mapped[str]
    stage: Mapped[str | None]
    disqualified_reason: Mapped[str | None]
    disqualified_note: Mapped[str | None]
    rating: Mapped[str | None]
    score: Mapped[int | None]
    grade: Mapped[str | None]
    scored_at: Mapped[datetime | None]
    completeness: Mapped[int | None]  # null until a job has filled it, in leads older than the column
    industry: Mapped[str | None]
    country: Mapped[str | None]
    region: Mapped[str | None]
    city: Mapped[str | None]
    address: Mapped[str | None]
    description: Mapped[str | None]
    first_response_at: Mapped[datetime | None]
    qualified_at: Mapped[datetime | None]
    disqualified_at: Mapped[datetime | None]
    converted_at: Mapped[datetime | None]
    converted_account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="keep")
    converted_contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="keep")
    converted_opportunity_id: Mapped[UUID | None] = module_ref(
        "opportunities.opportunities", on_delete="keep"
    )
    conversion: Mapped[Json | None]
    size: Mapped[str | None]  # head count of the company, as a range
    product_name: Mapped[str | None]
    queue_id: Mapped[UUID | None]  # where it waits; only while nobody owns it
    queued_at: Mapped[datetime | None]
    assigned_at: Mapped[datetime | None]
    response_due_at: Mapped[datetime | None]


class OptimisationState(StrEnum):
    """Where a plan of optimised assignment stands."""

    DRAFT = "draft"
    SOLVING = "solving"
    SOLVED = "solved"
    APPLIED = "applied"
    UNDONE = "undone"
    FAILED = "failed"


class ItemOutcome(StrEnum):
    """What became of one lead of a plan."""

    PLANNED = "planned"
    APPLIED = "applied"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    RESTORED = "restored"
    KEPT = "kept"


_DERIVED = {"derived": True}  # large, or computed from what the audit log shows already


class Optimisation(Versioned):
    """A plan of who gets which leads. `rates` is the history that it was computed from, kept for later edits."""

    __tablename__ = "optimisations"
    __table_args__ = (one_of("state", OptimisationState), {"schema": "leads"})

    state: Mapped[str]
    created_by_id: Mapped[UUID]  # a member, an API key or the system
    job_id: Mapped[UUID]
    lead_ids: Mapped[list[UUID]] = mapped_column(info=_DERIVED)
    members: Mapped[list[Any]]
    options: Mapped[Json]
    currency: Mapped[str]
    rates: Mapped[Json | None] = mapped_column(info=_DERIVED)
    leads: Mapped[int | None]
    value: Mapped[int | None]  # minor units of `currency`, as are the two below
    upper_bound: Mapped[int | None]
    search_value: Mapped[int | None]
    search: Mapped[Json | None]
    exact: Mapped[Json | None]
    failure: Mapped[str | None]
    solved_at: Mapped[datetime | None]
    applied_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class OptimisationItem(TenantOwned):
    """One lead of a plan: where it goes, why, and what became of it. Values are in the plan's currency."""

    __tablename__ = "optimisation_items"
    __table_args__ = (one_of("outcome", ItemOutcome), {"schema": "leads"})

    optimisation_id: Mapped[UUID]
    lead_id: Mapped[UUID]
    position: Mapped[int]
    lead_version: Mapped[int]
    former_owner_id: Mapped[UUID | None]
    former_team_id: Mapped[UUID | None]
    member_id: Mapped[UUID | None]
    value: Mapped[int]
    facts: Mapped[Json]
    why: Mapped[Json]
    adjusted: Mapped[bool]
    outcome: Mapped[str]
    conflict: Mapped[str | None]


class ConversionMapping(Versioned):
    """Where a tenant's lead fields go on conversion; at most one row per tenant."""

    __tablename__ = "conversion_mappings"
    __table_args__ = ({"schema": "leads"},)

    fields: Mapped[list[Any]]


class Strategy(StrEnum):
    """How a team's or queue's leads go to its members; `pull` leaves them in the queue."""

    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    LOAD = "load"
    CAPACITY = "capacity"
    PULL = "pull"


class Presence(StrEnum):
    """Who may get a lead: those at work, those not away, or anybody."""

    WORKING = "working"
    NOT_ABSENT = "not_absent"
    ANY = "any"


class EscalateTo(StrEnum):
    """Who gets a lead that nobody answered in time."""

    NOBODY = "nobody"
    MANAGER = "manager"
    DEFAULT_QUEUE = "default_queue"


class Cause(StrEnum):
    """Why a lead was assigned when it was."""

    CREATED = "created"
    IMPORTED = "imported"
    RUN = "run"
    PULLED = "pulled"
    OVERDUE = "overdue"
    ESCALATED = "escalated"


class ClockState(StrEnum):
    RUNNING = "running"
    MET = "met"
    MISSED = "missed"
    STOPPED = "stopped"


class ResponseTime:
    """How soon a lead wants its first response, in seconds of working time; None: there is no promise."""

    respond_within_seconds: Mapped[int | None]
    remind_before_seconds: Mapped[int | None]
    max_reassignments: Mapped[int]
    escalate_to: Mapped[str]


class AssignmentSettings(Versioned):
    """Whether new leads are assigned by themselves; at most one row per tenant."""

    __tablename__ = "assignment_settings"
    __table_args__ = (UniqueConstraint("tenant_id"), {"schema": "leads"})

    active: Mapped[bool]


class Assignee(Versioned):
    """What a member takes of leads; `id` is the member's. Whoever has no row takes the defaults."""

    __tablename__ = "assignees"
    __table_args__ = ({"schema": "leads"},)

    capacity: Mapped[int]  # leads in thirty days
    weight: Mapped[int]
    accepting: Mapped[bool]


class Queue(ResponseTime, Versioned):
    """Where leads wait for whoever of its members pulls them."""

    __tablename__ = "queues"
    __table_args__ = (one_of("escalate_to", EscalateTo), {"schema": "leads"})

    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    is_default: Mapped[bool]
    team_id: Mapped[UUID | None] = module_ref("tenants.teams", on_delete="keep")
    member_ids: Mapped[list[UUID]]
    team_ids: Mapped[list[UUID]]


class AssignmentRule(ResponseTime, Versioned):
    """Which leads go where; the first rule by position that matches and finds somebody takes a lead."""

    __tablename__ = "assignment_rules"
    __table_args__ = (
        one_of("strategy", Strategy),
        one_of("presence", Presence),
        one_of("escalate_to", EscalateTo),
        {"schema": "leads"},
    )

    name: Mapped[str]
    position: Mapped[int]
    active: Mapped[bool]
    filter: Mapped[Json | None]
    target: Mapped[str]  # open: other modules register targets
    target_id: Mapped[UUID | None]
    strategy: Mapped[str]
    presence: Mapped[str]
    skills: Mapped[list[Any]]  # [{"skill": "Chinese", "level": 3}], the least that is wanted
    within_territory: Mapped[bool]


class Rotation(TenantOwned):
    """Whose turn it is under a rule: `credit` is what a member is owed, in parts of a lead."""

    __tablename__ = "rotations"
    __table_args__ = ({"schema": "leads"},)

    rule_id: Mapped[UUID]
    member_id: Mapped[UUID]
    credit: Mapped[int]
    last_turn: Mapped[int]


class Territory(Versioned):
    """A part of the market, within its parent; an empty list does not narrow."""

    __tablename__ = "territories"
    __table_args__ = ({"schema": "leads"},)

    name: Mapped[str]
    parent_id: Mapped[UUID | None]
    countries: Mapped[list[str]]
    regions: Mapped[list[str]]
    cities: Mapped[list[str]]
    industries: Mapped[list[str]]
    sizes: Mapped[list[str]]
    products: Mapped[list[str]]
    member_ids: Mapped[list[UUID]]
    team_ids: Mapped[list[UUID]]


class Assignment(TenantOwned):
    """One decision about a lead, and what spoke for it. Never changed."""

    __tablename__ = "assignments"
    __table_args__ = (one_of("cause", Cause), {"schema": "leads"})

    lead_id: Mapped[UUID]
    at: Mapped[datetime]
    cause: Mapped[str]
    run_id: Mapped[UUID | None]
    rule_id: Mapped[UUID | None]
    rule_name: Mapped[str | None]
    target: Mapped[str | None]
    target_id: Mapped[UUID | None]
    strategy: Mapped[str | None]
    territory_id: Mapped[UUID | None]
    former_owner_id: Mapped[UUID | None]
    member_id: Mapped[UUID | None]
    queue_id: Mapped[UUID | None]
    reason: Mapped[str]
    passed: Mapped[list[Any]]
    candidates: Mapped[list[Any]]


class ResponseClock(TenantOwned):
    """The time to first response of a lead, whose id it has; the promise is kept as it was made."""

    __tablename__ = "response_clocks"
    __table_args__ = (one_of("state", ClockState), one_of("escalate_to", EscalateTo), {"schema": "leads"})

    rule_id: Mapped[UUID | None]
    queue_id: Mapped[UUID | None]
    respond_within_seconds: Mapped[int]
    remind_before_seconds: Mapped[int | None]
    max_reassignments: Mapped[int]
    escalate_to: Mapped[str]
    started_at: Mapped[datetime]
    due_at: Mapped[datetime]
    remind_at: Mapped[datetime | None]
    reassignments: Mapped[int]
    tried: Mapped[list[UUID]]
    state: Mapped[str]


class StageList(Versioned):
    """A tenant's own stages within the built-in states, in their order; at most one row per tenant."""

    __tablename__ = "stage_lists"
    __table_args__ = ({"schema": "leads"},)

    stages: Mapped[list[Any]]


class Behaviour(TenantOwned):
    """Something that a lead did, once; `source_id` is its name where it came from."""

    __tablename__ = "behaviours"
    __table_args__ = ({"schema": "leads"},)

    lead_id: Mapped[UUID]
    kind: Mapped[str]
    detail: Mapped[str | None]
    occurred_at: Mapped[datetime]
    source_id: Mapped[str | None]
    created_at: Mapped[datetime]


class ScoringModel(Versioned):
    """How a tenant scores its leads; at most one model is active."""

    __tablename__ = "scoring_models"
    __table_args__ = ({"schema": "leads"},)

    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    is_active: Mapped[bool]
    min_score: Mapped[int]
    max_score: Mapped[int]
    fit_cap: Mapped[int | None]
    behaviour_cap: Mapped[int | None]
    fit_rules: Mapped[list[Any]]
    behaviour_rules: Mapped[list[Any]]
    grades: Mapped[list[Any]]
