"""Schedules: what modules want done regularly, once per period however many workers there are.

A period is claimed by one statement whose row locks decide among workers; whoever gets the row back runs it.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from app.kernel import uow as units
from app.kernel.access import Actor, TenantProfile, system_actor

if TYPE_CHECKING:
    from app.kernel.registry import Schedule
    from app.kernel.runtime import Kernel

log = structlog.get_logger(__name__)

INSTALLATION = UUID(int=0)
TICK_SECONDS = 5.0
RETRY_AFTER = timedelta(minutes=1)
BATCH = 20


@dataclass(frozen=True)
class ScheduledRun:
    """What a scheduled function gets; `tenant` is None for work of the whole installation."""

    kernel: Kernel
    tenant: TenantProfile | None = None

    @property
    def actor(self) -> Actor:
        """The product itself, acting for the tenant."""
        if self.tenant is None:
            raise RuntimeError("work of the whole installation acts for no tenant")
        return system_actor(self.tenant)

    def transaction(self) -> AbstractAsyncContextManager[units.UnitOfWork]:
        """A transaction of that tenant."""
        return units.transaction(self.kernel, self.actor)


# The first run is due at once; later ones when a period has passed since the last.
_CLAIM = """
INSERT INTO kernel.schedule_runs (tenant_id, name, last_run_at)
SELECT t, $2, $3 FROM unnest($1::uuid[]) t
ON CONFLICT (tenant_id, name) DO UPDATE SET last_run_at = $3
  WHERE kernel.schedule_runs.last_run_at <= $3::timestamptz - $4::interval
RETURNING tenant_id
"""


class Scheduler:
    """Runs every registered schedule when its period is over."""

    def __init__(self, kernel: Kernel, *, tick: float = TICK_SECONDS) -> None:
        self.kernel = kernel
        self.tick = tick

    async def run(self, stop: asyncio.Event) -> None:
        """Look every `tick` seconds until `stop`."""
        while not stop.is_set():
            await self.run_due(stop)
            try:
                await asyncio.wait_for(stop.wait(), self.tick)
            except TimeoutError:
                continue

    async def run_due(self, stop: asyncio.Event | None = None) -> int:
        """Run everything that is due now; the number of runs. A failure is tried again in a minute."""
        count = 0
        for schedule in self.kernel.registry.schedules:
            tenants = await self._tenants(schedule)
            ids = list(tenants)
            for start in range(0, len(ids), BATCH):
                for tenant_id in await self._claim(schedule, ids[start : start + BATCH]):
                    if stop is not None and stop.is_set():
                        await self._put_off(schedule, tenant_id, timedelta(0))
                        continue
                    await self._run_one(schedule, tenant_id, tenants[tenant_id])
                    count += 1
        return count

    async def _tenants(self, schedule: Schedule) -> dict[UUID, TenantProfile | None]:
        if not schedule.per_tenant:
            return {INSTALLATION: None}
        return {tenant.id: tenant for tenant in await self.kernel.authenticator.active_tenants()}

    async def _claim(self, schedule: Schedule, tenant_ids: list[UUID]) -> list[UUID]:
        async with self.kernel.database.control() as connection:
            rows = await connection.fetch(
                _CLAIM, tenant_ids, schedule.name, self.kernel.clock.now(), schedule.every
            )
        return [row["tenant_id"] for row in rows]

    async def _run_one(self, schedule: Schedule, tenant_id: UUID, tenant: TenantProfile | None) -> None:
        try:
            await schedule.run(ScheduledRun(self.kernel, tenant))
        except Exception as error:
            log.error("schedule failed", schedule=schedule.name, tenant_id=str(tenant_id), exc_info=error)
            await self._put_off(schedule, tenant_id, RETRY_AFTER)

    async def _put_off(self, schedule: Schedule, tenant_id: UUID, pause: timedelta) -> None:
        async with self.kernel.database.control() as connection:
            await connection.execute(
                "UPDATE kernel.schedule_runs SET last_run_at = $3 WHERE tenant_id = $1 AND name = $2",
                tenant_id,
                schedule.name,
                self.kernel.clock.now() - schedule.every + pause,
            )
