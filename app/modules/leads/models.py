"""Leads, and the tenant's mapping of their fields for conversion."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

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


class ConversionMapping(Versioned):
    """Where a tenant's lead fields go on conversion; at most one row per tenant."""

    __tablename__ = "conversion_mappings"
    __table_args__ = ({"schema": "leads"},)

    fields: Mapped[list[Any]]


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
