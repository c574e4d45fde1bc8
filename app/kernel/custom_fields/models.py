"""The table of definitions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, Versioned


class FieldType(StrEnum):
    """What a field holds; it never changes once the field exists."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    SELECT = "select"
    MULTI_SELECT = "multi_select"
    URL = "url"
    EMAIL = "email"
    PHONE = "phone"
    MEMBER = "member"
    RECORD = "record"


class IndexState(StrEnum):
    """Whether the typed index holds every value: ranges use it only when it does."""

    NONE = "none"
    BUILDING = "building"
    READY = "ready"


class CustomField(Versioned):
    """One field that a tenant added to a record type."""

    __tablename__ = "custom_fields"
    __table_args__ = ({"schema": "kernel"},)

    object: Mapped[str]
    key: Mapped[str]
    type: Mapped[str]
    labels: Mapped[Json]  # language → label
    help: Mapped[Json]  # language → text
    required: Mapped[bool]
    is_unique: Mapped[bool]
    is_indexed: Mapped[bool]
    index_state: Mapped[str]
    conflicts: Mapped[int]  # records that share a value though the field is unique now
    default_value: Mapped[Any] = mapped_column(postgresql.JSONB, nullable=True)
    rule: Mapped[Json]
    options: Mapped[list[Any]]
    reference: Mapped[str | None]  # the record type that a `record` field points at
    position: Mapped[int]
    archived_at: Mapped[datetime | None]
