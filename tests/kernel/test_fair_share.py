"""Fair shares: whoever has ten thousand jobs or events keeps nobody with one waiting, and weights are kept exactly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from app.kernel.access import Actor, TenantProfile, system_actor
from app.kernel.clock import FixedClock
from app.kernel.events import Event
from app.kernel.fair_share import FairTurns
from app.kernel.ids import new_id
from app.kernel.jobs import SPARE_HANDS, JobContext, JobDeferred, JobRunner
from app.kernel.outbox import Relay
from app.kernel.registry import JobKind
from app.kernel.uow import transaction
from tests.support.bulk import Bench, bench
from tests.support.events import worker_kernel

START = datetime(2026, 1, 1, tzinfo=UTC)


def next_of(turns: FairTurns, weights: dict[UUID, int]) -> UUID:
    """Whose turn it is among tenants that all have work."""
    behind = dict(zip(*turns.ahead(), strict=True))
    return min(weights, key=lambda id: (behind.get(id, 0.0), id))


@settings(max_examples=100, deadline=None)
@given(
    weights=st.lists(st.integers(1, 8), min_size=2, max_size=5),
    phases=st.lists(st.tuples(st.sets(st.integers(0, 4), min_size=1), st.integers(1, 60)), max_size=6),
)
def test_no_two_with_work_differ_by_more_than_one_service_of_each(weights, phases):
    tenants = [UUID(int=n + 1) for n in range(len(weights))]
    turns = FairTurns()
    for busy, length in [*phases, ({0, 1, 2, 3, 4}, 200)]:
        working = {tenants[n]: weights[n] for n in busy if n < len(tenants)}
        served: Counter[UUID] = Counter()
        for _ in range(length if working else 0):
            chosen = next_of(turns, working)
            turns.served(chosen, working[chosen])
            served[chosen] += 1
            for a in working:
                for b in working:
                    gap = served[a] / working[a] - served[b] / working[b]
                    assert gap <= 1 / working[a] + 1 / working[b] + 1e-9


class Note(BaseModel):
    text: str = ""


gate = asyncio.Event()
changed = asyncio.Condition()
ran: list[str] = []


async def _note(context: JobContext, payload: Note) -> None:
    ran.append(context.actor.tenant.name)


async def _wait(context: JobContext, payload: Note) -> None:
    ran.append(context.actor.tenant.name)
    async with changed:
        changed.notify_all()
    await gate.wait()


async def begun(count: int) -> None:
    async with changed:
        await changed.wait_for(lambda: len(ran) >= count)


async def _later(context: JobContext, payload: Note) -> None:
    raise JobDeferred(datetime(2026, 1, 2, tzinfo=UTC), "not yet")


KINDS = (
    JobKind("test.note", Note, _note),
    JobKind("test.wait", Note, _wait),
    JobKind("test.later", Note, _later, attempts=1),
)


@pytest.fixture
async def made(own_database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    ran.clear()
    gate.clear()
    async with bench(own_database, tmp_path, jobs=KINDS, clock=FixedClock(START)) as found:
        yield found


async def weigh(made: Bench, actor: Actor, weight: int) -> None:
    connection = await asyncpg.connect(made.url)
    try:
        await connection.execute(
            "INSERT INTO kernel.allowances (tenant_id, source, plan, weight, limits, missing, near_records,"
            " period_start, period_end) VALUES ($1, '', '', $2, '{}', '{}', false, now(), now() + interval '1 day')",
            actor.tenant.id,
            weight,
        )
    finally:
        await connection.close()


async def queue(made: Bench, actor: Actor, count: int, name: str = "test.note") -> None:
    async with transaction(made.kernel, actor) as uow:
        for _ in range(count):
            uow.enqueue(name, {})


def other(made: Bench, name: str = "Small") -> Actor:
    return made.members.add(TenantProfile(id=new_id(), name=name), f"{name.lower()}@example.com")


async def test_ten_thousand_jobs_of_one_company_keep_anothers_one_waiting_for_one(made: Bench):
    await queue(made, made.actor, 10_000)
    runner = JobRunner(made.kernel)
    assert len(await runner.claim(1)) == 1
    small = other(made)
    await queue(made, small, 1)
    assert [row["tenant_id"] for row in await runner.claim(1)] == [small.tenant.id]


async def test_shares_follow_the_weights_of_the_plans(made: Bench):
    large = other(made, "Large")
    await weigh(made, large, 3)
    await queue(made, made.actor, 40)
    await queue(made, large, 40)
    await JobRunner(made.kernel).run_due()
    assert Counter(ran[:40]) == {"Large": 30, "Toys": 10}
    assert len(ran) == 80
    together = Counter(ran[:4])
    assert together == {"Large": 3, "Toys": 1}


async def test_long_jobs_of_one_company_leave_a_hand_for_another(made: Bench):
    await queue(made, made.actor, 10, "test.wait")
    runner = JobRunner(made.kernel, concurrency=2, poll=0.01)
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    try:
        await begun(2)
        await queue(made, other(made), 3, "test.wait")
        await begun(3)
        assert Counter(ran) == {"Toys": 2, "Small": 1}
        assert len(runner._running) <= 2 + SPARE_HANDS
    finally:
        stop.set()
        gate.set()
        await running


async def test_a_job_that_cannot_be_done_yet_waits_with_its_reason_and_loses_no_attempt(made: Bench):
    await queue(made, made.actor, 1, "test.later")
    await JobRunner(made.kernel).run_due()
    [row] = await made.fetch("SELECT state, attempts, last_error, run_at FROM kernel.jobs")
    assert tuple(row) == ("queued", 0, "not yet", datetime(2026, 1, 2, tzinfo=UTC))


class LampLit(Event):
    """A lamp was lit."""

    type: ClassVar[str] = "lamps.lamp.lit.v1"
    object: ClassVar[str] = "lamp"


async def test_a_flood_of_events_of_one_company_keeps_anothers_one_in_the_next_batch(own_database: str):
    async with worker_kernel(own_database, clock=FixedClock(START)) as kernel:
        flood, small = (system_actor(TenantProfile(id=new_id(), name=name)) for name in ("Flood", "Small"))
        for actor, count in ((flood, 2_000), (small, 3)):
            async with transaction(kernel, actor) as uow:
                for _ in range(count):
                    uow.publish(LampLit(id=new_id()))
        assert await Relay(kernel, batch=100).run_once() == 50 + 3
        left: dict[Any, int] = {}
        for actor in (flood, small):
            async with transaction(kernel, actor) as uow:
                row = await uow.fetchrow("SELECT count(*) FROM kernel.outbox WHERE published_at IS NULL")
                left[actor.tenant.name] = row[0] if row else -1
        assert left == {"Flood": 1_950, "Small": 0}
        assert await Relay(kernel, batch=100).run_once() == 100  # alone it has the whole batch
