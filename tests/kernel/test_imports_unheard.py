"""Events of an import that concern nobody are published with it; those that somebody waits for are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.kernel.event_tables import WebhookEndpoint
from app.kernel.ids import new_id
from app.kernel.locks import lock_name
from app.kernel.outbox import ENDPOINTS, nobody_hears
from app.kernel.uow import transaction
from tests.support.bulk import Bench, bench

FILE = b"Id,Name\nt1,Robot\nt2,Kite\n"
MAPPING: dict[str, str | None] = {"Id": "external_id", "Name": "name"}
CREATED = "toys.toy.created.v1"


@pytest.fixture
async def toys(own_database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(own_database, tmp_path) as made:
        yield made


async def _endpoint(toys: Bench, *, enabled: bool = True) -> None:
    async with transaction(toys.kernel, toys.actor) as uow:
        await lock_name(uow, ENDPOINTS)
        await uow.insert(
            WebhookEndpoint,
            id=new_id(),
            url="https://example.com/hook",
            event_types=["*"],
            description="",
            enabled=enabled,
            secret=b"not read here",
            disabled_reason=None if enabled else "by_member",
            disabled_at=None if enabled else uow.now,
            created_by=toys.actor.member_id,
        )


async def _waiting(toys: Bench) -> list[bool]:
    found = await toys.fetch(
        "SELECT published_at IS NULL AS waits FROM kernel.outbox WHERE type = $1", CREATED
    )
    return [row["waits"] for row in found]


async def test_events_that_nobody_waits_for_are_published_with_their_rows(toys: Bench):
    await toys.run(FILE, MAPPING)
    assert await _waiting(toys) == [False, False]


@pytest.mark.parametrize(("enabled", "waits"), [(True, True), (False, False)])
async def test_events_wait_for_the_relay_where_an_endpoint_is_switched_on(
    toys: Bench, enabled: bool, waits: bool
):
    await _endpoint(toys, enabled=enabled)
    await toys.run(FILE, MAPPING)
    assert await _waiting(toys) == [waits, waits]


async def test_an_endpoint_that_is_added_meanwhile_hears_of_all_that_comes_after_it(toys: Bench):
    async with transaction(toys.kernel, toys.actor) as uow:
        assert await nobody_hears(uow, CREATED)
        adding = asyncio.create_task(_endpoint(toys))
        done, _ = await asyncio.wait([adding], timeout=0.3)
        assert not done  # it comes after this transaction
    await adding
    async with transaction(toys.kernel, toys.actor) as uow:
        assert not await nobody_hears(uow, CREATED)
