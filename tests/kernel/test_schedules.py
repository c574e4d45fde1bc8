"""Schedules: once per period across all workers, for the installation or for each tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.kernel.access import TenantProfile
from app.kernel.clock import FixedClock
from app.kernel.ids import new_id
from app.kernel.registry import Schedule
from app.kernel.schedules import ScheduledRun, Scheduler
from app.worker import supervise
from tests.support.bulk import Bench, bench
from tests.support.waiting import PATIENCE

ran: list[str] = []


async def _nightly(run: ScheduledRun) -> None:
    ran.append("installation" if run.tenant is None else run.tenant.name)


async def _fragile(run: ScheduledRun) -> None:
    ran.append("fragile")
    raise RuntimeError("broken")


HOUR = timedelta(hours=1)


@pytest.fixture
async def made(own_database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    ran.clear()
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    schedules = (Schedule("all", HOUR, _nightly), Schedule("each", HOUR, _nightly, per_tenant=True))
    async with bench(own_database, tmp_path, schedules=schedules, clock=clock) as found:
        found.members.add(TenantProfile(id=new_id(), name="Other"), "other@example.com")
        yield found


async def test_each_period_runs_once_across_workers(made: Bench):
    first, second = Scheduler(made.kernel), Scheduler(made.kernel)
    assert sum(await asyncio.gather(first.run_due(), second.run_due())) == 3
    assert sorted(ran) == ["Other", "Toys", "installation"]
    assert isinstance(made.kernel.clock, FixedClock)
    made.kernel.clock.advance(minutes=59)
    assert await first.run_due() == 0
    made.kernel.clock.advance(minutes=1)
    assert await second.run_due() == 3


async def test_a_failure_is_tried_again_in_a_minute_and_stops_nothing_else(made: Bench):
    made.kernel.registry.schedules.insert(0, Schedule("fragile", HOUR, _fragile))
    scheduler = Scheduler(made.kernel)
    assert await scheduler.run_due() == 4
    assert isinstance(made.kernel.clock, FixedClock)
    made.kernel.clock.advance(seconds=59)
    assert await scheduler.run_due() == 0
    made.kernel.clock.advance(seconds=1)
    assert await scheduler.run_due() == 1
    assert ran.count("fragile") == 2


async def test_a_loop_that_fails_is_started_again():
    calls: list[int] = []
    stop = asyncio.Event()

    async def loop(_: asyncio.Event) -> None:
        calls.append(1)
        if len(calls) == 3:
            stop.set()
        raise RuntimeError("crashed")

    await asyncio.wait_for(supervise("test", loop, stop, first_pause=0.01), PATIENCE)
    assert len(calls) == 3
