"""Pipelines with their stages, opportunities, and the way each opportunity took through the stages."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, RecordTable, TenantOwned, Versioned, module_ref, one_of


class OpportunityStatus(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class ForecastCategory(StrEnum):
    PIPELINE = "pipeline"
    BEST_CASE = "best_case"
    COMMIT = "commit"
    CLOSED = "closed"


class Pipeline(Versioned):
    """A way of selling: an ordered set of stages. `team_ids` are the teams that may use it, None means all."""

    __tablename__ = "pipelines"
    __table_args__ = ({"schema": "opportunities"},)

    key: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    is_default: Mapped[bool]
    position: Mapped[int]
    team_ids: Mapped[list[UUID] | None]


class Stage(TenantOwned):
    """A step of a pipeline; `probability` in percent is what reaching it says about winning.

    `rules` holds the allowed moves, the entry requirements and the playbook, in their wire form.
    """

    __tablename__ = "stages"
    __table_args__ = (one_of("forecast_category", ForecastCategory), {"schema": "opportunities"})

    pipeline_id: Mapped[UUID]
    key: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    probability: Mapped[int]
    forecast_category: Mapped[str]
    is_closed: Mapped[bool]
    is_won: Mapped[bool]
    position: Mapped[int]
    rotting_days: Mapped[int | None]
    guidance_en: Mapped[str | None]
    guidance_zh: Mapped[str | None]
    rules: Mapped[Json]


class Opportunity(RecordTable):
    """A qualified chance to sell. `last_open_stage` is how far it came, also after it was won or lost.

    With lines, `amount` is their sum. It rots when nobody has touched it until `rots_at`.
    """

    __tablename__ = "opportunities"
    __table_args__ = (
        one_of("status", OpportunityStatus),
        one_of("forecast_category", ForecastCategory),
        {"schema": "opportunities"},
    )

    name: Mapped[str]
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    pipeline_id: Mapped[UUID]
    stage: Mapped[str]
    last_open_stage: Mapped[str | None]
    status: Mapped[str]
    probability: Mapped[int]
    amount: Mapped[int | None]  # minor units of `currency`
    currency: Mapped[str | None]
    amount_home: Mapped[int | None]  # minor units of `home_currency`, at the rate of its close date
    home_currency: Mapped[str | None]  # the tenant's own when it was converted
    rate_missing: Mapped[bool]  # there is an amount, and no rate for it
    expected_close_on: Mapped[date | None]
    opened_on: Mapped[date]
    closed_on: Mapped[date | None]
    product_name: Mapped[str | None]
    win_reason: Mapped[str | None]
    loss_reason: Mapped[str | None]
    outcome_note: Mapped[str | None]
    source: Mapped[str | None]
    lead_id: Mapped[UUID | None] = module_ref("leads.leads", on_delete="keep")
    next_step: Mapped[str | None]
    description: Mapped[str | None]
    forecast_category: Mapped[str]
    rots_at: Mapped[datetime | None] = mapped_column(info={"derived": True})
    is_rotting: Mapped[bool]
    rotting_since: Mapped[datetime | None]
    line_count: Mapped[int]
    winning_competitor_id: Mapped[UUID | None]
    budget: Mapped[int | None]  # minor units of `budget_currency`
    budget_currency: Mapped[str | None]
    team_member_ids: Mapped[list[UUID]]


class StageVisit(TenantOwned):
    """An opportunity in one stage: from when to when, and what was expected of it on entering."""

    __tablename__ = "stage_history"
    __table_args__ = (one_of("status", OpportunityStatus), {"schema": "opportunities"})

    opportunity_id: Mapped[UUID]
    from_stage: Mapped[str | None]
    to_stage: Mapped[str]
    status: Mapped[str]
    entered_at: Mapped[datetime]
    left_at: Mapped[datetime | None]
    duration_seconds: Mapped[int | None]
    changed_by: Mapped[UUID | None]
    amount: Mapped[int | None]
    currency: Mapped[str | None]
    expected_close_on: Mapped[date | None]
    probability: Mapped[int]
    pipeline_id: Mapped[UUID | None]  # None where it was entered before this was kept
    forecast_category: Mapped[str | None]
    rotted_at: Mapped[datetime | None]
