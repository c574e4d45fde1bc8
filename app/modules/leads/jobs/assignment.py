"""Work on leads outside of requests: runs of assignment over many leads, and the watch on response times."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.kernel.jobs import JobContext
from app.kernel.registry import JobKind, Schedule
from app.kernel.schedules import ScheduledRun
from app.modules.leads.services.assignment.responses import BATCH, ResponseWatch
from app.modules.leads.services.assignment.runs import CHUNK, JOB, AssignOrder, Runs


async def assign_leads(context: JobContext, order: AssignOrder) -> dict[str, int]:
    """Assign all leads of an order, some hundreds per transaction; what one has done it does not do again."""
    done = assigned = waiting = 0
    async with context.transaction() as uow:
        total = await Runs(uow).count(order, run_id=context.id)
    while True:
        await context.go_on()
        async with context.transaction() as uow:
            runs = Runs(uow)
            ids = await runs.select(order, limit=CHUNK, run_id=context.id)
            decisions = await runs.assign(ids, reassign=order.reassign, run_id=context.id)
        if not ids:
            break
        done += len(ids)
        assigned += sum(decision.member_id is not None for decision in decisions)
        waiting += sum(decision.queue_id is not None for decision in decisions)
        await context.progress(done, max(total, done), assigned=assigned, waiting=waiting)
    return {"leads": done, "assigned": assigned, "waiting": waiting}


async def watch_responses(run: ScheduledRun) -> None:
    """Remind of responses that are nearly due, and hand on leads whose time is over."""
    for look in (ResponseWatch.remind, ResponseWatch.close):
        while True:
            async with run.transaction() as uow:
                if await look(ResponseWatch(uow)) < BATCH:
                    break


ASSIGN_JOB: Final = JobKind(JOB, AssignOrder, assign_leads)
RESPONSE_SCHEDULE: Final = Schedule(
    "leads.watch_responses", timedelta(minutes=1), watch_responses, per_tenant=True
)
