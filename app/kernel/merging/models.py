"""The rows behind merges. References that moved and tombstones are handled in sets, by SQL only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import Json, Versioned


class MasterRule(StrEnum):
    """Which record survives when none is named."""

    OLDEST = "oldest"
    NEWEST = "newest"
    MOST_COMPLETE = "most_complete"
    LAST_UPDATED = "last_updated"


class Merge(Versioned):
    """One merge. `changes` has what it changed on the surviving record: column → [before, after]."""

    __tablename__ = "merges"
    __table_args__ = ({"schema": "kernel"},)

    object: Mapped[str]
    survivor_id: Mapped[UUID]
    merged_ids: Mapped[list[UUID]]
    master_rule: Mapped[str | None]
    changes: Mapped[Json]
    moved: Mapped[dict[str, Any]]  # how many references by kind
    reason: Mapped[str | None]
    undo_until: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[UUID | None]
    created_by: Mapped[UUID | None]
