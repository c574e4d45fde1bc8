"""Routing: cases taken by agents who pull at once, and pushed to them, however many wait behind them."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table

from app.kernel.access import Actor, system_actor
from app.kernel.config import Settings
from app.kernel.runtime import Kernel
from app.kernel.startup import open_kernel
from app.kernel.uow import transaction
from app.modules.after_sales.services.desk.agents import AgentService
from app.modules.after_sales.services.desk.routing import AT_ONCE, distribute
from app.product import build_registry
from bench.house import Company, House, report, sign_up

AGENTS: Final = 20
CASES: Final = 200
SCALES: Final = (1, 10, 100)

_MEMBERS = """
WITH made AS (
  INSERT INTO tenants.users (id, email, email_key, name, locale, created_at, updated_at)
  SELECT gen_random_uuid(), a, a, a, 'en', now(), now()
  FROM (SELECT 'agent' || n || '.' || ($1::uuid)::text || '@example.com' AS a
    FROM generate_series(1, $2::int) n) names
  RETURNING id, email
)
INSERT INTO tenants.members (tenant_id, id, user_id, email, email_key, name, status, role_ids, joined_at, created_at,
  updated_at)
SELECT $1, gen_random_uuid(), made.id, made.email, made.email, made.email, 'active',
  (SELECT role_ids FROM tenants.members WHERE tenant_id = $1 LIMIT 1), now(), now(), now()
FROM made RETURNING id"""
_CASES = """
INSERT INTO after_sales.cases (tenant_id, id, number, subject, priority, status, channel, queue_id, opened_at,
  reopened_count, escalation_level, sla_failed, created_at, updated_at)
SELECT $1, gen_random_uuid(), 'B-' || n, 'Case ' || n, (ARRAY['low', 'normal', 'high', 'urgent'])[n % 4 + 1], 'new',
  'web', $2, now() - make_interval(secs => n), 0, 0, false, now(), now()
FROM generate_series(1, $3::int) n"""


async def seed(house: House, company: Company, waiting: int) -> list[UUID]:
    """Agents with room for everything and cases that wait in a queue that pushes; the agents."""
    connection = await asyncpg.connect(house.url)
    tenant = company.tenant_id
    members = [row["id"] for row in await connection.fetch(_MEMBERS, tenant, AGENTS)]
    queue = await connection.fetchval(
        "INSERT INTO after_sales.queues (tenant_id, id, name_en, routing, member_ids, optional_for_seconds,"
        " created_at, updated_at) VALUES ($1, gen_random_uuid(), 'Bench', 'push', $2, 0, now(), now()) RETURNING id",
        tenant,
        members,
    )
    await connection.execute(
        "INSERT INTO after_sales.agents (tenant_id, id, status, status_since, capacity, created_at, updated_at)"
        " SELECT $1, a, 'online', now(), 1000, now(), now() FROM unnest($2::uuid[]) a",
        tenant,
        members,
    )
    await connection.execute(_CASES, tenant, queue, waiting)
    await connection.execute("VACUUM (ANALYZE) after_sales.cases, after_sales.agents, tenants.members")
    await connection.close()
    return members


async def pull(kernel: Kernel, agents: list[Actor]) -> tuple[float, list[float]]:
    """All agents take their share of `CASES` at once; seconds, and those of each pull."""
    spent: list[float] = []

    async def work(agent: Actor) -> None:
        for _ in range(CASES // AGENTS):
            began = time.perf_counter()
            async with transaction(kernel, agent) as uow:
                given, _ = await AgentService(uow).pull()
            if given.case is None:
                raise RuntimeError("a case was passed over although nobody took it")
            spent.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(work(agent) for agent in agents))
    return time.perf_counter() - began, spent


async def measure(house: House, company: Company, waiting: int) -> dict[str, Any]:
    """Pulling and then pushing `CASES` each, with `waiting` more behind them."""
    members = await seed(house, company, waiting + 2 * CASES)
    settings = Settings(database_url=house.url, data_dir=house.folder / "data")
    async with open_kernel(settings, build_registry()) as kernel:
        tenant = company.tenant_id
        agents = [await kernel.authenticator.member_actor(tenant, id) for id in members]
        seconds, spent = await pull(kernel, agents)
        actor = system_actor(await kernel.authenticator.tenant_profile(tenant))
        pushed, began = 0, time.perf_counter()
        while pushed < CASES:
            async with transaction(kernel, actor) as uow:
                pushed += await distribute(uow, most=min(AT_ONCE, CASES - pushed))
        pushing = time.perf_counter() - began
    return {
        "waiting": waiting,
        "pulls_per_s": CASES / seconds,
        "pull_ms_median": statistics.median(spent) * 1e3,
        "pull_ms_p95": sorted(spent)[int(len(spent) * 0.95)] * 1e3,
        "pushes_per_s": CASES / pushing,
    }


def run_routing(house: House, console: Console) -> dict[str, Any]:
    """Each scale in a company of its own."""
    results = []
    with house.product() as port:
        companies = [sign_up(port, f"Routing{scale}") for scale in SCALES]
    for scale, company in zip(SCALES, companies, strict=True):
        results.append(asyncio.run(measure(house, company, CASES * scale)) | {"scale": scale})
    table = Table(title=f"Routing: {CASES} cases, {AGENTS} agents at once ({datetime.now(UTC):%Y-%m-%d})")
    for column in ("scale", "waiting behind", "pulls/s", "ms median", "ms p95", "pushes/s"):
        table.add_column(column, justify="right")
    for one in results:
        table.add_row(
            f"{one['scale']}x",
            f"{one['waiting']:,}",
            f"{one['pulls_per_s']:,.0f}",
            f"{one['pull_ms_median']:.1f}",
            f"{one['pull_ms_p95']:.1f}",
            f"{one['pushes_per_s']:,.0f}",
        )
    console.print(table)
    report("routing", {"results": results})
    return {"results": results}
