"""Promises to customers: one deadline in pure computation, and all open ones anew at 1, 10 and 100 times."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table

from app.kernel.access import Actor, system_actor
from app.kernel.config import Settings
from app.kernel.ids import new_id
from app.kernel.runtime import Kernel
from app.kernel.startup import open_kernel
from app.kernel.uow import transaction
from app.kernel.working_time import CalendarDefinition, calendar_of
from app.modules.after_sales.schemas.sla import SlaPolicyCreate, SlaPolicyUpdate
from app.modules.after_sales.services.sla.engine import Promise, due
from app.modules.after_sales.services.sla.policies import SlaPolicyService
from app.modules.after_sales.services.sla.recompute import CHUNK, recompute_chunk
from app.product import build_registry
from app.tenants.directory import NewTenant, create_tenant
from app.tenants.people.calendars import CalendarService
from bench.house import PASSWORD, House, report

H: Final = 3_600
BAR_US: Final = 50.0
CALLS: Final = 20_000
SIZES: Final = (1_000, 10_000, 100_000)
HOURS: Final = {day: [["09:00", "12:30"], ["13:30", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
_NOWHERE: Final = UUID(int=0)


def run_sla(house: House, console: Console) -> dict[str, Any]:
    """Both; the figures are kept."""
    results: dict[str, Any] = {"deadline_us": _deadlines(), "recompute": []}
    table = Table(title=f"One deadline, pure computation over a year with holidays (bar {BAR_US:.0f} µs)")
    for column in ("holds", "µs median", "µs worst of 20 rounds"):
        table.add_column(column, justify="right")
    for holds, (median, worst) in results["deadline_us"].items():
        table.add_row(str(holds), f"{median:.1f}", f"{worst:.1f}")
    console.print(table)
    table = Table(title=f"Recompute of open clocks, chunks of {CHUNK:,} cases")
    for column in ("open clocks", "times", "seconds", "µs/clock", "again, s"):
        table.add_column(column, justify="right")
    for size in SIZES:
        found = asyncio.run(_recompute(house, size))
        results["recompute"].append(found)
        table.add_row(
            f"{size:,}",
            f"{size // SIZES[0]}x",
            f"{found['seconds']:.2f}",
            f"{found['seconds'] / size * 1e6:.0f}",
            f"{found['again_s']:.2f}",
        )
    console.print(table)
    report("sla", results)
    return results


# -- one deadline --------------------------------------------------------------------------------------------


def _deadlines() -> dict[int, tuple[float, float]]:
    """Microseconds for a deadline and its warning, with none, one and five holds."""
    week = (((9 * H, 12 * H + 1_800), (13 * H + 1_800, 18 * H)),) * 5 + ((), ())
    calendar = calendar_of(CalendarDefinition(time_zone="America/New_York", week=week, country="US"))
    found = {}
    for holds in (0, 1, 5):
        promises = list(_promises(holds))
        for promise in promises[:100]:
            due(calendar, promise)  # the years are worked out once
        rounds = []
        for at in range(0, CALLS, CALLS // 20):
            part = promises[at : at + CALLS // 20]
            started = time.process_time()  # others on the machine are none of the computation
            for promise in part:
                due(calendar, promise)
            rounds.append((time.process_time() - started) / len(part) * 1e6)
        found[holds] = (statistics.median(rounds), max(rounds))
    return found


def _promises(holds: int) -> Iterator[Promise]:
    chance = random.Random(holds)
    year = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(CALLS):
        start = year + timedelta(seconds=chance.randrange(300 * 86_400))
        edges = sorted(start + timedelta(seconds=chance.randrange(10 * 86_400)) for _ in range(2 * holds))
        pairs = list(zip(edges[::2], edges[1::2], strict=True))
        yield Promise(start, chance.randrange(H, 200 * H), pairs)


# -- all of them ---------------------------------------------------------------------------------------------


async def _recompute(house: House, size: int) -> dict[str, Any]:
    """A company whose promise was doubled: every clock changes, and once more none does."""
    settings = Settings(database_url=house.url, data_dir=house.folder / "data")
    async with open_kernel(settings, build_registry()) as kernel:
        made = await create_tenant(
            kernel,
            NewTenant(company=f"Promises {size}"),
            owner_name="Ben Chmark",
            owner_email=f"promises{size}@example.com",
            password=PASSWORD,
        )
        actor = system_actor(made.profile)
        policy_id = await _promise(kernel, actor)
        await _seed(house, made.profile.id, made.owner.id, policy_id, size)
        async with transaction(kernel, actor) as uow:
            twice = SlaPolicyUpdate(resolution_minutes=960)
            await SlaPolicyService(uow).update(policy_id, twice, expected_version=1)
        seconds, changed = await _pass(kernel, actor)
        again, nothing = await _pass(kernel, actor)
    if changed != size or nothing:
        raise RuntimeError(f"{changed:,} clocks changed, not {size:,}, and {nothing:,} once more")
    return {"clocks": size, "seconds": seconds, "again_s": again}


async def _promise(kernel: Kernel, actor: Actor) -> UUID:
    """Office hours with holidays, and two policies of which one asks for something."""
    async with transaction(kernel, actor) as uow:
        hours = {"name": "Office", "time_zone": "America/New_York", "days": HOURS, "country": "US"}
        rest: dict[str, Any] = {"subdivision": None, "days_off": [], "work_days": [], "is_default": True}
        await CalendarService(uow).create(hours | rest)
        urgent = {"or": [{"and": [{"field": "priority", "op": "eq", "value": "urgent"}]}]}
        policies = SlaPolicyService(uow)
        first = {"name": "Urgent", "position": 1, "conditions": urgent, "first_response_minutes": 30}
        await policies.create(SlaPolicyCreate.model_validate(first | {"resolution_minutes": None}))
        return (await policies.create(SlaPolicyCreate(name="All", resolution_minutes=480))).id


async def _seed(house: House, tenant_id: UUID, owner_id: UUID, policy_id: UUID, size: int) -> None:
    """Open cases of the last year, each with one clock, by COPY as the owner of the database."""
    connection = await asyncpg.connect(house.url)
    now = datetime.now(UTC)
    cases: list[tuple[Any, ...]] = []
    clocks: list[tuple[Any, ...]] = []
    for number in range(size):
        id, opened = new_id(), now - timedelta(minutes=5 * (number % 100_000))
        due_at = opened + timedelta(hours=8)
        cases.append(
            (tenant_id, id, f"B-{number:06}", f"Case {number}", "normal", "open", "api", opened, 0, 0, due_at,
             "resolution", False, owner_id, [], opened, opened)
        )  # fmt: skip
        clocks.append(
            (tenant_id, new_id(), id, "resolution", policy_id, 8 * H, opened, "[]", due_at, due_at, 0)
        )
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda text: b"\x01" + text.encode(),
        decoder=bytes,
        schema="pg_catalog",
        format="binary",
    )
    await connection.copy_records_to_table(
        "cases",
        schema_name="after_sales",
        columns=[
            "tenant_id", "id", "number", "subject", "priority", "status", "channel", "opened_at", "reopened_count",
            "escalation_level", "due_at", "due_target", "sla_failed", "owner_id", "tokens", "created_at",
            "updated_at",
        ],
        records=cases,
    )  # fmt: skip
    await connection.copy_records_to_table(
        "case_clocks",
        schema_name="after_sales",
        columns=[
            "tenant_id", "id", "case_id", "target", "policy_id", "goal_seconds", "started_at", "holds", "due_at",
            "warn_at", "escalated",
        ],
        records=clocks,
    )  # fmt: skip
    await connection.execute("VACUUM (ANALYZE) after_sales.cases, after_sales.case_clocks")
    await connection.close()


async def _pass(kernel: Kernel, actor: Actor) -> tuple[float, int]:
    """Every chunk in a transaction of its own, as the job does it."""
    started, last, changed = time.perf_counter(), _NOWHERE, 0
    while True:
        async with transaction(kernel, actor) as uow:
            found = await recompute_chunk(uow, last)
        if found is None:
            return time.perf_counter() - started, changed
        last, _, different = found
        changed += different
