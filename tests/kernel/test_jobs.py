"""Jobs: claimed in turns, run with the rights of whoever asked, retried, cancelled; workers may die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from app.kernel import metrics
from app.kernel.access import TenantProfile
from app.kernel.clock import FixedClock
from app.kernel.errors import Conflict
from app.kernel.ids import new_id
from app.kernel.jobs import JobCancelled, JobContext, JobRunner, request_cancel
from app.kernel.registry import JobKind
from app.kernel.uow import transaction
from tests.support.bulk import Bench, bench
from tests.support.waiting import PATIENCE, until

START = datetime(2026, 1, 1, tzinfo=UTC)


class Note(BaseModel):
    text: str = ""


ran: list[str] = []
gate = asyncio.Event()
begun = asyncio.Event()


async def _note(context: JobContext, payload: Note) -> dict[str, Any]:
    ran.append(f"{context.actor.tenant.name}:{payload.text}")
    await context.progress(1, 1)
    return {"said": payload.text, "as": context.actor.name}


async def _stumble(context: JobContext, payload: Note) -> None:
    raise RuntimeError("stumbled")


async def _refuse(context: JobContext, payload: Note) -> None:
    raise Conflict("not like this")


async def _wait(context: JobContext, payload: Note) -> dict[str, Any]:
    ran.append("waiting")
    begun.set()
    while not gate.is_set():
        if await context.cancelled():
            raise JobCancelled
        await asyncio.sleep(0.01)
    return {}


KINDS = (
    JobKind("test.note", Note, _note),
    JobKind("test.stumble", Note, _stumble, attempts=3),
    JobKind("test.refuse", Note, _refuse),
    JobKind("test.wait", Note, _wait),
)


@pytest.fixture
async def made(own_database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    ran.clear()
    gate.clear()
    begun.clear()
    async with bench(own_database, tmp_path, jobs=KINDS, clock=FixedClock(START)) as found:
        yield found


async def enqueue(made: Bench, name: str, text: str = "", actor=None) -> Any:
    async with transaction(made.kernel, actor or made.actor) as uow:
        return uow.enqueue(name, {"text": text})


async def job(made: Bench, id: Any) -> Any:
    return (await made.fetch("SELECT * FROM kernel.jobs WHERE id = $1", id))[0]


def clock(made: Bench) -> FixedClock:
    assert isinstance(made.kernel.clock, FixedClock)
    return made.kernel.clock


async def test_a_job_runs_as_the_member_who_asked_and_keeps_its_result(made: Bench):
    id = await enqueue(made, "test.note", "hello")
    assert await JobRunner(made.kernel).run_due() == 1
    row = await job(made, id)
    assert (row["state"], row["result"]) == ("completed", {"said": "hello", "as": "olivia@example.com"})
    assert row["progress"] == {"done": 1, "total": 1}


async def test_a_job_of_a_transaction_that_fails_does_not_exist(made: Bench):
    async def fail() -> None:
        async with transaction(made.kernel, made.actor) as uow:
            uow.enqueue("test.note", {"text": "never"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await JobRunner(made.kernel).run_due() == 0


async def test_tenants_take_turns_however_many_jobs_one_has(made: Bench):
    other = made.members.add(TenantProfile(id=new_id(), name="Small"), "small@example.com")
    for n in range(10):
        await enqueue(made, "test.note", str(n))
    await enqueue(made, "test.note", "only", other)
    await JobRunner(made.kernel).run_due()
    assert ran.index("Small:only") <= 1
    assert len(ran) == 11


async def test_a_running_job_counts_as_a_turn(made: Bench):
    other = made.members.add(TenantProfile(id=new_id(), name="Small"), "small@example.com")
    runner = JobRunner(made.kernel)
    for n in range(4):
        await enqueue(made, "test.note", str(n))
    assert len(await runner.claim(2)) == 2
    await enqueue(made, "test.note", "only", other)
    assert [row["payload"]["text"] for row in await runner.claim(1)] == ["only"]


async def test_a_failure_is_tried_again_with_pauses_and_then_kept(made: Bench):
    id = await enqueue(made, "test.stumble")
    runner = JobRunner(made.kernel)
    for attempt, pause in ((1, 5), (2, 10)):
        assert await runner.run_due() == 1
        row = await job(made, id)
        assert (row["state"], row["attempts"], row["run_at"]) == (
            "queued", attempt, made.kernel.clock.now() + timedelta(seconds=pause),
        )  # fmt: skip
        assert await runner.run_due() == 0
        clock(made).advance(seconds=pause)
    await runner.run_due()
    row = await job(made, id)
    assert (row["state"], row["attempts"], row["last_error"]) == ("failed", 3, "RuntimeError: stumbled")


async def test_a_refusal_is_final(made: Bench):
    id = await enqueue(made, "test.refuse")
    await JobRunner(made.kernel).run_due()
    row = await job(made, id)
    assert (row["state"], row["attempts"], row["last_error"]) == ("failed", 1, "not like this")


async def test_how_jobs_end_is_measured_and_what_is_tried_again_has_not_ended(made: Bench):
    def counted(kind: str, outcome: str) -> float:
        labels = {"kind": kind, "outcome": outcome}
        return metrics.REGISTRY.get_sample_value("rapport_jobs_total", labels) or 0

    def timed(kind: str) -> float:
        return metrics.REGISTRY.get_sample_value("rapport_job_seconds_count", {"kind": kind}) or 0

    ends = (
        ("test.note", "completed"), ("test.refuse", "failed"), ("test.stumble", "failed"), ("unknown", "failed"),
    )  # fmt: skip
    before = {end: counted(*end) for end in ends}
    seconds = timed("test.stumble")
    for name in ("test.note", "test.note", "test.refuse", "test.stumble", "test.gone"):
        await enqueue(made, name)
    runner = JobRunner(made.kernel)
    await runner.run_due()
    assert {end: counted(*end) - before[end] for end in ends} == dict(zip(ends, (2, 1, 0, 1), strict=True))
    for pause in (5, 10):
        clock(made).advance(seconds=pause)
        await runner.run_due()
    assert {end: counted(*end) - before[end] for end in ends} == dict(zip(ends, (2, 1, 1, 1), strict=True))
    assert timed("test.stumble") - seconds == 1


async def test_a_dead_workers_job_is_claimed_when_its_lease_is_over_and_not_before(made: Bench):
    id = await enqueue(made, "test.note", "again")
    dead, living = JobRunner(made.kernel), JobRunner(made.kernel)
    assert len(await dead.claim(1)) == 1
    assert await living.run_due() == 0
    clock(made).advance(seconds=61)
    assert await living.run_due() == 1
    row = await job(made, id)
    assert (row["state"], row["attempts"]) == ("completed", 2)


async def test_a_worker_that_lost_its_lease_writes_nothing_more(made: Bench):
    id = await enqueue(made, "test.note", "slow")
    slow, quick = JobRunner(made.kernel), JobRunner(made.kernel)
    held = (await slow.claim(1))[0]
    clock(made).advance(seconds=61)
    taken = (await quick.claim(1))[0]
    await slow.work(held, asyncio.Event())
    assert (await job(made, id))["state"] == "running"
    await quick.work(taken, asyncio.Event())
    assert (await job(made, id))["state"] == "completed"


async def test_a_job_that_kills_each_worker_is_given_up(made: Bench):
    id = await enqueue(made, "test.stumble")
    for _ in range(3):
        assert len(await JobRunner(made.kernel).claim(1)) == 1
        clock(made).advance(seconds=61)
    await JobRunner(made.kernel).run_due()
    row = await job(made, id)
    assert row["state"] == "failed"
    assert "started too often" in row["last_error"]


async def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_when_it_looks(made: Bench):
    waiting = await enqueue(made, "test.note", "never")
    async with transaction(made.kernel, made.actor) as uow:
        assert await request_cancel(uow, waiting)
    running = await enqueue(made, "test.wait")
    runner = JobRunner(made.kernel)
    working = asyncio.create_task(runner.run_due())
    await asyncio.wait_for(begun.wait(), PATIENCE)
    async with transaction(made.kernel, made.actor) as uow:
        assert await request_cancel(uow, running)
    await asyncio.wait_for(working, PATIENCE)
    assert [(await job(made, id))["state"] for id in (waiting, running)] == ["cancelled", "cancelled"]
    assert ran == ["waiting"]


async def test_a_worker_that_stops_gives_back_what_does_not_end_in_time(made: Bench):
    id = await enqueue(made, "test.wait")
    stop = asyncio.Event()
    running = asyncio.create_task(JobRunner(made.kernel, poll=0.01).run(stop, grace=0.05))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    stop.set()
    await asyncio.wait_for(running, PATIENCE)
    row = await job(made, id)
    assert (row["state"], row["attempts"], row["locked_until"]) == ("queued", 0, None)
    gate.set()
    assert await JobRunner(made.kernel).run_due() == 1
    assert (await job(made, id))["state"] == "completed"


async def test_the_heartbeat_keeps_a_long_job(made: Bench):
    id = await enqueue(made, "test.wait")
    runner = JobRunner(made.kernel, lease=timedelta(seconds=0.3))
    working = asyncio.create_task(runner.run_due())
    await asyncio.wait_for(begun.wait(), PATIENCE)

    async def renewed() -> bool:
        until_then: datetime = (await job(made, id))["locked_until"]
        return until_then == made.kernel.clock.now() + runner.lease

    for _ in range(4):
        clock(made).advance(seconds=0.2)
        await until(renewed)
    gate.set()
    await working
    assert (await job(made, id))["attempts"] == 1
