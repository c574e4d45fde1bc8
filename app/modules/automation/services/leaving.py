"""Members who leave: what waits for them, or will, goes on to somebody who is there."""

from __future__ import annotations

from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalStatus
from app.modules.automation.models import Approval, Decision, DecisionState, HistoryAction
from app.modules.automation.services import history
from app.modules.automation.services.course import Course
from app.modules.automation.services.deadlines import deadlines
from app.modules.automation.services.telling import OBJECT, STUCK, ask, tell_each
from app.tenants.interface import Colleagues, Members

_MOST_LEVELS = 20


async def hand_on(uow: UnitOfWork, member: UUID, *, successor: UUID | None, manager: UUID | None) -> None:
    """Give a leaver's decisions to whoever takes over, or else to their manager, the managers above, an owner.

    Somebody who is asked in the same step already does not answer twice: the leaver's part is closed then. Where
    nobody is left who may decide, it stays where it is, and the requester is told.
    """
    rows = await uow.fetch(
        "SELECT d.approval_id, array_agg(d.id ORDER BY d.step) AS ids FROM automation.approval_decisions d"
        " JOIN automation.approvals a ON a.tenant_id = d.tenant_id AND a.id = d.approval_id"
        " WHERE d.tenant_id = $1 AND d.approver_id = $2 AND d.state IN ('open', 'waiting') AND a.status = 'pending'"
        " GROUP BY d.approval_id ORDER BY d.approval_id",
        uow.tenant_id,
        member,
    )
    if not rows:
        return
    heirs = await _heirs(uow, successor, manager)
    for row in rows:
        await _hand_on_one(uow, row["approval_id"], row["ids"], heirs)


async def _heirs(uow: UnitOfWork, successor: UUID | None, manager: UUID | None) -> list[UUID]:
    """Active members in the order in which they take over."""
    wanted = [] if successor is None else [successor]
    for _ in range(_MOST_LEVELS):
        if manager is None or manager in wanted:
            break
        wanted.append(manager)
        found = (await uow.of(Members).get_many([manager])).get(manager)
        manager = None if found is None else found.manager_id
    wanted += [owner.id for owner in await uow.of(Members).in_role("owner")]
    active = await uow.of(Colleagues).among(wanted)
    return [id for id in dict.fromkeys(wanted) if id in active]


async def _hand_on_one(uow: UnitOfWork, approval_id: UUID, ids: list[UUID], heirs: list[UUID]) -> None:
    course = Course(uow)
    approval = await course.locked(approval_id)
    statement = uow.select(Decision).where(Decision.approval_id == approval_id)
    decisions = {one.id: one for one in await uow.all(statement)}
    for id in ids:
        decision = decisions[id]
        if approval.status != ApprovalStatus.PENDING or decision.state not in ("open", "waiting"):
            return
        others = {one.approver_id for one in decisions.values() if one.step == decision.step and one.id != id}
        barred = None if approval.requester_may_approve else approval.requested_by
        heir = next((one for one in heirs if one != barred), None)
        if heir is not None and heir not in others:
            await _move(uow, approval, decision, heir)
        elif others:
            approval = await _leave_out(uow, course, approval, decision)
        else:
            await _stay(uow, approval, decision)


async def _move(uow: UnitOfWork, approval: Approval, decision: Decision, heir: UUID) -> None:
    is_open = decision.state == DecisionState.OPEN
    step = approval.steps[decision.step]
    times = (await deadlines(uow, step, [heir]))[heir]
    await uow.update(
        decision,
        approver_id=heir,
        remind_at=times.remind_at if is_open else None,
        escalate_at=times.escalate_at if is_open else None,
    )
    await _note(uow, approval, decision, HistoryAction.HANDED_OVER, heir)
    uow.record_audit(OBJECT, approval.id, "handed_over", {"approver_id": [decision.approver_id, heir]})
    if is_open:
        await ask(uow, approval, [heir])


async def _leave_out(uow: UnitOfWork, course: Course, approval: Approval, decision: Decision) -> Approval:
    await uow.update(decision, state=DecisionState.CLOSED.value, remind_at=None, escalate_at=None)
    await _note(uow, approval, decision, HistoryAction.CLOSED)
    uow.record_audit(OBJECT, approval.id, "left_out", {"approver_id": [decision.approver_id, None]})
    return await course.settle(approval, None) if decision.step == approval.step else approval


async def _stay(uow: UnitOfWork, approval: Approval, decision: Decision) -> None:
    await _note(uow, approval, decision, HistoryAction.STAYED)
    if approval.requested_by is not None:
        await tell_each(uow, STUCK, [(approval.requested_by, approval)])


async def _note(
    uow: UnitOfWork, approval: Approval, decision: Decision, action: HistoryAction, to: UUID | None = None
) -> None:
    await history.write(
        uow,
        history.Happening(
            approval_id=approval.id,
            action=action,
            step=approval.steps[decision.step]["key"],
            on_behalf_of=decision.approver_id,
            to_member_id=to,
        ),
    )
