"""Recycling into public pools: how long a run takes over many accounts of which a tenth is due, and its memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import psutil
from rich.console import Console
from rich.table import Table

from app.demo.large import large_leads
from app.kernel.access import system_actor
from app.kernel.config import Settings
from app.kernel.ids import new_id
from app.kernel.startup import open_kernel
from app.kernel.tokens import record_tokens
from app.kernel.uow import transaction
from app.modules.customers.services.pools.recycling import BATCH, recycle
from app.product import build_registry
from bench.house import Company, House, report, sign_up

SHARE_DUE = 10  # one in so many
SHARE_WITH_CONTACT = 5
DAYS = 30


async def seed(house: House, company: Company, count: int) -> None:
    """Accounts of one member by COPY as the owner of the database, and contacts of some."""
    connection = await asyncpg.connect(house.url)
    now = datetime.now(UTC)
    shared = ("tenant_id", "id", "name", "tokens", "owner_id", "created_at", "updated_at")
    contacts: list[tuple[Any, ...]] = []

    def accounts() -> Iterator[tuple[Any, ...]]:
        for number, lead in enumerate(large_leads(7, 2, count)):
            id = new_id()
            age = DAYS + 30 if number % SHARE_DUE == 0 else 3
            at = now - timedelta(days=age, seconds=number % 80_000)
            name = lead["company"] or lead["name"]
            tokens = record_tokens([name])
            if number % SHARE_WITH_CONTACT == 0:
                contacts.append(
                    (company.tenant_id, new_id(), lead["name"], [], company.member_id, at, at, id)
                )
            yield (
                company.tenant_id, id, name, tokens, company.member_id, at, at,
                "company", "lead", ("hot", "warm", "cold")[number % 3], at,
            )  # fmt: skip

    await connection.copy_records_to_table(
        "accounts",
        schema_name="customers",
        columns=[*shared, "kind", "lifecycle_stage", "rating", "received_at"],
        records=accounts(),
    )
    await connection.copy_records_to_table(
        "contacts", schema_name="customers", columns=[*shared, "account_id"], records=contacts
    )
    await connection.execute("VACUUM (ANALYZE) customers.accounts, customers.contacts")
    await connection.close()


def make_pool(port: int, company: Company) -> None:
    """A pool for everybody whose rules ask other modules too."""
    body = {
        "object": "account",
        "name": {"en": "Bench"},
        "open_to_all": True,
        "recycle_rules": [
            {"kind": "no_follow_up", "days": DAYS, "level_field": "rating", "levels": {"hot": DAYS - 5}},
            {"kind": "no_opportunity", "days": DAYS * 2},
        ],
        "recycle_exemptions": ["won", "open_opportunity"],
    }
    headers = {"Authorization": f"Bearer {company.token}"}
    httpx.post(f"http://127.0.0.1:{port}/v1/pools", json=body, headers=headers).raise_for_status()


def measure_apart(url: str, folder: Path, tenant_id: UUID) -> dict[str, Any]:
    """`measure` in a process of its own, whose memory nothing else has touched."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(_measure, url, folder, tenant_id).result()


def _measure(url: str, folder: Path, tenant_id: UUID) -> dict[str, Any]:
    return asyncio.run(measure(House(url, folder), tenant_id))


async def measure(house: House, tenant_id: UUID) -> dict[str, Any]:
    """One run that recycles, and a second one that finds nothing; memory after each batch."""
    process = psutil.Process()
    settings = Settings(database_url=house.url, data_dir=house.folder / "data")
    async with open_kernel(settings, build_registry()) as kernel:
        actor = system_actor(await kernel.authenticator.tenant_profile(tenant_id))

        async def run() -> tuple[float, int, list[float]]:
            started, recycled, memory = time.perf_counter(), 0, []
            async for step in recycle(lambda: transaction(kernel, actor)):
                recycled += step.recycled
                memory.append(process.memory_info().rss / 1e6)
            return time.perf_counter() - started, recycled, memory

        cpu = time.process_time()
        seconds, recycled, memory = await run()
        cpu = time.process_time() - cpu
        idle, nothing, _ = await run()
    if nothing:
        raise RuntimeError(f"the second run recycled {nothing:,} accounts")
    warm = memory[min(2, len(memory) - 1)]  # after the first full batches everything is loaded and cached
    return {
        "recycled": recycled,
        "seconds": seconds,
        "own_cpu_s": cpu,
        "per_s": recycled / seconds,
        "batch": BATCH,
        "second_run_s": idle,
        "memory_mb": {"after_warm_up": warm, "peak": max(memory), "end": memory[-1]},
    }


def run_pools(house: House, count: int, console: Console) -> dict[str, Any]:
    """Recycle a tenth of `count` accounts."""
    with house.product() as port:
        company = sign_up(port, "Pools")
        make_pool(port, company)
    asyncio.run(seed(house, company, count))
    found = measure_apart(house.url, house.folder, company.tenant_id)
    due = (count + SHARE_DUE - 1) // SHARE_DUE
    if found["recycled"] != due:
        raise RuntimeError(f"{found['recycled']:,} accounts were recycled, not {due:,}")
    memory = found["memory_mb"]
    table = Table(title=f"Recycling: {count:,} accounts, {due:,} due, batches of {BATCH:,}")
    for column in (
        "seconds",
        "of it own CPU",
        "accounts/s",
        "next run, s",
        "MB after warm-up",
        "MB peak",
        "MB end",
    ):
        table.add_column(column, justify="right")
    table.add_row(
        f"{found['seconds']:.1f}",
        f"{found['own_cpu_s']:.1f}",
        f"{found['per_s']:,.0f}",
        f"{found['second_run_s']:.2f}",
        f"{memory['after_warm_up']:.0f}",
        f"{memory['peak']:.0f}",
        f"{memory['end']:.0f}",
    )
    console.print(table)
    report("pools", found | {"accounts": count})
    return found
