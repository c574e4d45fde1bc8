"""Webhook endpoints and deliveries on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from app.kernel.schemas import Input, Output

EventPattern = Annotated[
    str,
    StringConstraints(pattern=r"^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$", max_length=200),
]
Patterns = Annotated[list[EventPattern], Field(min_length=1, max_length=100)]
Url = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
Description = Annotated[str, StringConstraints(max_length=500)]


class WebhookEndpointCreate(Input):
    """A receiver of events."""

    url: Url = Field(description="Absolute https URL.", examples=["https://hooks.example.com/rapport"])
    event_types: Patterns = Field(
        default=["*"],
        description="Event types; `leads.*` takes all of a module, `*` all.",
        examples=[["leads.*"]],
    )
    description: Description = ""
    enabled: bool = True


class WebhookEndpointUpdate(Input):
    """Changes to an endpoint; absent fields stay as they are."""

    url: Url | None = None
    event_types: Patterns | None = None
    description: Description | None = None
    enabled: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, given: Any) -> Any:
        if isinstance(given, dict) and any(value is None for value in given.values()):
            raise ValueError("no field of an endpoint may be null")
        return given


class WebhookEndpointRead(Output):
    """An endpoint as it stands; its secret is never shown again."""

    id: UUID
    version: int = Field(description="Grows with each change; the ETag.")
    url: str
    event_types: list[str]
    description: str
    enabled: bool
    disabled_reason: Literal["by_member", "gone", "failing"] | None = Field(
        description="`gone`: it answered 410; `failing`: nothing was accepted for five days."
    )
    disabled_at: datetime | None
    failing_since: datetime | None = Field(description="Since when nothing was accepted; null when it works.")
    previous_secret_expires_at: datetime | None = Field(description="Until then both secrets sign.")
    created_at: datetime
    updated_at: datetime
    created_by: UUID | None


class WebhookEndpointCreated(WebhookEndpointRead):
    """A new endpoint with its secret: the only time that it is shown."""

    secret: str = Field(description="`whsec_…`; verify with any Standard Webhooks library.")


class SecretRotation(Input):
    """How long the secret in use goes on signing beside the new one."""

    overlap_hours: int = Field(24, ge=0, le=168)


class RotatedSecret(Output):
    """The new secret: the only time that it is shown."""

    secret: str
    previous_secret_expires_at: datetime


class WebhookAttemptRead(Output):
    """One request and what came back."""

    id: UUID
    at: datetime
    status: int | None = Field(description="HTTP status; null when there was no answer.")
    latency_ms: int
    error: str | None
    response_excerpt: str | None = Field(description="The beginning of the answer's body.")


class WebhookDeliveryRead(Output):
    """One event on its way to one endpoint."""

    id: UUID
    event_id: UUID = Field(description="The `webhook-id` of every attempt.")
    event_type: str
    state: Literal["pending", "succeeded", "failed", "cancelled"]
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    attempts: list[WebhookAttemptRead] = Field(description="Newest first, at most 20.")


class ReplayRequest(Input):
    """Either some events by id, or all of a time range that the endpoint takes."""

    event_ids: list[UUID] | None = Field(None, min_length=1, max_length=1_000)
    since: datetime | None = Field(None, description="First moment of the range.")
    until: datetime | None = Field(None, description="Absent means now.")
    only_unsuccessful: bool = Field(True, description="Leave out what the endpoint has accepted already.")

    @model_validator(mode="after")
    def _one_way(self) -> ReplayRequest:
        if (self.event_ids is None) == (self.since is None):
            raise ValueError("give either event_ids or since")
        if self.event_ids is not None and self.until is not None:
            raise ValueError("until belongs to since")
        return self


class ReplayAnswer(Output):
    """How many deliveries were started again or anew."""

    queued: int


class PingAnswer(Output):
    """A test message is on its way; look at its delivery for the answer."""

    delivery_id: UUID
