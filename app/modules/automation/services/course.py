"""The course of a request: its locks, step after step, and its end.

Whoever changes a request holds two locks, first the record's and then the request's. Modules that ask for approval
hold the record too, so that nobody waits for somebody who waits for them.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from app.kernel.models import RecordTable
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    ApprovalDecided,
    ApprovalRef,
    ApprovalStatus,
    ApprovalSubject,
    NoPendingApproval,
)
from app.modules.automation.models import Approval, DecisionState, StepRule
from app.modules.automation.services.deadlines import deadlines
from app.modules.automation.services.tally import Outcome, outcome
from app.modules.automation.services.telling import OBJECT, ask, in_language, tell_end


def subject_of(uow: UnitOfWork, object_name: str) -> ApprovalSubject | None:
    """The module whose records of this type are approved; None for types that no module asks for itself."""
    return next((found for found in uow.ports(ApprovalSubject) if found.object == object_name), None)


async def lock_record(uow: UnitOfWork, object_name: str, record_id: UUID) -> RecordTable | None:
    """Keep others from changing the record; None where it is gone."""
    record = uow.kernel.registry.records[object_name]
    found: RecordTable | None = await uow.find(record.model, record_id, lock="update")
    return found


class Course:
    """Moves requests on. Every method works on a request that this transaction has locked."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def locked(self, id: UUID) -> Approval:
        """The request, with both locks. Raises `NotFound`."""
        found = await self._uow.get(Approval, id)
        await lock_record(self._uow, found.object, found.record_id)
        return await self._uow.get(Approval, id, lock="update")

    async def pending(self, id: UUID) -> Approval:
        """As `locked`. Raises also `NoPendingApproval` (carries `state`) when it is over."""
        found = await self.locked(id)
        if found.status != ApprovalStatus.PENDING:
            raise NoPendingApproval(f"This request is {found.status}.", state=found.status)
        return found

    async def open_step(self, approval: Approval) -> list[UUID]:
        """Begin the step that the request is at; the members who are asked, and told."""
        rows = await self._uow.fetch(
            "SELECT approver_id FROM automation.approval_decisions WHERE tenant_id = $1 AND approval_id = $2"
            " AND step = $3 AND state = 'waiting' ORDER BY id",
            self._uow.tenant_id,
            approval.id,
            approval.step,
        )
        asked = [row["approver_id"] for row in rows]
        times = await deadlines(self._uow, approval.steps[approval.step], asked)
        await self._uow.fetch(
            "UPDATE automation.approval_decisions d SET state = 'open', opened_at = $4, remind_at = n.remind_at,"
            " escalate_at = n.escalate_at"
            " FROM unnest($5::uuid[], $6::timestamptz[], $7::timestamptz[]) AS n(approver_id, remind_at, escalate_at)"
            " WHERE d.tenant_id = $1 AND d.approval_id = $2 AND d.step = $3 AND d.state = 'waiting'"
            " AND d.approver_id = n.approver_id",
            self._uow.tenant_id,
            approval.id,
            approval.step,
            self._uow.now,
            asked,
            [times[id].remind_at for id in asked],
            [times[id].escalate_at for id in asked],
        )
        await ask(self._uow, approval, asked)
        return asked

    async def settle(self, approval: Approval, note: str | None) -> Approval:
        """Count the step at hand; go on or end where it is decided. `note` is that of the last answer."""
        rows = await self._uow.fetch(
            "SELECT state, count(*) AS count FROM automation.approval_decisions WHERE tenant_id = $1"
            " AND approval_id = $2 AND step = $3 AND state <> 'closed' GROUP BY state",
            self._uow.tenant_id,
            approval.id,
            approval.step,
        )
        votes = {row["state"]: row["count"] for row in rows}
        result = outcome(
            StepRule(approval.steps[approval.step]["rule"]),
            approved=votes.get(DecisionState.APPROVED, 0),
            refused=votes.get(DecisionState.REFUSED, 0),
            asked=sum(votes.values()),
        )
        if result is Outcome.REFUSED:
            return await self.end(approval, ApprovalStatus.REFUSED, note)
        if result is Outcome.OPEN:
            return approval
        if approval.step + 1 == len(approval.steps):
            return await self.end(approval, ApprovalStatus.APPROVED, note)
        await self._close(approval, [approval.step])
        following = await self._uow.update(
            approval, audit=OBJECT, action="step_approved", step=approval.step + 1
        )
        await self.open_step(following)
        return following

    async def end(self, approval: Approval, status: ApprovalStatus, note: str | None) -> Approval:
        """Approve, refuse or recall: nobody is asked any more, and the record's module moves the record."""
        awaited = await self._close(approval, range(len(approval.steps)))
        ended = await self._uow.update(
            approval,
            audit=OBJECT,
            action=status.value,
            status=status.value,
            decided_at=self._uow.now,
            decided_by=self._uow.actor.member_id,
            decision_note=note,
        )
        self._uow.publish(
            ApprovalDecided(
                id=ended.id,
                subject_object=ended.object,
                subject_id=ended.record_id,
                status=ended.status,
                note=note,
            )
        )
        await tell_end(self._uow, ended, also=awaited)
        subject = subject_of(self._uow, ended.object)
        if subject is not None:
            await subject.decided(ended.record_id, status, reference(self._uow, ended))
        return ended

    async def _close(self, approval: Approval, steps: Collection[int]) -> list[UUID]:
        """Nobody is asked any more in these steps; the members who were."""
        rows = await self._uow.fetch(
            "WITH before AS (SELECT id, state FROM automation.approval_decisions WHERE tenant_id = $1"
            "  AND approval_id = $2 AND step = ANY($3::bigint[]) AND state IN ('waiting', 'open'))"
            " UPDATE automation.approval_decisions d SET state = 'closed', remind_at = NULL, escalate_at = NULL"
            f" FROM {rows_of('before', 'id', 'state')} WHERE d.tenant_id = $1 AND d.id = before.id"
            " RETURNING d.approver_id, before.state",
            self._uow.tenant_id,
            approval.id,
            list(steps),
        )
        return [row["approver_id"] for row in rows if row["state"] == DecisionState.OPEN]


def reference(uow: UnitOfWork, approval: Approval, waiting_for: Collection[UUID] = ()) -> ApprovalRef:
    """The request as the record shows it."""
    step = approval.steps[approval.step]
    return ApprovalRef(
        id=approval.id,
        status=ApprovalStatus(approval.status),
        process=in_language(uow, approval.process_name_en, approval.process_name_zh),
        step=in_language(uow, step["name_en"], step["name_zh"]),
        waiting_for=tuple(waiting_for),
        requested_at=approval.requested_at,
        decided_at=approval.decided_at,
        note=approval.note if approval.status == ApprovalStatus.PENDING else approval.decision_note,
    )
