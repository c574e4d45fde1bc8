"""The work on an opportunity: playbook tasks, what it costs, what presales is asked for, and why it ended."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, TenantOwned, Versioned, module_ref, one_of


class Outcome(StrEnum):
    WIN = "win"
    LOSS = "loss"


class CostKind(StrEnum):
    TRAVEL = "travel"
    PRESALES_HOURS = "presales_hours"
    SAMPLE = "sample"
    OTHER = "other"


class PresalesKind(StrEnum):
    ENGINEER = "engineer"
    DEMO = "demo"
    SEMINAR = "seminar"


class PresalesStatus(StrEnum):
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    DONE = "done"
    DECLINED = "declined"


class OutcomeReason(Versioned):
    """A reason that the company gives for winning or losing."""

    __tablename__ = "outcome_reasons"
    __table_args__ = (one_of("outcome", Outcome), {"schema": "opportunities"})

    outcome: Mapped[str]
    key: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    position: Mapped[int]
    requires_note: Mapped[bool]
    is_active: Mapped[bool]


class PlaybookTask(TenantOwned):
    """A task that a stage's playbook gave out when an opportunity entered it."""

    __tablename__ = "playbook_tasks"
    __table_args__ = ({"schema": "opportunities"},)

    opportunity_id: Mapped[UUID]
    visit_id: Mapped[UUID]
    pipeline_id: Mapped[UUID]
    stage: Mapped[str]
    key: Mapped[str]
    activity_id: Mapped[UUID] = module_ref("activities.activities", on_delete="keep")
    created_at: Mapped[datetime]


class Cost(Versioned):
    """What selling cost: a sum, or hours at a rate."""

    __tablename__ = "costs"
    __table_args__ = (one_of("kind", CostKind), {"schema": "opportunities"})

    opportunity_id: Mapped[UUID]
    kind: Mapped[str]
    incurred_on: Mapped[date]
    member_id: Mapped[UUID | None] = module_ref("tenants.members", on_delete="keep")
    hours: Mapped[Decimal | None]
    rate: Mapped[Decimal | None]  # major units of `currency` per hour, to 8 decimals
    amount: Mapped[int]  # minor units of `currency`
    currency: Mapped[str]
    note: Mapped[str | None]


class PresalesRequest(RecordTable):
    """What sales asks of those who explain the product; `owner_id` is who is asked, None means anybody."""

    __tablename__ = "presales_requests"
    __table_args__ = (
        one_of("kind", PresalesKind),
        one_of("status", PresalesStatus),
        {"schema": "opportunities"},
    )

    opportunity_id: Mapped[UUID]
    kind: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    wanted_on: Mapped[date | None]
    answered_at: Mapped[datetime | None]
    answer_seconds: Mapped[int | None]
    finished_at: Mapped[datetime | None]
    hours: Mapped[Decimal | None]
    handed_over_from: Mapped[UUID | None]
    decline_reason: Mapped[str | None]
    result: Mapped[str | None]
