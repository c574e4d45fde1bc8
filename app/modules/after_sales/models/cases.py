"""Cases: what a customer asked for, where it stands, and by when it is due."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, RecordTable, module_ref, one_of
from app.modules.after_sales.interface import CaseChannel, CasePriority, CaseStatus


class CaseSeverity(StrEnum):
    """How much of the customer's business it stops."""

    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class SlaTarget(StrEnum):
    """What a promise is about."""

    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"


class Case(RecordTable):
    """Something that a customer asked for.

    `dedupe` names what it is about; of one name at most one case is unresolved. `warranty` is what was promised for
    the asset or the order line, copied when the case was told of it. `reopenable_until` is set while it is resolved
    or closed. `due_at` is the earliest deadline that runs, of target `due_target`; none runs while it is the
    customer's turn. `sla_failed` stays once a deadline was missed.

    `skills` are those that somebody said, None where the rules decide; `required_skills` are what routing asks for,
    named in lower case: `[{"skill", "level", "required"}]`. `routed_at` is when routing gave it to its owner.
    """

    __tablename__ = "cases"
    __table_args__ = (
        one_of("status", CaseStatus),
        one_of("channel", CaseChannel),
        one_of("priority", CasePriority),
        one_of("severity", CaseSeverity, nullable=True),
        one_of("due_target", SlaTarget, nullable=True),
        {"schema": "after_sales"},
    )

    number: Mapped[str]
    subject: Mapped[str]
    description: Mapped[str | None]
    type: Mapped[str | None]
    priority: Mapped[str]
    severity: Mapped[str | None]
    status: Mapped[str]
    channel: Mapped[str]
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="restrict")
    contact_id: Mapped[UUID | None] = module_ref("customers.contacts", on_delete="restrict")
    product_id: Mapped[UUID | None] = module_ref("catalog.products", on_delete="restrict")
    asset_id: Mapped[UUID | None]
    order_id: Mapped[UUID | None] = module_ref("orders.orders", on_delete="keep")
    order_line_id: Mapped[UUID | None] = module_ref("orders.order_lines", on_delete="keep")
    parent_id: Mapped[UUID | None]
    queue_id: Mapped[UUID | None]
    dedupe: Mapped[str | None]
    warranty: Mapped[Json | None]
    resolution: Mapped[str | None]
    opened_at: Mapped[datetime]
    first_response_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    reopened_at: Mapped[datetime | None]
    reopened_count: Mapped[int]
    reopenable_until: Mapped[datetime | None]
    escalation_level: Mapped[int]
    due_at: Mapped[datetime | None]
    due_target: Mapped[str | None]
    sla_failed: Mapped[bool]
    response_class: Mapped[str | None] = mapped_column(sort_order=1000)
    split_from_id: Mapped[UUID | None]
    skills: Mapped[list[Any] | None] = mapped_column(sort_order=1001)
    required_skills: Mapped[list[Any]] = mapped_column(sort_order=1001)
    language: Mapped[str | None] = mapped_column(sort_order=1001)
    routed_at: Mapped[datetime | None] = mapped_column(sort_order=1001)
    email: Mapped[str | None] = mapped_column(sort_order=1001)  # of who asked, where that is no contact
