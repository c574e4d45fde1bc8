"""Approving, refusing, and giving a decision to somebody else."""

from __future__ import annotations

from uuid import UUID

from app.kernel.errors import Forbidden, Invalid, NotFound
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import AlreadyDecided, ApprovalStatus, NoPendingApproval, OwnRequest
from app.modules.automation.models import Approval, Decision, DecisionState, HistoryAction
from app.modules.automation.services import history
from app.modules.automation.services.course import Course
from app.modules.automation.services.deadlines import deadlines
from app.modules.automation.services.reading import MANAGE, ApprovalReading
from app.modules.automation.services.standing import principals
from app.modules.automation.services.telling import OBJECT, ask


class Deciding:
    """What approvers do. Each decision is taken once: whoever comes second finds it taken."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._course = Course(uow)

    async def answer(
        self, id: UUID, verdict: DecisionState, *, note: str | None, on_behalf_of: UUID | None
    ) -> Approval:
        """Approve or refuse.

        Raises: NotFound; Forbidden; OwnRequest; AlreadyDecided; NoPendingApproval.
        """
        approval, decision = await self._mine(id, on_behalf_of)
        me = self._uow.actor.member_id
        if me == approval.requested_by and not approval.requester_may_approve:
            raise OwnRequest
        await self._uow.update(
            decision,
            state=verdict.value,
            decided_at=self._uow.now,
            decided_by=me,
            note=note,
            remind_at=None,
            escalate_at=None,
        )
        await history.write(
            self._uow,
            history.Happening(
                approval_id=id,
                action=HistoryAction(verdict.value),
                step=approval.steps[approval.step]["key"],
                on_behalf_of=None if decision.approver_id == me else decision.approver_id,
                note=note,
            ),
        )
        self._uow.record_audit(
            OBJECT, id, f"answer_{verdict.value}", {"approver_id": [None, decision.approver_id]}
        )
        return await self._course.settle(approval, note)

    async def delegate(self, id: UUID, *, to: UUID, note: str | None, on_behalf_of: UUID | None) -> Approval:
        """Give a decision to another member, who is asked in the approver's place from here on.

        Who runs approvals may do so for any approver. Raises: as `answer`, and Invalid for a member who cannot take
        it: inactive, asked in this step already, or the requester.
        """
        approval, decision = await self._mine(id, on_behalf_of, for_others=True)
        if to == approval.requested_by and not approval.requester_may_approve:
            raise Invalid.at("/member_id", "own_request", "Nobody approves what they asked for themselves.")
        await self._uow.of(People).require_members([to], pointer="/member_id")
        if any(other.approver_id == to for other in await self._decisions(approval)):
            raise Invalid.at("/member_id", "asked_already", "This member is asked in this step already.")
        step = approval.steps[approval.step]
        times = (await deadlines(self._uow, step, [to]))[to]
        await self._uow.update(
            decision, approver_id=to, remind_at=times.remind_at, escalate_at=times.escalate_at
        )
        await history.write(
            self._uow,
            history.Happening(
                approval_id=id,
                action=HistoryAction.DELEGATED,
                step=step["key"],
                on_behalf_of=None
                if decision.approver_id == self._uow.actor.member_id
                else decision.approver_id,
                to_member_id=to,
                note=note,
            ),
        )
        self._uow.record_audit(OBJECT, id, "delegated", {"approver_id": [decision.approver_id, to]})
        await ask(self._uow, approval, [to])
        return approval

    async def _mine(
        self, id: UUID, on_behalf_of: UUID | None, *, for_others: bool = False
    ) -> tuple[Approval, Decision]:
        """The request, locked, and the open decision of the step at hand that the actor may take.

        It is that of `on_behalf_of` if given; else the actor's own, else the first of those they stand in for.
        """
        if not await ApprovalReading(self._uow).sees(id):
            raise NotFound
        approval = await self._course.locked(id)
        mine = await principals(self._uow)
        if on_behalf_of is not None:
            if on_behalf_of not in mine and not (for_others and self._uow.actor.may(MANAGE)):
                raise Forbidden("You do not stand in for this member.")
            mine = [on_behalf_of]
        decisions = await self._decisions(approval) if approval.status == ApprovalStatus.PENDING else []
        held = {one.approver_id: one for one in decisions}
        for member in mine:
            if member in held and held[member].state == DecisionState.OPEN:
                return approval, held[member]
        if approval.status != ApprovalStatus.PENDING:
            await self._refuse_strangers(approval, mine)
            raise NoPendingApproval(f"This request is {approval.status}.", state=approval.status)
        await self._refuse_strangers(approval, mine)
        raise AlreadyDecided

    async def _refuse_strangers(self, approval: Approval, members: list[UUID]) -> None:
        """Raises `Forbidden` unless one of these members was asked in a step that has begun."""
        row = await self._uow.fetchrow(
            "SELECT 1 FROM automation.approval_decisions WHERE tenant_id = $1 AND approval_id = $2"
            " AND approver_id = ANY($3::uuid[]) AND step <= $4 LIMIT 1",
            self._uow.tenant_id,
            approval.id,
            members,
            approval.step,
        )
        if row is None:
            raise Forbidden("You are not asked for this approval.")

    async def _decisions(self, approval: Approval) -> list[Decision]:
        """Those of the step at hand."""
        statement = self._uow.select(Decision).where(
            Decision.approval_id == approval.id, Decision.step == approval.step
        )
        return await self._uow.all(statement.order_by(Decision.id))
