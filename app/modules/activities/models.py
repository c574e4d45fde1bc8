"""Activities and the records that they are about."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import RecordTable, TenantOwned, one_of


class ActivityKind(StrEnum):
    NOTE = "note"
    TASK = "task"
    CALL = "call"
    MEETING = "meeting"


class ActivityStatus(StrEnum):
    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Activity(RecordTable):
    """One touch with a customer, past or planned. `about` repeats its links, so that one read answers it all."""

    __tablename__ = "activities"
    __table_args__ = (
        one_of("kind", ActivityKind),
        one_of("status", ActivityStatus),
        one_of("priority", Priority),
        one_of("direction", Direction, nullable=True),
        {"schema": "activities"},
    )

    kind: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str | None]
    about: Mapped[list[Any]]  # [{"object": "lead", "record_id": "…"}]
    status: Mapped[str]
    priority: Mapped[str]
    due_at: Mapped[datetime | None]
    happened_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    duration_seconds: Mapped[int | None]
    direction: Mapped[str | None]
    outcome: Mapped[str | None]


class Link(TenantOwned):
    """An activity stands on a record's timeline, at `at` (the activity's `happened_at`)."""

    __tablename__ = "links"
    __table_args__ = ({"schema": "activities"},)

    activity_id: Mapped[UUID]
    object: Mapped[str]
    record_id: Mapped[UUID]
    at: Mapped[datetime]
