"""What the clock does by itself: warnings, missed deadlines, and the steps of escalation chains.

Each is claimed by the statement that marks it, in batches that hold the cases, so that it happens once however many
workers look, and a run that was broken off goes on with the next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from app.kernel.notifications import Notice, Notifications
from app.kernel.registry import NotificationKind
from app.kernel.schedules import ScheduledRun
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import SlaBreached, SlaWarned
from app.modules.after_sales.services.sla.book import SlaBook
from app.modules.after_sales.services.sla.escalation import ESCALATED, escalate_batch
from app.modules.after_sales.services.sla.standing import next_step_at

EVERY: Final = timedelta(seconds=30)
BATCH: Final = 500
WARNED: Final = "case.sla_warned"
BREACHED: Final = "case.sla_breached"

NOTIFICATIONS: Final = (
    NotificationKind(WARNED, "The deadline of a case comes near", "工单即将超时"),
    NotificationKind(BREACHED, "The deadline of a case was missed", "工单已超时"),
    NotificationKind(ESCALATED, "A case was escalated to you", "工单已升级给您"),
)


async def watch(run: ScheduledRun) -> None:
    """Warn, then mark what was missed, then take the steps that are due."""
    for work in (warn_batch, breach_batch, escalate_batch):
        await _all(run, work)


async def _all(run: ScheduledRun, work: Callable[[UnitOfWork, int], Awaitable[int]]) -> None:
    while True:
        async with run.transaction() as uow:
            count = await work(uow, BATCH)
        if count < BATCH:
            return


async def warn_batch(uow: UnitOfWork, limit: int) -> int:
    """Say of at most `limit` clocks that so much of their time is used up; how many."""
    rows = await uow.fetch(_WARN, uow.tenant_id, uow.now, limit)
    for row in rows:
        uow.publish(
            SlaWarned(id=row["case_id"], target=row["target"], due_at=row["due_at"], owner_id=row["owner_id"])
        )
    await _tell(uow, WARNED, rows)
    return len(rows)


async def breach_batch(uow: UnitOfWork, limit: int) -> int:
    """Mark at most `limit` clocks whose deadline has passed as failed; how many."""
    rows = await uow.fetch(_BREACH, uow.tenant_id, uow.now, limit)
    if not rows:
        return 0
    record = uow.kernel.registry.records["case"]
    book = SlaBook(uow)
    steps = []
    for row in rows:
        missed = row["breached_at"]
        uow.publish(
            SlaBreached(id=row["case_id"], target=row["target"], due_at=missed, owner_id=row["owner_id"])
        )
        behind = await book.behind(row["policy_id"], row["calendar_id"])
        step_at = next_step_at(behind.chain, 0, row["target"], behind.calendar, missed)
        if step_at is not None:
            steps.append({"id": row["id"], "escalate_at": step_at})
    if steps:
        await uow.fetch(_SET_STEPS, uow.tenant_id, steps)
    for row in await uow.fetch(_FAIL_CASES, uow.tenant_id, sorted({r["case_id"] for r in rows}), uow.now):
        uow.record_audit("case", row["id"], "sla_breached", {"sla_failed": [False, True]})
        uow.publish_record(record.updated, row["id"], row["version"], changed=["sla_failed"])
    await _tell(uow, BREACHED, rows)
    return len(rows)


async def _tell(uow: UnitOfWork, kind: str, rows: list[Any]) -> None:
    chinese = uow.actor.tenant.language == "zh"
    texts = {
        WARNED: ("{} is due soon: {}", "{} 即将超时：{}"),
        BREACHED: ("{} is overdue: {}", "{} 已超时：{}"),
    }
    text = texts[kind][chinese]
    await Notifications(uow).tell_each(
        [
            (
                row["owner_id"],
                Notice(
                    kind=kind,
                    title=text.format(row["number"], row["subject"]),
                    object="case",
                    record_id=row["case_id"],
                ),
            )
            for row in rows
            if row["owner_id"] is not None
        ]
    )


# The case is held before its clock is changed; who got there first has changed it, hence the second look at it.
_CLAIM: Final = f"""
WITH late AS (
  SELECT k.id, c.number, c.subject, c.owner_id FROM after_sales.case_clocks k
  JOIN after_sales.cases c ON c.tenant_id = k.tenant_id AND c.id = k.case_id AND c.deleted_at IS NULL
  WHERE k.tenant_id = $1 AND {{due}} ORDER BY k.{{column}}, k.id LIMIT $3 FOR NO KEY UPDATE OF c SKIP LOCKED
)
UPDATE after_sales.case_clocks k SET {{change}}
FROM {rows_of("late", "id", "number", "subject", "owner_id")}
WHERE k.tenant_id = $1 AND k.id = late.id AND {{due}}
RETURNING k.id, k.case_id, k.target, k.policy_id, k.calendar_id, k.due_at, k.breached_at, late.number, late.subject,
  late.owner_id"""
_RUNS: Final = "k.ended_at IS NULL AND k.paused_at IS NULL AND k.breached_at IS NULL"
_WARN: Final = _CLAIM.format(
    due=f"{_RUNS} AND k.warned_at IS NULL AND k.warn_at <= $2::timestamptz",
    column="warn_at",
    change="warned_at = $2::timestamptz",
)
_BREACH: Final = _CLAIM.format(
    due=f"{_RUNS} AND k.due_at < $2::timestamptz", column="due_at", change="breached_at = k.due_at"
)
_SET_STEPS: Final = """
UPDATE after_sales.case_clocks k SET escalate_at = s.escalate_at
FROM jsonb_to_recordset($2::jsonb) AS s(id uuid, escalate_at timestamptz)
WHERE k.tenant_id = $1 AND k.id = s.id"""
_FAIL_CASES: Final = """
UPDATE after_sales.cases SET sla_failed = true, version = version + 1, updated_at = $3
WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND NOT sla_failed RETURNING id, version"""
