"""The clause library, and how contracts change: amendments and the revisions that were in force."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.models import Json, TenantOwned, Versioned, one_of


class AmendmentStatus(StrEnum):
    """An approved amendment waits for its day."""

    DRAFT = "draft"
    IN_APPROVAL = "in_approval"
    APPROVED = "approved"
    IN_FORCE = "in_force"
    WITHDRAWN = "withdrawn"


class ClauseTemplate(Versioned):
    """A clause of the company's library, by a key of its own."""

    __tablename__ = "clause_templates"
    __table_args__ = ({"schema": "contracts"},)

    key: Mapped[str]
    category: Mapped[str | None]
    is_active: Mapped[bool]
    current_version: Mapped[int]


class ClauseTemplateVersion(TenantOwned):
    """What a template said; a version never changes."""

    __tablename__ = "clause_template_versions"
    __table_args__ = ({"schema": "contracts"},)

    template_id: Mapped[UUID]
    number: Mapped[int]
    title_en: Mapped[str]
    title_zh: Mapped[str | None]
    body_en: Mapped[str]
    body_zh: Mapped[str | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]


class Amendment(Versioned):
    """A change of an active contract; `changes` are in their wire form, absent ones stay as they are."""

    __tablename__ = "amendments"
    __table_args__ = (one_of("status", AmendmentStatus), {"schema": "contracts"})

    contract_id: Mapped[UUID]
    number: Mapped[int]
    title: Mapped[str]
    reason: Mapped[str | None]
    status: Mapped[str]
    effective_on: Mapped[date | None]
    changes: Mapped[Json]
    in_force_at: Mapped[datetime | None]
    created_by: Mapped[UUID | None]


class Revision(TenantOwned):
    """A contract as it was in force, whole."""

    __tablename__ = "revisions"
    __table_args__ = ({"schema": "contracts"},)

    contract_id: Mapped[UUID]
    number: Mapped[int]
    content: Mapped[Json]
    amendment_id: Mapped[UUID | None]
    in_force_from: Mapped[date]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]
