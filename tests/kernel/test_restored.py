"""A dump restored on a server that has counted fewer transactions: what is new still comes after what is old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar

import asyncpg
import orjson
import pytest

from app.kernel import migrate, restored
from app.kernel.access import Actor
from app.kernel.audit import seal, verify
from app.kernel.event_feed import events_page
from app.kernel.events import Event
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.kernel.uow import transaction
from tests.support.events import company_actor, worker_kernel
from tests.support.waiting import until

AHEAD = 1_000_000_000


@pytest.fixture
async def superuser(own_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_database)
    yield connection
    await connection.close()


async def write(kernel: Kernel, actor: Actor) -> None:
    async with transaction(kernel, actor) as uow:
        uow.record_audit("lead", new_id(), "updated", {"status": ["new", "working"]})


async def seal_one(kernel: Kernel) -> None:
    async def sealed() -> bool:
        return bool(await seal(kernel))

    await until(sealed)  # other tests' transactions hold the horizon back


async def dump_from_a_busier_server(own_database: str, superuser: asyncpg.Connection) -> Actor:
    """The database, with an entry that was written and sealed where a billion more transactions had been counted."""
    actor = company_actor()
    await restored.number_from(superuser, AHEAD)
    async with worker_kernel(own_database) as there:
        await write(there, actor)
        await seal_one(there)
    await restored.number_from(superuser, 0)
    return actor


async def test_nothing_works_on_a_restored_dump_before_it_was_upgraded(
    own_database: str, superuser: asyncpg.Connection
):
    await dump_from_a_busier_server(own_database, superuser)
    assert await migrate.behind(own_database) is True
    with pytest.raises(restored.DatabaseRestored):
        async with worker_kernel(own_database):
            raise AssertionError("it works")
    assert await migrate.upgrade_async(own_database) == []
    assert await migrate.behind(own_database) is False


async def test_after_an_upgrade_new_entries_are_sealed_and_the_log_is_intact(
    own_database: str, superuser: asyncpg.Connection
):
    actor = await dump_from_a_busier_server(own_database, superuser)
    await migrate.upgrade_async(own_database)
    async with worker_kernel(own_database) as here:
        await write(here, actor)
        await seal_one(here)
        report = await verify(here, actor.tenant_id)
        assert (report.intact, report.sealed, report.unsealed) == (True, 2, 0)


class ThingHappened(Event):
    """Something happens."""

    type: ClassVar[str] = "restored.thing.happened.v1"
    object: ClassVar[str] = "thing"


async def happen(kernel: Kernel, actor: Actor, cursor: str | None) -> tuple[list[bool], str]:
    """Let it happen; the events that a reader finds behind a cursor, and where it goes on."""
    event = ThingHappened(id=new_id())
    async with transaction(kernel, actor) as uow:
        uow.publish(event)
    page: dict[str, Any] = {}

    async def seen() -> bool:
        async with transaction(kernel, actor, read_only=True) as uow:
            page.update(orjson.loads(await events_page(uow, limit=10, cursor=cursor)))
        return bool(page["data"])

    await until(seen)
    return [found["data"]["id"] == str(event.id) for found in page["data"]], page["next_cursor"]


async def test_a_reader_of_events_goes_on_where_it_was(own_database: str, superuser: asyncpg.Connection):
    actor = await dump_from_a_busier_server(own_database, superuser)
    await restored.number_from(superuser, AHEAD)
    async with worker_kernel(own_database) as kernel:
        found, cursor = await happen(kernel, actor, None)
        assert found == [True]
        await restored.number_from(superuser, 0)
        await migrate.upgrade_async(own_database)
        found, _ = await happen(kernel, actor, cursor)
        assert found == [True]


async def test_a_database_that_was_not_restored_is_left_as_it_is(
    own_database: str, superuser: asyncpg.Connection
):
    actor = company_actor()
    async with worker_kernel(own_database) as kernel:
        await write(kernel, actor)
        await seal_one(kernel)
    assert await migrate.behind(own_database) is False
    assert await migrate.upgrade_async(own_database) == []
    given = "SELECT kernel.tx() = pg_current_xact_id()"
    assert await superuser.fetchval(given) is True
