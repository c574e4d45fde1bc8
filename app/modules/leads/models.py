"""Leads, and the tenant's mapping of their fields for conversion."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.duplicates import DuplicateColumns
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


class Lead(DuplicateColumns, RecordTable):
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
    disqualified_reason: Mapped[str | None]
    disqualified_note: Mapped[str | None]
    rating: Mapped[str | None]
    score: Mapped[int | None]
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
