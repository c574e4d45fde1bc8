"""What assignment knows of a lead, and what it decides about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.modules.leads.models import AssignmentRule, Cause


@dataclass(frozen=True, slots=True)
class LeadFacts:
    """A lead as rules see it; `matched` are the places of the rules whose conditions hold."""

    id: UUID
    owner_id: UUID | None
    team_id: UUID | None
    queue_id: UUID | None
    matched: frozenset[int]
    country: str | None
    region: str | None
    city: str | None
    industry: str | None
    size: str | None
    product_name: str | None


@dataclass(slots=True)
class Decision:
    """Where one lead goes and why: to a member, into a queue, or into a thing of another module (`port`)."""

    lead: LeadFacts
    reason: str
    rule: AssignmentRule | None = None
    member_id: UUID | None = None
    team_id: UUID | None = None
    queue_id: UUID | None = None
    port: str | None = None
    cause: Cause | None = None  # where it differs from that of the others decided with it
    territory_id: UUID | None = None
    passed: list[dict[str, Any]] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)
