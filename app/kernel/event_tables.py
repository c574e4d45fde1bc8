"""The webhook tables as they are mapped; `event_feed` and the relay read the outbox by SQL text."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, TenantOwned, Versioned


class WebhookEndpoint(Versioned):
    """A receiver of events at a partner's address."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = ({"schema": "kernel"},)

    url: Mapped[str]
    description: Mapped[str]
    event_types: Mapped[list[str]]
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    secret: Mapped[bytes] = mapped_column(info={"secret": True})
    previous_secret: Mapped[bytes | None] = mapped_column(info={"secret": True})
    previous_secret_expires_at: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    created_by: Mapped[UUID | None]
    deleted_at: Mapped[datetime | None]


class WebhookDelivery(TenantOwned):
    """One event on its way to one endpoint; a replay starts the same delivery again."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = ({"schema": "kernel"},)

    endpoint_id: Mapped[UUID]
    event_id: Mapped[UUID]
    event_type: Mapped[str]
    payload: Mapped[Json | None]  # of a ping only; other bodies are made from the outbox
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class WebhookAttempt(TenantOwned):
    """One request to an endpoint, and what came back."""

    __tablename__ = "webhook_attempts"
    __table_args__ = ({"schema": "kernel"},)

    delivery_id: Mapped[UUID]
    at: Mapped[datetime]
    status: Mapped[int | None] = mapped_column(Integer)
    latency_ms: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None]
    response_excerpt: Mapped[str | None]
