"""What is promised to customers, and the clocks that watch it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import Json, TenantOwned, Versioned, module_ref, one_of
from app.modules.after_sales.models.cases import SlaTarget


class EscalationAction(StrEnum):
    NOTIFY = "notify"
    REASSIGN = "reassign"


class EscalationTo(StrEnum):
    """Whom a step of an escalation chain turns to."""

    OWNER = "owner"
    MANAGER = "manager"
    MEMBER = "member"
    QUEUE = "queue"


class SlaPolicy(Versioned):
    """How soon whom is answered: of each target the first policy that holds for a case says so, by `position`.

    `conditions` is a filter of cases; without one it holds for all. Minutes are working time of the calendar, or of
    the company's where there is none. `escalations` are the steps after a missed deadline, in order.
    """

    __tablename__ = "sla_policies"
    __table_args__ = ({"schema": "after_sales"},)

    name: Mapped[str]
    position: Mapped[int]
    enabled: Mapped[bool]
    conditions: Mapped[Json | None]
    first_response_minutes: Mapped[int | None]
    next_response_minutes: Mapped[int | None]
    resolution_minutes: Mapped[int | None]
    calendar_id: Mapped[UUID | None] = module_ref("tenants.calendars", on_delete="restrict")
    warn_percent: Mapped[int]
    escalations: Mapped[list[Any]]


class CaseClock(TenantOwned):
    """One promise about one case. `goal_seconds` are working seconds from `started_at`, without those of `holds`.

    A clock that is paused has no deadline. `breached_at` is the deadline that was missed, and stays. `ended_at` is
    when it was met, in time or not; then `due_at` is what it was measured by.
    """

    __tablename__ = "case_clocks"
    __table_args__ = (one_of("target", SlaTarget), {"schema": "after_sales"})

    case_id: Mapped[UUID]
    target: Mapped[str]
    policy_id: Mapped[UUID]
    calendar_id: Mapped[UUID | None] = module_ref("tenants.calendars", on_delete="keep")
    goal_seconds: Mapped[int]
    started_at: Mapped[datetime]
    holds: Mapped[list[Any]]  # [from, to], as texts, in order
    paused_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    warn_at: Mapped[datetime | None]
    warned_at: Mapped[datetime | None]
    breached_at: Mapped[datetime | None]
    escalate_at: Mapped[datetime | None]
    escalated: Mapped[int]  # how many steps of the chain were taken
    ended_at: Mapped[datetime | None]
