"""Events reach those who react to them: in order, once in effect, and however often something fails."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
from pydantic import BaseModel

from app.kernel import outbox
from app.kernel.access import Actor
from app.kernel.clock import FixedClock
from app.kernel.events import Event
from app.kernel.ids import new_id
from app.kernel.outbox import Relay
from app.kernel.registry import Module, Subscription
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from tests.support.events import company_actor, worker_kernel
from tests.support.waiting import PATIENCE, until


class LampSwitched(Event):
    """A lamp was switched."""

    type: ClassVar[str] = "lamps.lamp.switched.v1"
    object: ClassVar[str] = "lamp"
    number: int


class Switched(BaseModel):
    id: UUID
    number: int


Handle = Callable[[UnitOfWork, Switched], Awaitable[None]]


def lamps(**handlers: Handle) -> Module:
    return Module(
        name="lamps",
        subscriptions=[
            Subscription(event=LampSwitched.type, payload=Switched, handle=handle, name=f"lamps.{name}")
            for name, handle in handlers.items()
        ],
    )


async def note(uow: UnitOfWork, event: Switched) -> None:
    """A reaction whose effect can be counted."""
    uow.record_audit("lamp", event.id, "noticed", {"number": [None, event.number]})


async def noticed(kernel: Kernel, actor: Actor) -> list[int]:
    async with transaction(kernel, actor) as uow:
        rows = await uow.fetch(
            "SELECT changes FROM kernel.audit_entries WHERE action = 'noticed' ORDER BY id"
        )
    return [row["changes"]["number"][1] for row in rows]


async def switch(kernel: Kernel, actor: Actor, lamp: UUID, *numbers: int) -> None:
    for number in numbers:
        async with transaction(kernel, actor, request_id=f"request-{number}") as uow:
            uow.publish(LampSwitched(id=lamp, number=number))


async def state(kernel: Kernel, actor: Actor) -> list[tuple[int, bool, bool, int]]:
    async with transaction(kernel, actor) as uow:
        rows = await uow.fetch("SELECT data, published_at, dead_at, attempts FROM kernel.outbox ORDER BY id")
    return [
        (r["data"]["number"], r["published_at"] is not None, r["dead_at"] is not None, r["attempts"])
        for r in rows
    ]


@asynccontextmanager
async def running(url: str, *modules: Module) -> AsyncIterator[Kernel]:
    async with worker_kernel(url, modules, clock=FixedClock()) as kernel:
        yield kernel


async def test_a_reaction_takes_effect_once_in_its_own_tenant(own_database):
    seen: list[tuple[UUID, str]] = []

    async def handle(uow: UnitOfWork, event: Switched) -> None:
        seen.append((uow.tenant_id, uow.request_id))
        await note(uow, event)

    async with running(own_database, lamps(note=handle)) as kernel:
        actor, other = company_actor(), company_actor()
        await switch(kernel, actor, new_id(), 1)
        await switch(kernel, other, new_id(), 2)
        assert await Relay(kernel).run_once() == 2
        assert await Relay(kernel).run_once() == 0
        assert (await noticed(kernel, actor), await noticed(kernel, other)) == ([1], [2])
        assert sorted(seen) == sorted([(actor.tenant_id, "request-1"), (other.tenant_id, "request-2")])


async def test_an_event_handed_out_twice_still_takes_effect_once(own_database):
    async with running(own_database, lamps(note=note)) as kernel:
        actor = company_actor()
        await switch(kernel, actor, new_id(), 1)
        first = (await Relay(kernel)._claim()).loud
        kernel.clock.advance(
            outbox.LEASE + timedelta(seconds=1)
        )  # the lease ran out, another worker takes over
        second = (await Relay(kernel)._claim()).loud
        assert [event.id for event in first] == [event.id for event in second]
        await asyncio.gather(Relay(kernel)._in_order(first), Relay(kernel)._in_order(second))
        assert await noticed(kernel, actor) == [1]


async def test_a_failing_reaction_is_tried_again_and_the_others_are_not_repeated(own_database):
    broken = True

    async def fails(uow: UnitOfWork, event: Switched) -> None:
        await note(uow, event.model_copy(update={"number": -event.number}))
        if broken:
            raise RuntimeError("the bulb is gone")

    async with running(own_database, lamps(fails=fails, note=note)) as kernel:
        actor = company_actor()
        await switch(kernel, actor, new_id(), 1)
        await Relay(kernel).run_once()
        assert await noticed(kernel, actor) == [1]  # what the failed one wrote is rolled back
        assert await state(kernel, actor) == [(1, False, False, 1)]
        assert await Relay(kernel).run_once() == 0  # not before its time
        broken = False
        kernel.clock.advance(seconds=1)
        assert await Relay(kernel).run_once() == 1
        assert await noticed(kernel, actor) == [1, -1]
        assert await state(kernel, actor) == [(1, True, False, 2)]


async def test_later_events_of_a_record_wait_behind_one_that_failed(own_database):
    broken = True

    async def fails(uow: UnitOfWork, event: Switched) -> None:
        if broken and event.number == 1:
            raise RuntimeError("not yet")
        await note(uow, event)

    async with running(own_database, lamps(fails=fails)) as kernel:
        actor, lamp = company_actor(), new_id()
        await switch(kernel, actor, lamp, 1, 2)
        await switch(kernel, actor, new_id(), 100)
        await Relay(kernel).run_once()
        await switch(kernel, actor, lamp, 3)
        await Relay(kernel).run_once()
        assert await noticed(kernel, actor) == [100]
        assert await state(kernel, actor) == [
            (1, False, False, 1),
            (2, False, False, 0),
            (100, True, False, 1),
            (3, False, False, 0),
        ]
        broken = False
        kernel.clock.advance(seconds=1)
        while await Relay(kernel).run_once():
            pass
        assert await noticed(kernel, actor) == [100, 1, 2, 3]


async def test_an_event_that_always_fails_becomes_a_dead_letter_and_lets_the_next_pass(own_database):
    async def fails(uow: UnitOfWork, event: Switched) -> None:
        if event.number == 1:
            raise RuntimeError("never")
        await note(uow, event)

    async with running(own_database, lamps(fails=fails)) as kernel:
        actor, lamp = company_actor(), new_id()
        await switch(kernel, actor, lamp, 1, 2)
        for seconds in (*outbox.RETRY_AFTER, 0):
            await Relay(kernel).run_once()
            kernel.clock.advance(seconds=seconds)
        assert await state(kernel, actor) == [(1, False, True, 10), (2, False, False, 0)]
        await Relay(kernel).run_once()
        assert await noticed(kernel, actor) == [2]
        async with transaction(kernel, actor) as uow:
            row = await uow.fetchrow("SELECT last_error FROM kernel.outbox WHERE dead_at IS NOT NULL")
        assert row["last_error"] == "lamps.fails: RuntimeError: never"


async def test_workers_share_the_events_and_keep_each_records_order(own_database):
    async with running(own_database, lamps(note=note)) as kernel:
        actor = company_actor()
        ids = [new_id() for _ in range(5)]
        for number in range(40):
            await switch(kernel, actor, ids[number % 5], number)
        relays = [Relay(kernel, batch=7) for _ in range(3)]

        async def drain(relay: Relay) -> None:
            while await relay.run_once() or not all(row[1] for row in await state(kernel, actor)):
                pass

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(drain(relay) for relay in relays))
        numbers = await noticed(kernel, actor)
        assert sorted(numbers) == list(range(40))
        async with transaction(kernel, actor) as uow:
            rows = await uow.fetch(
                "SELECT record_id, array_agg((changes -> 'number' ->> 1)::int ORDER BY tx) AS numbers"
                " FROM kernel.audit_entries WHERE action = 'noticed' GROUP BY record_id"
            )
        assert all(row["numbers"] == sorted(row["numbers"]) for row in rows)


async def test_a_rolled_back_transaction_publishes_nothing(own_database):
    async with running(own_database, lamps(note=note)) as kernel:
        actor = company_actor()

        async def give_up() -> None:
            async with transaction(kernel, actor) as uow:
                uow.publish(LampSwitched(id=new_id(), number=1))
                await uow.flush()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await give_up()
        assert await Relay(kernel).run_once() == 0


async def test_the_loop_passes_events_on_until_it_is_stopped(own_database):
    async with worker_kernel(own_database, [lamps(note=note)]) as kernel:
        actor, stop = company_actor(), asyncio.Event()
        loop = asyncio.create_task(Relay(kernel, poll_seconds=0.02).run(stop))
        await switch(kernel, actor, new_id(), 1)

        async def passed_on() -> bool:
            return await noticed(kernel, actor) == [1]

        await until(passed_on)
        stop.set()
        await loop


async def test_old_events_are_purged_and_waiting_ones_kept(own_database):
    async with running(own_database, lamps(note=note)) as kernel:
        actor = company_actor()
        await switch(kernel, actor, new_id(), 1)
        await Relay(kernel).run_once()
        await switch(kernel, actor, new_id(), 2)
        kernel.clock.advance(days=29)
        assert await outbox.purge(kernel) == 0
        kernel.clock.advance(days=2)
        assert await outbox.purge(kernel) == 2  # the event and its inbox row
        assert await state(kernel, actor) == [(2, False, False, 0)]


async def test_three_thousand_events_without_reactions_pass_quickly(own_database):
    async with running(own_database) as kernel:
        actor = company_actor()
        async with transaction(kernel, actor) as uow:
            for number in range(3_000):
                uow.publish(LampSwitched(id=new_id(), number=number))
        started = time.process_time()
        relay = Relay(kernel)
        while await relay.run_once():
            pass
        assert time.process_time() - started < 5
        assert all(published for _, published, _, _ in await state(kernel, actor))


async def test_events_of_another_company_are_not_seen(own_database):
    async with running(own_database) as kernel:
        await switch(kernel, company_actor(), new_id(), 1)
        assert await state(kernel, company_actor()) == []


async def test_the_claim_uses_the_index_of_waiting_events(own_database):
    async with running(own_database) as kernel:
        actor = company_actor()
        async with transaction(kernel, actor) as uow:
            for number in range(2_000):
                uow.publish(LampSwitched(id=new_id(), number=number))
        while await Relay(kernel).run_once():
            pass
        superuser = await asyncpg.connect(own_database)
        try:
            await superuser.execute("ANALYZE kernel.outbox")
            now: Any = kernel.clock.now()
            plan = await superuser.fetch("EXPLAIN " + outbox._CLAIM, now, 500, now, [])
        finally:
            await superuser.close()
        assert any("ix_outbox_unpublished" in row[0] for row in plan)


async def test_a_claim_reads_what_it_claims_however_much_waits(own_database):
    async with running(own_database) as kernel:
        actor = company_actor()
        await _switch_many(kernel, actor, 1_000)
        while await Relay(kernel).run_once():
            pass
        superuser = await asyncpg.connect(own_database)
        try:
            await superuser.execute("ANALYZE kernel.outbox")  # the planner hears of it while nothing waits
            await _switch_many(kernel, actor, 500)
            alone = await _pages_of_a_claim(superuser, kernel.clock.now())
            await _switch_many(kernel, actor, 5_000)
            read = []
            for _ in range(9):
                # Else a claim passes over what changed before.
                await superuser.execute("VACUUM kernel.outbox")
                read.append(await _pages_of_a_claim(superuser, kernel.clock.now()))
        finally:
            await superuser.close()
        assert read[0] < 1.5 * alone  # however much waits
        assert max(read) < 1.5 * read[0]  # and however much is being handled


async def _switch_many(kernel: Kernel, actor: Actor, count: int) -> None:
    async with transaction(kernel, actor) as uow:
        for number in range(count):
            uow.publish(LampSwitched(id=new_id(), number=number))


async def _pages_of_a_claim(superuser: Any, now: Any) -> int:
    """How many pages it looks at to claim five hundred events for a reaction that takes its time."""
    explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + outbox._CLAIM
    plan = json.loads(await superuser.fetchval(explain, now, 500, now + outbox.LEASE, [LampSwitched.type]))
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])
