"""The service desk: queues, agents with their presence, and calls."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, Versioned, module_ref, one_of


class Routing(StrEnum):
    """How cases come out of a queue: agents take the next one, or get it as soon as they have room."""

    PULL = "pull"
    PUSH = "push"


class AgentStatus(StrEnum):
    """Whether somebody takes cases just now."""

    ONLINE = "online"
    AWAY = "away"
    OFFLINE = "offline"


class CallDirection(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Queue(Versioned):
    """Where cases wait for one of its members.

    `skills` are `[{"skill", "level", "required"}]`. The optional ones are asked for only during the first
    `optional_for_seconds` of a case.
    """

    __tablename__ = "queues"
    __table_args__ = (one_of("routing", Routing), {"schema": "after_sales"})

    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    routing: Mapped[str]
    member_ids: Mapped[list[UUID]]
    team_ids: Mapped[list[UUID]]
    skills: Mapped[list[Any]]
    optional_for_seconds: Mapped[int]


class DeskSettings(Versioned):
    """What one agent can bear, and what a case of each channel weighs; at most one row per tenant.

    A channel whose weight is null takes an agent whole. Who says nothing for `away_after_minutes` is away; with null
    nobody is.
    """

    __tablename__ = "desk_settings"
    __table_args__ = ({"schema": "after_sales"},)

    capacity: Mapped[int]
    weights: Mapped[Json]
    away_after_minutes: Mapped[int | None] = mapped_column(sort_order=1000)


class Agent(Versioned):
    """A member at the desk; the row's id is the member's. Whoever gives them a case holds this row.

    Without a `capacity` of their own that of the company counts.
    """

    __tablename__ = "agents"
    __table_args__ = (one_of("status", AgentStatus), {"schema": "after_sales"})

    status: Mapped[str]
    status_since: Mapped[datetime]
    capacity: Mapped[int | None]
    last_taken_at: Mapped[datetime | None]
    heard_at: Mapped[datetime | None] = mapped_column(sort_order=1000)


class Call(Versioned):
    """A telephone call. `number` is none where the caller withheld it, `e164` where it is no full number.

    `about` is whom it was with, known when it ends: `[{"object", "record_id"}]`.
    """

    __tablename__ = "calls"
    __table_args__ = (one_of("direction", CallDirection), {"schema": "after_sales"})

    number: Mapped[str | None]
    e164: Mapped[str | None]
    direction: Mapped[str]
    agent_id: Mapped[UUID]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    duration_seconds: Mapped[int | None]
    outcome: Mapped[str | None]
    about: Mapped[list[Any]]
    activity_id: Mapped[UUID | None] = module_ref("activities.activities", on_delete="keep")
    created_by: Mapped[UUID | None]
