"""Rules of data quality as they are stored."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Mapped

from app.kernel.models import Json, Versioned, one_of


class Severity(StrEnum):
    """What a rule does: show in the report, or also refuse what breaks it."""

    WARN = "warn"
    BLOCK = "block"


class QualityRule(Versioned):
    """What one field of a record type must be like, and of which records (`condition`)."""

    __tablename__ = "quality_rules"
    __table_args__ = (one_of("severity", Severity), {"schema": "kernel"})

    object: Mapped[str]
    field: Mapped[str]
    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    severity: Mapped[str]
    requirement: Mapped[Json]
    condition: Mapped[Json | None]
