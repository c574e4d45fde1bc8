"""What the tests of pools share: pools, people, records that lie in pools, and a clock that is moved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.access import system_actor
from app.kernel.clock import FixedClock
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork, transaction
from app.main import Application
from app.modules.customers.services.pools.recycling import Step, recycle
from tests.modules.support import acting, make
from tests.support.api import Client, Company
from tests.tenants.people import Look, colleague

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
Json = dict[str, Any]


async def make_pool(owner: Client, object_name: str = "account", **fields: Any) -> Json:
    """A pool made over HTTP."""
    return await make(owner, "pools", object=object_name, **({"name": {"en": "East", "zh": "华东"}} | fields))


async def salespeople(company: Company, look: Look, count: int = 1) -> list[Client]:
    """So many colleagues who own what they own and see no more."""
    role = await company.owner.ok(
        "POST",
        "/v1/roles",
        json={
            "name": f"Hunter {new_id()}",
            "grants": dict.fromkeys(
                (
                    "account:read", "account:update", "account:create", "lead:read", "lead:update", "lead:create",
                    "contact:read", "activity:create", "activity:read", "activity:update",
                ),
                "own",
            )
            | {"pool:claim": "all", "pool:read": "all"},
        },
    )  # fmt: skip
    return [await colleague(company, look, "salesperson", role_ids=[role["id"]]) for _ in range(count)]


def id_of(client: Client) -> str:
    return str(client.facts["member_id"])


async def pooled(owner: Client, pool: Json, count: int = 1, **fields: Any) -> list[Json]:
    """Records that lie in a pool, put there by the owner of the company; as they are there."""
    plural = f"{pool['object']}s"
    found = []
    for number in range(count):
        name = f"Pooled {number} {str(new_id())[-8:]}"
        made = await make(owner, plural, **({"name": name, "allow_duplicates": True} | fields))
        path = f"/v1/{plural}/{made['id']}"
        await owner.ok(
            "POST", f"{path}/release", json={"reason": "no time", "pool_id": pool["id"]}, if_match=1
        )
        found.append(await owner.ok("GET", path))
    return found


async def scattered(company: Company, pool: Json, count: int, **columns: Any) -> list[UUID]:
    """So many accounts in a pool, written straight into the table: for races that need many."""
    ids = [new_id() for _ in range(count)]
    async with acting(company) as uow:
        values = {"pool_id": UUID(pool["id"]), "pooled_at": uow.now, "owner_id": None} | columns
        names = list(values)
        await uow.fetch(
            "INSERT INTO customers.accounts (tenant_id, id, name, kind, lifecycle_stage, created_at, updated_at,"
            f" {', '.join(names)}) SELECT $1, i, 'Scattered ' || i, 'company', 'lead', $3, $3,"
            f" {', '.join(f'${place}' for place in range(4, 4 + len(names)))} FROM unnest($2::uuid[]) i",
            uow.tenant_id,
            ids,
            uow.now,
            *values.values(),
        )
    return ids


async def rows(company: Company, sql: str, *arguments: Any) -> list[asyncpg.Record]:
    """Rows as the company's owner sees them in the database; `$1` is the tenant."""
    async with acting(company) as uow:
        return await uow.fetch(sql, uow.tenant_id, *arguments)


@contextmanager
def clock_at(app: Application, moment: datetime = START) -> Iterator[FixedClock]:
    """The application's clock, stopped; sessions are not concerned."""
    kernel = app.kernel
    assert kernel is not None
    before, kernel.clock = kernel.clock, FixedClock(moment)
    try:
        yield kernel.clock
    finally:
        kernel.clock = before


async def run_recycling(company: Company, *, batch: int = 5_000) -> list[Step]:
    """Everything that is due, as the job does it."""
    kernel = company.app.kernel
    assert kernel is not None
    profile = await kernel.authenticator.tenant_profile(company.tenant_id)

    @asynccontextmanager
    async def one() -> AsyncIterator[UnitOfWork]:
        assert kernel is not None
        async with transaction(kernel, system_actor(profile)) as uow:
            yield uow

    return [step async for step in recycle(one, batch=batch)]


async def recycled(company: Company, **options: Any) -> int:
    """How many records a run recycled."""
    return sum(step.recycled for step in await run_recycling(company, **options))
