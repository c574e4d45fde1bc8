"""What other modules may know of approvals: ask for one, take it back, and be told what was decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict, Forbidden
from app.kernel.events import Event


class ApprovalStatus(StrEnum):
    """How a request stands. `not_needed` is never stored: no process applies, or the same was approved before."""

    NOT_NEEDED = "not_needed"
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    RECALLED = "recalled"


class Resubmit(StrEnum):
    """Where a refused request goes on when it is asked for again."""

    START = "start"
    REFUSING_STEP = "refusing_step"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalQuestion:
    """What is to be approved.

    `object` is a record type's name and `row` the record's columns by name, on which the conditions of processes
    and steps are computed, as a list's filter would be. `fingerprint` stands for everything that approval is about:
    the same as that of the record's last approved request means that nothing has to be asked again, also for a
    later revision that names its predecessors in `earlier_ids`. `label` is what approvers read: "Q-2026-00042
    rev. 2 · Acme". `chosen_ids` are the members whom the requester picked, for steps that leave the choice to them.
    """

    object: str
    record_id: UUID
    label: str
    row: Mapping[str, Any]
    fingerprint: str
    owner_id: UUID | None
    earlier_ids: tuple[UUID, ...] = ()
    note: str | None = None
    resubmit: Resubmit = Resubmit.START
    chosen_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRef:
    """A request as the record shows it; `waiting_for` are the members who may decide its current steps."""

    id: UUID | None
    status: ApprovalStatus
    process: str | None
    step: str | None
    waiting_for: tuple[UUID, ...] = ()
    requested_at: datetime | None = None
    decided_at: datetime | None = None
    note: str | None = None


class Approvals(Protocol):
    """Approvals of the tenant at hand."""

    async def request(self, question: ApprovalQuestion) -> ApprovalRef:
        """Start the first process whose conditions hold; `NOT_NEEDED` where none does, or nothing changed.

        Raises: `ApprovalPending`; `NoApprover`, which names the step: nothing is ever passed silently.
        """

    async def recall(self, object_name: str, record_id: UUID, *, note: str | None = None) -> ApprovalRef:
        """Take the pending request back.

        Raises: `NoPendingApproval`; `Forbidden` for whoever neither asked for it nor owns the record.
        """

    async def withdraw(self, object_name: str, record_id: UUID, *, note: str | None = None) -> None:
        """The record is given up, by whoever may do that: recall its pending request, where there is one."""

    async def latest(self, object_name: str, record_ids: Collection[UUID]) -> Mapping[UUID, ApprovalRef]:
        """The last request of each record; those that never had one are absent. One statement."""


class ApprovalSubject(Protocol):
    """Port: a module whose records are approved."""

    object: ClassVar[str]

    async def decided(self, record_id: UUID, status: ApprovalStatus, request: ApprovalRef) -> None:
        """The request was approved, refused or recalled: move the record, in the same transaction."""

    async def visible(self, record_ids: Collection[UUID]) -> Collection[UUID]:
        """Those that the actor may see by their own rights; an approver sees the request anyway."""


class ApprovalPending(Conflict):
    code = "approval_pending"
    title = "It is being approved already"


class NoPendingApproval(Conflict):
    code = "no_pending_approval"
    title = "Nothing waits for approval here"


class NoApprover(Conflict):
    """Carries `process` and `step`."""

    code = "no_approver"
    title = "Nobody can approve a step"


class AlreadyDecided(Conflict):
    code = "already_decided"
    title = "This approver has decided already"


class OwnRequest(Forbidden):
    code = "own_request"
    title = "Nobody approves what they asked for themselves"


class AskedElsewhere(Conflict):
    code = "asked_elsewhere"
    title = "This kind of record asks for approval by an operation of its own"


class ApprovalNotNeeded(Conflict):
    code = "approval_not_needed"
    title = "No process asks for approval of this, or the same has been approved before"


class ApprovalRequested(Event):
    """A record waits for approval."""

    type: ClassVar[str] = "automation.approval.requested.v1"
    object: ClassVar[str] = "approval"

    subject_object: str
    subject_id: UUID
    process: str
    waiting_for: list[UUID]


class ApprovalDecided(Event):
    """A request came to its end: approved, refused or recalled."""

    type: ClassVar[str] = "automation.approval.decided.v1"
    object: ClassVar[str] = "approval"

    subject_object: str
    subject_id: UUID
    status: str
    note: str | None
