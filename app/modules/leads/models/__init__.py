"""Leads, and the tenant's mapping of their fields for conversion."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.duplicates import DuplicateColumns
from app.kernel.models import Json, RecordTable, Versioned, module_ref, one_of


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


class ConversionMapping(Versioned):
    """Where a tenant's lead fields go on conversion; at most one row per tenant."""

    __tablename__ = "conversion_mappings"
    __table_args__ = ({"schema": "leads"},)

    fields: Mapped[list[Any]]
