"""What the clock does: remind approvers, and let what nobody answers go on to somebody else.

What is due is claimed by locking the requests and moved on in the transaction that tells members: a worker that is
killed leaves everything as it was, and two never take the same request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.schedules import ScheduledRun
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.automation.models import Approval, HistoryAction
from app.modules.automation.schemas import EscalationTarget
from app.modules.automation.services import history
from app.modules.automation.services.deadlines import deadlines
from app.modules.automation.services.telling import ESCALATED, OBJECT, REMINDER, REQUESTED, tell_each
from app.tenants.interface import Colleagues, Members

EVERY: Final = timedelta(minutes=5)
STEP: Final = 200


async def remind(run: ScheduledRun) -> None:
    """Remind a tenant's approvers whose time has come."""
    more = True
    while more:
        async with run.transaction() as uow:
            more = await remind_step(uow) == STEP


async def escalate(run: ScheduledRun) -> None:
    """Let a tenant's decisions go on that were not taken in time."""
    more = True
    while more:
        async with run.transaction() as uow:
            more = await escalate_step(uow) == STEP


async def remind_step(uow: UnitOfWork) -> int:
    """Send up to `STEP` reminders; how many."""
    due = await _due(uow, "remind_at")
    told = []
    for decision, approval in due:
        step = approval.steps[decision["step"]]
        times = await deadlines(uow, step, [decision["approver_id"]])
        await uow.fetch(
            "UPDATE automation.approval_decisions SET remind_at = $3 WHERE tenant_id = $1 AND id = $2",
            uow.tenant_id,
            decision["id"],
            times[decision["approver_id"]].remind_at,
        )
        told.append((decision["approver_id"], approval))
    await tell_each(uow, REMINDER, told)
    return len(due)


async def escalate_step(uow: UnitOfWork) -> int:
    """Let up to `STEP` decisions go on; how many were due."""
    due = await _due(uow, "escalate_at")
    targets = await _targets(uow, due)
    taken = await _asked(uow, [approval.id for _, approval in due])
    happenings, asked, relieved = [], [], []
    for decision, approval in due:
        step = approval.steps[decision["step"]]
        target = targets.get(decision["id"])
        place = (approval.id, decision["step"])
        barred = None if approval.requester_may_approve else approval.requested_by
        moves = target is not None and target != barred and (*place, target) not in taken
        if moves and target is not None:
            taken.add((*place, target))
            await _move(uow, decision, step, target)
            asked.append((target, approval))
            relieved.append((decision["approver_id"], approval))
            uow.record_audit(
                OBJECT, approval.id, "escalated", {"approver_id": [decision["approver_id"], target]}
            )
        else:
            await _stay(uow, decision)
        happenings.append(
            history.Happening(
                approval_id=approval.id,
                action=HistoryAction.ESCALATED if moves else HistoryAction.STAYED,
                step=step["key"],
                on_behalf_of=decision["approver_id"],
                to_member_id=target if moves else None,
            )
        )
    await history.write(uow, *happenings)
    await tell_each(uow, REQUESTED, asked)
    await tell_each(uow, ESCALATED, relieved)
    return len(due)


async def _due(uow: UnitOfWork, column: str) -> list[tuple[Mapping[str, Any], Approval]]:
    """Open decisions whose time has come, with their requests, which stay locked."""
    rows = await uow.fetch(_DUE.format(column=column), uow.tenant_id, uow.now, STEP)
    ids = list({row["approval_id"] for row in rows})
    found = await uow.fetch(
        "SELECT * FROM automation.approvals WHERE tenant_id = $1 AND id = ANY($2::uuid[])", uow.tenant_id, ids
    )
    approvals = {row["id"]: entity(Approval, row) for row in found}
    return [(dict(row), approvals[row["approval_id"]]) for row in rows]


async def _targets(uow: UnitOfWork, due: Sequence[tuple[Mapping[str, Any], Approval]]) -> dict[UUID, UUID]:
    """To whom each decision goes on: an active member, or it is absent."""
    wanted: dict[UUID, UUID | None] = {}
    members = await uow.of(Members).get_many({decision["approver_id"] for decision, _ in due})
    for decision, approval in due:
        rule = approval.steps[decision["step"]]["escalate_after"]
        approver = members.get(decision["approver_id"])
        if rule["to"] == EscalationTarget.MEMBER:
            wanted[decision["id"]] = UUID(rule["member_id"])
        else:
            wanted[decision["id"]] = approver.manager_id if approver is not None else None
    active = await uow.of(Colleagues).among({id for id in wanted.values() if id is not None})
    return {decision: id for decision, id in wanted.items() if id is not None and id in active}


async def _asked(uow: UnitOfWork, approvals: Sequence[UUID]) -> set[tuple[UUID, int, UUID]]:
    """Who is asked in which step of these requests."""
    rows = await uow.fetch(
        "SELECT approval_id, step, approver_id FROM automation.approval_decisions WHERE tenant_id = $1"
        " AND approval_id = ANY($2::uuid[])",
        uow.tenant_id,
        list(approvals),
    )
    return {(row["approval_id"], row["step"], row["approver_id"]) for row in rows}


async def _move(uow: UnitOfWork, decision: Mapping[str, Any], step: Mapping[str, Any], target: UUID) -> None:
    """A named member is where it ends; a manager has a manager again."""
    times = (await deadlines(uow, step, [target]))[target]
    again = step["escalate_after"]["to"] == EscalationTarget.MANAGER
    await uow.fetch(
        "UPDATE automation.approval_decisions SET approver_id = $3, remind_at = $4, escalate_at = $5"
        " WHERE tenant_id = $1 AND id = $2",
        uow.tenant_id,
        decision["id"],
        target,
        times.remind_at,
        times.escalate_at if again else None,
    )


async def _stay(uow: UnitOfWork, decision: Mapping[str, Any]) -> None:
    await uow.fetch(
        "UPDATE automation.approval_decisions SET escalate_at = NULL WHERE tenant_id = $1 AND id = $2",
        uow.tenant_id,
        decision["id"],
    )


_DUE = """
SELECT d.id, d.approval_id, d.step, d.approver_id FROM automation.approval_decisions d
JOIN automation.approvals a ON a.tenant_id = d.tenant_id AND a.id = d.approval_id
WHERE d.tenant_id = $1 AND d.{column} <= $2 AND d.state = 'open' AND a.status = 'pending'
ORDER BY d.{column}, d.id LIMIT $3 FOR NO KEY UPDATE OF a, d SKIP LOCKED"""
