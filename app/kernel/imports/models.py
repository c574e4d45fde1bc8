"""The rows behind files and imports."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import Json, TenantOwned, Versioned

ACTIVE = frozenset({"validating", "in_progress"})
ENDED = frozenset({"completed", "completed_with_errors", "failed", "cancelled"})


class StoredUpload(TenantOwned):
    """A file that someone uploaded or a job wrote; the bytes are in the file store under `key`."""

    __tablename__ = "files"
    __table_args__ = ({"schema": "kernel"},)

    name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    key: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]


class Import(Versioned):
    """One import: what to do with which file, and how far it is. `position` is the next row's number."""

    __tablename__ = "imports"
    __table_args__ = ({"schema": "kernel"},)

    object: Mapped[str]
    mode: Mapped[str]
    key: Mapped[str]
    duplicate_rule: Mapped[str | None]
    dry_run: Mapped[bool]
    state: Mapped[str]
    options: Mapped[Json]
    defaults: Mapped[Json]
    mapping: Mapped[Json]
    preview: Mapped[dict[str, Any] | None]
    file_id: Mapped[UUID | None]
    job_id: Mapped[UUID | None]
    position: Mapped[int]
    total: Mapped[int | None]
    created: Mapped[int]
    updated: Mapped[int]
    unchanged: Mapped[int]
    failed: Mapped[int]
    error: Mapped[dict[str, Any] | None]
    undo: Mapped[dict[str, Any] | None]
    created_by: Mapped[UUID | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
