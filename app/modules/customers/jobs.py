"""Recycling by the clock: every hour a job for each tenant whose pools recycle, so that tenants take turns."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel

from app.kernel.jobs import JobContext
from app.kernel.registry import JobKind, Schedule
from app.kernel.schedules import ScheduledRun
from app.modules.customers.services.pools.days import local_day
from app.modules.customers.services.pools.recycling import plans_of, recycle

RECYCLE: Final = "customers.recycle_pools"
KEEP_COUNTS: Final = timedelta(days=7)


class RecycleOrder(BaseModel):
    """The job's order: all pools of the tenant."""


async def run_recycling(context: JobContext, order: RecycleOrder) -> dict[str, Any]:  # noqa: ARG001
    """Recycle and remind, batch by batch; whoever takes over begins anew and does nothing twice."""
    recycled = reminded = 0
    async for step in recycle(context.transaction):
        recycled += step.recycled
        reminded += step.reminded
        await context.progress(recycled + reminded, recycled=recycled, reminded=reminded)
        await context.go_on()
    return {"recycled": recycled, "reminded": reminded}


async def order_recycling(run: ScheduledRun) -> None:
    """Queue the job where there is something to recycle, and forget the counters of days gone by."""
    async with run.transaction() as uow:
        if await plans_of(uow):
            uow.enqueue(RECYCLE, {})
        before = local_day(uow) - KEEP_COUNTS
        for table in ("customers.pool_views", "customers.pool_uses"):
            await uow.fetch(f"DELETE FROM {table} WHERE tenant_id = $1 AND day < $2", uow.tenant_id, before)


JOBS: Final = (JobKind(RECYCLE, RecycleOrder, run_recycling),)
SCHEDULES: Final = (
    Schedule("customers.order_recycling", timedelta(hours=1), order_recycling, per_tenant=True),
)
