"""Numbers are unique under load, and without gaps where the law asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from app.kernel import counters
from app.kernel.clock import FixedClock
from app.kernel.counters import Counter, Counters
from app.kernel.db import Database
from app.kernel.numbering import next_number, next_numbers
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from tests.support.kernel import bare_kernel, new_tenant

CLOCK = FixedClock(datetime(2026, 12, 31, 23, 30, tzinfo=UTC))


@pytest.fixture
async def kernel(worker_database: str, tmp_path: Path) -> AsyncIterator[Kernel]:
    async with bare_kernel(worker_database, tmp_path, clock=CLOCK) as found:
        yield found


async def test_callers_who_meet_share_statements_and_get_runs_of_their_own(kernel: Kernel):
    counter = (new_tenant().tenant.id, "shared", 0)

    async def take(count: int) -> range:
        last = await kernel.counters.take(kernel.database, counter, count)
        return range(last - count + 1, last + 1)

    taken = await asyncio.gather(*(take(count % 3 + 1) for count in range(150)))
    asked = sum(count % 3 + 1 for count in range(150))
    assert sorted(number for run in taken for number in run) == list(range(1, asked + 1))


async def test_who_gives_up_waiting_keeps_nobody_else_waiting(kernel: Kernel):
    counter = (new_tenant().tenant.id, "left", 0)

    async def take() -> int:
        return await kernel.counters.take(kernel.database, counter, 1)

    callers = [asyncio.create_task(take()) for _ in range(30)]
    await asyncio.sleep(0)
    for caller in callers[::3]:  # the one who asks, and some of those who wait
        caller.cancel()
    found = await asyncio.gather(*callers, return_exceptions=True)
    numbers = [one for one in found if isinstance(one, int)]
    assert len(numbers) == len(set(numbers)) == 20
    assert await take() > max(numbers)


async def test_what_fails_fails_for_everybody_who_waits_and_the_next_try_works(kernel: Kernel):
    counter = (new_tenant().tenant.id, "failing", 0)

    async def take(count: int) -> int:
        return await kernel.counters.take(kernel.database, counter, count)

    found = await asyncio.gather(*(take(2**62) for _ in range(5)), return_exceptions=True)
    assert any(isinstance(one, Exception) for one in found)
    assert isinstance(await kernel.counters.take(kernel.database, (counter[0], "fine", 0), 1), int)


async def test_numbers_taken_ahead_are_used_and_the_rest_of_them_comes_back(kernel: Kernel):
    counter = (new_tenant().tenant.id, "ahead", 0)

    async def take(count: int = 1) -> int:
        return await kernel.counters.take(kernel.database, counter, count)

    first = await asyncio.gather(*(take() for _ in range(20)))
    assert sorted(first) == list(range(1, 21))
    assert [await take() for _ in range(3)] == [21, 22, 23]  # of those taken ahead
    assert await take(200) == 223  # more than there are: no gap
    assert await take() == 224


async def test_who_waits_is_served_of_what_was_taken_ahead_meanwhile(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(counters, "_FRESH", 3_600.0)
    asked: list[tuple[int, int]] = []
    count_up = Counters._count_up

    async def told(self: Counters, database: Database, counter: Counter, count: int, more: int) -> int:
        asked.append((count, more))
        return await count_up(self, database, counter, count, more)

    monkeypatch.setattr(Counters, "_count_up", told)
    counter = (new_tenant().tenant.id, "meanwhile", 0)
    taken = []
    for callers in (20, 30, 40):
        taken += await asyncio.gather(
            *(kernel.counters.take(kernel.database, counter, 1) for _ in range(callers))
        )
    assert taken == list(range(1, 91))
    # Nineteen met; their nineteen ahead were used up at once, so twice as many came with the next one.
    assert asked == [(1, 0), (19, 19), (1, 38), (1, 64)]


async def test_numbers_taken_ahead_stay_behind_where_another_process_counted_on(kernel: Kernel):
    counter = (new_tenant().tenant.id, "two", 0)
    others = Counters()

    async def take(counters: Counters, count: int = 1) -> range:
        last = await counters.take(kernel.database, counter, count)
        return range(last - count + 1, last + 1)

    taken = await asyncio.gather(*(take(kernel.counters) for _ in range(20)))
    both = (others, kernel.counters)
    taken += await asyncio.gather(*(take(both[n % 2], n % 5 + 1) for n in range(60)))
    numbers = [number for run in taken for number in run]
    assert len(numbers) == len(set(numbers)) == 20 + 180


class Undone(Exception):
    """Rolls a transaction back."""


@pytest.mark.parametrize("gap_free", [False, True])
async def test_two_hundred_callers_at_once_get_two_hundred_numbers(kernel: Kernel, gap_free: bool):
    actor = new_tenant()

    async def take() -> str:
        async with transaction(kernel, actor) as uow:
            return await next_number(uow, "quotes", gap_free=gap_free)

    taken = await asyncio.gather(*(take() for _ in range(200)))
    assert sorted(taken) == [f"Q-2026-{number:05d}" for number in range(1, 201)]


async def test_gap_free_numbers_of_rolled_back_transactions_are_given_again(kernel: Kernel):
    actor = new_tenant()

    async def take(number: int) -> str | None:
        try:
            async with transaction(kernel, actor) as uow:
                found = await next_number(uow, "invoices", "I{number}", gap_free=True)
                if number % 3 == 0:
                    raise Undone
                return found
        except Undone:
            return None

    taken = [found for found in await asyncio.gather(*(take(n) for n in range(60))) if found]
    assert sorted(int(found[1:]) for found in taken) == list(range(1, 41))


async def test_a_usual_number_is_not_given_again_and_nobody_waits_for_it(kernel: Kernel):
    actor = new_tenant()

    async def take_two_and_fail() -> None:
        async with transaction(kernel, actor) as uow, transaction(kernel, actor) as other:
            assert await next_number(uow, "quotes") == "Q-2026-00001"
            assert await next_number(other, "quotes") == "Q-2026-00002"
            raise Undone

    with pytest.raises(Undone):
        await take_two_and_fail()
    async with transaction(kernel, actor) as uow:
        assert await next_number(uow, "quotes") == "Q-2026-00003"


async def test_each_year_begins_with_one_in_the_zone_of_the_tenant(kernel: Kernel):
    shanghai = new_tenant(time_zone="Asia/Shanghai")
    async with transaction(kernel, shanghai) as uow:
        assert await next_number(uow, "quotes") == "Q-2027-00001"
        assert await next_numbers(uow, "plain", 3, "{number}") == ["1", "2", "3"]


async def test_tenants_count_by_themselves(kernel: Kernel):
    for actor in (new_tenant(), new_tenant()):
        async with transaction(kernel, actor) as uow:
            assert await next_number(uow, "quotes", gap_free=True) == "Q-2026-00001"


@pytest.mark.parametrize("pattern", ["Q", "{number}{secret}", "{year}", "{number.real.__class__}"])
async def test_a_pattern_with_anything_else_is_refused(kernel: Kernel, pattern: str):
    async with transaction(kernel, new_tenant()) as uow:
        with pytest.raises(ValueError, match="nothing else"):
            await next_number(uow, "quotes", pattern)


@pytest.fixture
async def other_process(worker_database: str, tmp_path: Path) -> AsyncIterator[Kernel]:
    async with bare_kernel(worker_database, tmp_path / "other", clock=CLOCK) as found:
        yield found


async def crash(url: str, kernel: Kernel, counter: tuple[UUID, str, int], kept: int) -> None:
    """What a crash of the server does to a process: its connections are gone, and so is the latest of a counter."""
    pids = []
    async with kernel.database.control_session() as one, kernel.database.acquire() as two:
        pids += [one.get_server_pid(), two.get_server_pid()]
    connection = await asyncpg.connect(url)
    try:
        owner = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY($1::int[])"
        await connection.execute("UPDATE kernel.numbers SET last_number = $4 WHERE tenant_id = $1 AND series = $2"
                                 " AND year = $3", *counter, kept)  # fmt: skip
        await connection.execute(owner, pids)
    finally:
        await connection.close()
    await asyncio.gather(
        kernel.database._app.expire_connections(), kernel.database._control.expire_connections()
    )


@pytest.mark.parametrize("count", [1, 30], ids=["out of those taken ahead", "giving those back"])
async def test_numbers_taken_ahead_that_a_crash_lost_are_nobodys_twice(
    kernel: Kernel, other_process: Kernel, worker_database: str, monkeypatch: pytest.MonkeyPatch, count: int
):
    monkeypatch.setattr(counters, "_FRESH", 3_600.0)
    actor = new_tenant()
    counter = (actor.tenant.id, "crashed", 0)

    async def take(of: Kernel, wanted: int = 1) -> set[str]:
        async with transaction(of, actor) as uow:
            return set(await next_numbers(uow, "crashed", wanted, "{number}"))

    used = await asyncio.gather(*(kernel.counters.take(kernel.database, counter, 1) for _ in range(20)))
    first = [{str(number)} for number in used]
    ahead = kernel.counters._ahead[counter]
    assert ahead.left > 10
    # The counter of those taken ahead never came to the disk; the numbers that were used did, and theirs with them.
    await crash(worker_database, kernel, counter, ahead.end - ahead.left)
    others = await take(other_process, ahead.left)
    assert max(map(int, others)) == ahead.end
    late = [await take(kernel, count) for _ in range(3)]
    taken = [number for run in (*first, others, *late) for number in run]
    assert len(taken) == len(set(taken)) == 20 + len(others) + 3 * count
    assert min(int(number) for run in late for number in run) == ahead.end + 1


async def test_two_processes_whose_connections_are_killed_leave_no_gap_where_the_law_wants_none(
    kernel: Kernel, other_process: Kernel, worker_database: str
):
    actor, given = new_tenant(), list[int]()
    killer, alone = await asyncpg.connect(worker_database), asyncio.Lock()

    async def take(number: int) -> None:
        async with transaction((kernel, other_process)[number % 2], actor) as uow:
            found = await next_number(uow, "invoices", "{number}", gap_free=True)
            if number % 5 == 0:
                raise Undone
            if number % 7 == 0:
                async with alone:
                    await killer.fetchval("SELECT pg_terminate_backend($1)", uow.connection.get_server_pid())
        given.append(int(found))  # it has committed

    try:
        ends = await asyncio.gather(*(take(number) for number in range(200)), return_exceptions=True)
    finally:
        await killer.close()
    lost = [number for number, end in enumerate(ends) if end is not None]
    assert lost == [number for number in range(200) if number % 5 == 0 or number % 7 == 0]
    assert sorted(given) == list(range(1, 200 - len(lost) + 1))


async def test_only_the_counter_goes_to_the_disk_later(kernel: Kernel):
    """Whoever commits with a number writes the log up to there, its counter with it."""
    async with transaction(kernel, new_tenant()) as uow:
        await uow.fetch("SET LOCAL synchronous_commit = local")
        await next_number(uow, "quotes")
        await next_number(uow, "invoices", gap_free=True)
        (row,) = await uow.fetch("SHOW synchronous_commit")
        assert row[0] == "local"
