"""Approval processes, requests, the decisions that they wait for, their history, and who decides for whom."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Json, TenantOwned, Versioned, one_of


class StepRule(StrEnum):
    """Whose word counts in a step.

    `any`: the first answer decides, either way. `all`: everybody approves, one refusal refuses. `majority`: more
    than half approve; it is refused as soon as that can no longer be.
    """

    ANY = "any"
    ALL = "all"
    MAJORITY = "majority"


class DecisionState(StrEnum):
    """How one member's decision stands. `waiting`: their step comes later; `closed`: it was done without them."""

    WAITING = "waiting"
    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    CLOSED = "closed"


class HistoryAction(StrEnum):
    """What happened to a request.

    `delegated`: an approver gave it to somebody; `handed_over`: it went on because they left; `escalated`: because
    they did not answer in time; `stayed`: it should have gone on, and there was nobody else; `closed`: the one who
    left was not needed, for others of the step decide.
    """

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    DELEGATED = "delegated"
    HANDED_OVER = "handed_over"
    ESCALATED = "escalated"
    STAYED = "stayed"
    CLOSED = "closed"
    RECALLED = "recalled"


class ApprovalProcess(Versioned):
    """Who approves what. Of those whose condition holds the one with the lowest `priority` asks."""

    __tablename__ = "approval_processes"
    __table_args__ = ({"schema": "automation"},)

    name_en: Mapped[str]
    name_zh: Mapped[str | None]
    object: Mapped[str]
    priority: Mapped[int]
    enabled: Mapped[bool]
    condition: Mapped[Json | None]  # a FilterTree; none holds always
    steps: Mapped[list[Any]]
    requester_may_approve: Mapped[bool]
    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=903)


class Approval(TenantOwned):
    """One request. `steps` are those of the process that apply to it, `step` is the place of the one it is at.

    `carried` are the keys of steps that approved an earlier, refused request, which are not asked again.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'approved', 'refused', 'recalled')", name="status"),
        {"schema": "automation"},
    )

    process_id: Mapped[UUID]
    process_name_en: Mapped[str]
    process_name_zh: Mapped[str | None]
    requester_may_approve: Mapped[bool]
    object: Mapped[str]
    record_id: Mapped[UUID]
    label: Mapped[str]
    fingerprint: Mapped[str]
    status: Mapped[str]
    steps: Mapped[list[Any]]
    step: Mapped[int]
    carried: Mapped[list[str]]
    requested_by: Mapped[UUID | None]
    owner_id: Mapped[UUID | None]
    note: Mapped[str | None]
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    decision_note: Mapped[str | None]


class Decision(TenantOwned):
    """What one member has to say in one step."""

    __tablename__ = "approval_decisions"
    __table_args__ = (one_of("state", DecisionState), {"schema": "automation"})

    approval_id: Mapped[UUID]
    step: Mapped[int]
    approver_id: Mapped[UUID]
    first_approver_id: Mapped[UUID]
    state: Mapped[str]
    opened_at: Mapped[datetime | None]
    remind_at: Mapped[datetime | None]
    escalate_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None]
    note: Mapped[str | None]


class HistoryEntry(TenantOwned):
    """One thing that happened to a request; `actor_id` is none where the clock did it."""

    __tablename__ = "approval_history"
    __table_args__ = (one_of("action", HistoryAction), {"schema": "automation"})

    approval_id: Mapped[UUID]
    at: Mapped[datetime]
    action: Mapped[str]
    step: Mapped[str | None]
    actor_id: Mapped[UUID | None]
    on_behalf_of: Mapped[UUID | None]
    to_member_id: Mapped[UUID | None]
    note: Mapped[str | None]


class Delegation(Versioned):
    """From `starts_at` until before `ends_at` the delegate may decide what waits for the member."""

    __tablename__ = "approval_delegations"
    __table_args__ = ({"schema": "automation"},)

    member_id: Mapped[UUID]
    delegate_id: Mapped[UUID]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    note: Mapped[str | None]
