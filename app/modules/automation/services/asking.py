"""Asking for approval, taking it back, and how records stand: what other modules see of approvals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import (
    ApprovalPending,
    ApprovalQuestion,
    ApprovalRef,
    ApprovalRequested,
    ApprovalStatus,
    NoApprover,
    NoPendingApproval,
    Resubmit,
)
from app.modules.automation.models import Approval, Decision, DecisionState, HistoryAction
from app.modules.automation.services import history
from app.modules.automation.services.course import Course, lock_record, reference
from app.modules.automation.services.planning import Plan, PlannedStep, plan
from app.modules.automation.services.recalling import recall, take_back
from app.modules.automation.services.telling import OBJECT, in_language

_NOT_NEEDED = ApprovalRef(id=None, status=ApprovalStatus.NOT_NEEDED, process=None, step=None)
_ASKED = ("key", "name_en", "name_zh", "rule", "remind_after", "escalate_after")
"""What a request keeps of each step; its approvers are rows."""


class ApprovalsOfTenant:
    """Implements `Approvals`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def request(self, question: ApprovalQuestion) -> ApprovalRef:
        """Start the first process whose conditions hold. Raises: ApprovalPending; NoApprover."""
        uow = self._uow
        # The record stands for all requests about it: of two at once the second finds the first.
        await lock_record(uow, question.object, question.record_id)
        last = await self._last(question)
        if last is not None and last.status == ApprovalStatus.PENDING:
            raise ApprovalPending(approval_id=str(last.id))
        if await self._approved_fingerprint(question) == question.fingerprint:
            return _NOT_NEEDED
        planned = await plan(uow, question, requester=uow.actor.member_id)
        if planned is None or not planned.applying:
            return _NOT_NEEDED
        carried = _carried(question, last, planned)
        steps = [step for step in planned.applying if step.key not in carried]
        for step in steps:
            if not step.approvers:
                raise _nobody(uow, planned, step)
        approval = await self._store(question, planned, steps, carried)
        asked = await Course(uow).open_step(approval)
        uow.publish(
            ApprovalRequested(
                id=approval.id,
                subject_object=approval.object,
                subject_id=approval.record_id,
                process=planned.process.name_en,
                waiting_for=asked,
            )
        )
        return reference(uow, approval, asked)

    async def recall(self, object_name: str, record_id: UUID, *, note: str | None = None) -> ApprovalRef:
        """Take the pending request back. Raises: NoPendingApproval; Forbidden."""
        id = await self._pending_of(object_name, record_id)
        if id is None:
            raise NoPendingApproval
        return reference(self._uow, await recall(self._uow, id, note=note))

    async def withdraw(self, object_name: str, record_id: UUID, *, note: str | None = None) -> None:
        """Recall the pending request of a record that is given up, whoever asked for it."""
        id = await self._pending_of(object_name, record_id)
        if id is not None:
            await take_back(self._uow, id, note=note)

    async def _pending_of(self, object_name: str, record_id: UUID) -> UUID | None:
        row = await self._uow.fetchrow(
            "SELECT id FROM automation.approvals WHERE tenant_id = $1 AND object = $2 AND record_id = $3"
            " AND status = 'pending'",
            self._uow.tenant_id,
            object_name,
            record_id,
        )
        return None if row is None else row["id"]

    async def latest(self, object_name: str, record_ids: Collection[UUID]) -> Mapping[UUID, ApprovalRef]:
        """The last request of each record, in one statement."""
        if not record_ids:
            return {}
        rows = await self._uow.fetch(_LATEST, self._uow.tenant_id, object_name, list(record_ids))
        found = {}
        for row in rows:
            values = dict(row)
            waiting_for = values.pop("waiting_for")
            found[row["record_id"]] = reference(self._uow, entity(Approval, values), waiting_for)
        return found

    async def _last(self, question: ApprovalQuestion) -> Approval | None:
        """The record's last request, whatever became of it."""
        statement = self._uow.select(Approval).where(
            Approval.object == question.object, Approval.record_id == question.record_id
        )
        return await self._uow.first(statement.order_by(Approval.requested_at.desc(), Approval.id.desc()))

    async def _approved_fingerprint(self, question: ApprovalQuestion) -> str | None:
        """What was approved last, of the record and those that came before it."""
        row = await self._uow.fetchrow(
            "SELECT fingerprint FROM automation.approvals WHERE tenant_id = $1 AND object = $2"
            " AND record_id = ANY($3::uuid[]) AND status = 'approved' ORDER BY decided_at DESC, id DESC LIMIT 1",
            self._uow.tenant_id,
            question.object,
            [question.record_id, *question.earlier_ids],
        )
        return None if row is None else str(row["fingerprint"])

    async def _store(
        self, question: ApprovalQuestion, planned: Plan, steps: list[PlannedStep], carried: frozenset[str]
    ) -> Approval:
        uow, process = self._uow, planned.process
        approval = await uow.insert(
            Approval,
            audit=OBJECT,
            process_id=process.id,
            process_name_en=process.name_en,
            process_name_zh=process.name_zh,
            requester_may_approve=process.requester_may_approve,
            object=question.object,
            record_id=question.record_id,
            label=question.label,
            fingerprint=question.fingerprint,
            status=ApprovalStatus.PENDING.value,
            steps=[{name: step.step[name] for name in _ASKED} for step in steps],
            step=0,
            carried=sorted(carried),
            requested_by=uow.actor.member_id,
            owner_id=question.owner_id,
            note=question.note,
            requested_at=uow.now,
        )
        rows: list[dict[str, Any]] = [
            {
                "approval_id": approval.id,
                "step": place,
                "approver_id": approver,
                "first_approver_id": approver,
                "state": DecisionState.WAITING.value,
            }
            for place, step in enumerate(steps)
            for approver in step.approvers
        ]
        await uow.insert_many(Decision, rows)
        happening = history.Happening(
            approval_id=approval.id, action=HistoryAction.REQUESTED, note=question.note
        )
        await history.write(uow, happening)
        return approval


def _carried(question: ApprovalQuestion, last: Approval | None, planned: Plan) -> frozenset[str]:
    """Keys of the steps that approved the refused request before, when it goes on at the refusing step.

    Only what was approved is left out: a step that begins to apply with the change is asked. Where nothing would be
    left to ask, and where another process asks than before, the request starts over.
    """
    if (
        question.resubmit is not Resubmit.REFUSING_STEP
        or last is None
        or last.status != ApprovalStatus.REFUSED
        or last.process_id != planned.process.id
    ):
        return frozenset()
    approved = {*last.carried, *(step["key"] for step in last.steps[: last.step])}
    applying = {step.key for step in planned.applying}
    return frozenset(approved & applying) if applying - approved else frozenset()


def _nobody(uow: UnitOfWork, planned: Plan, step: PlannedStep) -> NoApprover:
    process = in_language(uow, planned.process.name_en, planned.process.name_zh)
    name = in_language(uow, step.step["name_en"], step.step["name_zh"])
    return NoApprover(
        f"Nobody who may can approve the step {name!r} of the process {process!r}.",
        process=process,
        step=step.key,
    )


_LATEST = """
SELECT DISTINCT ON (a.record_id) a.*, ARRAY(
    SELECT d.approver_id FROM automation.approval_decisions d WHERE d.tenant_id = a.tenant_id
      AND d.approval_id = a.id AND d.state = 'open' ORDER BY d.id) AS waiting_for
FROM automation.approvals a
WHERE a.tenant_id = $1 AND a.object = $2 AND a.record_id = ANY($3::uuid[])
ORDER BY a.record_id, a.requested_at DESC, a.id DESC"""
