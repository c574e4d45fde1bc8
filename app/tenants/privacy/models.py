"""Requests of people, and refusals that outlive them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Base, Json, TenantOwned, Versioned, one_of


class PrivacyKind(StrEnum):
    """What is asked: a copy of everything, or to be forgotten."""

    EXPORT = "export"
    ERASURE = "erasure"


class PrivacyState(StrEnum):
    """A draft shows what would happen; once it is confirmed it runs to its end."""

    DRAFT = "draft"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


_SECRET = {"secret": True, "derived": True}
_DERIVED = {"derived": True}


class PrivacyRequest(Versioned):
    """One request. `subjects` are `[{"object", "record_id"}]`, `held` says per table how many rows there are."""

    __tablename__ = "privacy_requests"
    __table_args__ = (one_of("kind", PrivacyKind), one_of("state", PrivacyState), {"schema": "tenants"})

    kind: Mapped[str]
    state: Mapped[str]
    subjects: Mapped[list[Any]]
    reason: Mapped[str | None] = mapped_column(info=_DERIVED)
    held: Mapped[list[Any]] = mapped_column(info=_DERIVED)
    candidates: Mapped[list[Any]] = mapped_column(info=_DERIVED)
    job_id: Mapped[UUID | None] = mapped_column(info=_DERIVED)
    sought: Mapped[bytes | None] = mapped_column(info=_SECRET)
    listed_at: Mapped[datetime | None] = mapped_column(info=_DERIVED)
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[UUID | None]
    completed_at: Mapped[datetime | None]
    file_key: Mapped[str | None] = mapped_column(info=_DERIVED)
    file_size: Mapped[int | None] = mapped_column(info=_DERIVED)
    file_sha256: Mapped[str | None]
    expires_at: Mapped[datetime | None] = mapped_column(info=_DERIVED)
    certificate: Mapped[Json | None] = mapped_column(info=_DERIVED)
    key_id: Mapped[str | None] = mapped_column(info=_DERIVED)
    signature: Mapped[bytes | None] = mapped_column(info=_DERIVED)
    created_by: Mapped[UUID | None]


class PrivacyRow(Base):
    """A row that was found of the person, while the request is under way."""

    __tablename__ = "privacy_rows"
    __table_args__ = ({"schema": "tenants"},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[UUID] = mapped_column(primary_key=True)
    holding: Mapped[str] = mapped_column(primary_key=True)
    row_id: Mapped[UUID] = mapped_column(primary_key=True)
    table_name: Mapped[str]
    done: Mapped[bool]


class PrivacyRefusal(TenantOwned):
    """A channel that somebody refused who was erased since, by a keyed hash of their address."""

    __tablename__ = "privacy_refusals"
    __table_args__ = ({"schema": "tenants"},)

    channel: Mapped[str]
    key_hash: Mapped[bytes]
    refused_at: Mapped[datetime]
