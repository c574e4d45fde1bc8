"""Board, funnel and forecast of a tenant with many opportunities, and of a small one beside it: SQL time.

What is measured is the time from sending each statement to having its rows, added up over the statements of one
answer; Python's part of it is not. The bar is 50 ms for 200,000 opportunities, and that small tenants do not notice.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table

from app.kernel.access import Actor, Scope, system_actor
from app.kernel.config import Settings
from app.kernel.ids import new_id
from app.kernel.listing import Query
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork, transaction
from app.main import create_app
from app.modules.opportunities.reading.board import BoardService
from app.modules.opportunities.reading.forecast import ForecastService
from app.modules.opportunities.reading.funnel import FunnelQuestion, FunnelService
from app.modules.opportunities.reading.outcomes import OutcomeService
from app.modules.opportunities.reading.periods import Period, period_start
from app.modules.opportunities.reading.sums import KeptSums
from app.modules.opportunities.services.pipelines import PipelineService
from app.tenants.directory import Founded, NewTenant, create_tenant
from bench.house import PASSWORD, House, report

STAGES = ("qualification", "needs_analysis", "proposal", "negotiation")
PROBABILITIES = (10, 30, 50, 75)
OWNERS, TEAMS, ROUNDS = 50, 8, 15
BAR_MS = 50.0

Ask = Callable[[UnitOfWork], Awaitable[Any]]


def run_pipeline(house: House, size: int, console: Console) -> None:
    """Seed, fold and measure; print the table, keep the figures."""
    results = asyncio.run(_measure(house, size, console))
    report("pipeline", results)


async def _measure(house: House, size: int, console: Console) -> dict[str, Any]:
    settings = Settings(
        environment="test", database_url=house.url, data_dir=house.folder / "data", log_level="ERROR"
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        kernel = app.kernel
        if kernel is None:
            raise RuntimeError("the application has no kernel while it runs")
        small = await _tenant(kernel, "Small", 1)
        before = {}
        await _seed(house, small, 1_000)
        await _fold(kernel, small)
        await _vacuum(house)
        for name, ask in _questions().items():
            before[name] = await _time(kernel, _actor(small, Scope.ALL), ask)
        big = await _tenant(kernel, "Big", 2)
        seconds = await _seed(house, big, size)
        unfolded = {
            name: await _time(kernel, _actor(big, Scope.ALL), ask) for name, ask in _questions().items()
        }
        folding = await _fold(kernel, big)
        await _vacuum(house)
        results: dict[str, Any] = {"size": size, "seed_seconds": seconds, "fold_seconds": folding, "ms": {}}
        for name, ask in _questions().items():
            results["ms"][name] = {
                "all": await _time(kernel, _actor(big, Scope.ALL), ask),
                "unfolded": unfolded[name],
                "team": await _time(kernel, _actor(big, Scope.TEAM), ask),
                "own": await _time(kernel, _actor(big, Scope.OWN), ask),
                "small before": before[name],
                "small beside": await _time(kernel, _actor(small, Scope.ALL), ask),
            }
    _print(results, console)
    return results


def _questions() -> dict[str, Ask]:
    today = datetime.now(UTC).date()
    quarter = Period("quarter", period_start(today, "quarter", 1))
    year = Period("year", period_start(today, "year", 1))
    return {
        "board": lambda uow: BoardService(uow).board(None, Query(limit=20)),
        "funnel": lambda uow: FunnelService(uow).funnel(FunnelQuestion()),
        "funnel by quarter": lambda uow: FunnelService(uow).funnel(FunnelQuestion(cohort="quarter")),
        "forecast of a quarter": lambda uow: ForecastService(uow).forecast(quarter, None, None),
        "forecast of a year": lambda uow: ForecastService(uow).forecast(year, None, None),
        "win-loss by owner (no bar)": lambda uow: OutcomeService(uow).win_loss("owner", Query(), None, None),
    }


async def _tenant(kernel: Kernel, name: str, number: int) -> tuple[Founded, list[UUID], list[UUID]]:
    made = await create_tenant(
        kernel,
        NewTenant(company=name),
        owner_name="Ben Chmark",
        owner_email=f"bench{number}@example.com",
        password=PASSWORD,
    )
    async with transaction(kernel, system_actor(made.profile)) as uow:
        await PipelineService(uow).ensure_default()
    owners = [made.owner.id, *(new_id() for _ in range(OWNERS - 1))]
    return made, owners, [made.owner.team_ids[0], *(new_id() for _ in range(TEAMS - 1))]


def _actor(tenant: tuple[Founded, list[UUID], list[UUID]], scope: Scope) -> Actor:
    made, owners, teams = tenant
    actor = system_actor(made.profile)
    if scope is Scope.ALL:
        return actor
    grants = {"opportunity:read": scope, "target:read": scope}
    return replace(
        actor, kind="member", member_id=owners[0], team_ids=(teams[0],), grants=grants, everything=False
    )


async def _seed(house: House, tenant: tuple[Founded, list[UUID], list[UUID]], count: int) -> float:
    """Opportunities of three years with their ways through the stages, by COPY; the triggers count them."""
    made, owners, teams = tenant
    connection = await asyncpg.connect(house.url)
    pipeline = await connection.fetchval(
        "SELECT id FROM opportunities.pipelines WHERE tenant_id = $1", made.profile.id
    )
    chance = random.Random(5)
    deals = [_deal(chance, made.profile.id, pipeline, owners, teams, number) for number in range(count)]
    started = time.perf_counter()
    await connection.copy_records_to_table(
        "opportunities", schema_name="opportunities", columns=_COLUMNS, records=deals
    )
    await connection.copy_records_to_table(
        "stage_history", schema_name="opportunities", columns=_VISIT_COLUMNS, records=_visits(chance, deals)
    )
    seconds = time.perf_counter() - started
    await connection.close()
    await _vacuum(house)
    return round(seconds, 1)


async def _vacuum(house: House) -> None:
    """What autovacuum does within its minute."""
    connection = await asyncpg.connect(house.url)
    for table in ("opportunities", "stage_history", "passages", "sums", "funnel_sums", "funnel_days"):
        await connection.execute(f"VACUUM (ANALYZE) opportunities.{table}")
    await connection.close()


_COLUMNS = (
    "tenant_id", "id", "name", "pipeline_id", "stage", "last_open_stage", "status", "probability", "amount",
    "currency", "amount_home", "home_currency", "expected_close_on", "opened_on", "closed_on", "loss_reason",
    "owner_id", "team_id", "created_at", "updated_at",
)  # fmt: skip
_VISIT_COLUMNS = (
    "tenant_id", "id", "opportunity_id", "from_stage", "to_stage", "status", "entered_at", "left_at",
    "duration_seconds", "probability",
)  # fmt: skip


def _deal(
    chance: random.Random, tenant: UUID, pipeline: UUID, owners: list[UUID], teams: list[UUID], number: int
) -> tuple[Any, ...]:
    at = datetime.now(UTC) - timedelta(days=chance.randrange(20, 1_100), seconds=chance.randrange(86_400))
    reached = chance.randrange(4)
    status = chance.choices(("open", "won", "lost"), (3, 3, 4))[0]
    owner = chance.randrange(OWNERS)
    amount = chance.randrange(1_000, 10_000_000)
    closed = min(at.date() + timedelta(days=chance.randrange(1, 120)), datetime.now(UTC).date())
    return (
        tenant, new_id(), f"Deal {number}", pipeline, "won" if status == "won" else STAGES[reached], STAGES[reached],
        status, {"open": PROBABILITIES[reached], "won": 100, "lost": 0}[status], amount, "USD", amount, "USD",
        datetime.now(UTC).date() + timedelta(days=chance.randrange(-60, 300)), at.date(),
        None if status == "open" else closed, "price" if status == "lost" else None, owners[owner],
        teams[owner % TEAMS], at, at,
    )  # fmt: skip


def _visits(chance: random.Random, deals: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for deal in deals:
        tenant, id, stage, last, status, at = deal[0], deal[1], deal[4], deal[5], deal[6], deal[18]
        before = None
        for step in STAGES[: STAGES.index(last) + 1]:
            seconds = chance.randrange(3_600, 86_400 * 60)
            over = step != last or status != "open"
            left = at + timedelta(seconds=seconds) if over else None
            yield tenant, new_id(), id, before, step, "open", at, left, seconds if over else None, 50
            before, at = step, left or at
        if status != "open":
            yield tenant, new_id(), id, before, stage, status, at, None, None, 100


async def _fold(kernel: Kernel, tenant: tuple[Founded, list[UUID], list[UUID]]) -> float:
    started = time.perf_counter()
    async with transaction(kernel, system_actor(tenant[0].profile)) as uow:
        await KeptSums(uow).fold()
    return round(time.perf_counter() - started, 1)


class _Timed(UnitOfWork):
    """Adds up the time of its statements."""

    spent = 0.0

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        started = time.perf_counter()
        try:
            return await super().fetch(sql, *arguments)
        finally:
            self.spent += time.perf_counter() - started

    async def fetchrow(self, sql: str, *arguments: Any) -> asyncpg.Record | None:
        started = time.perf_counter()
        try:
            return await super().fetchrow(sql, *arguments)
        finally:
            self.spent += time.perf_counter() - started


async def _time(kernel: Kernel, actor: Actor, ask: Ask) -> list[float]:
    """Milliseconds in the database of one answer: the median, and the least, which other work here blurs less."""
    found = []
    for number in range(ROUNDS + 3):
        async with transaction(kernel, actor) as plain:
            uow = _Timed(kernel, plain.connection, actor)
            await ask(uow)
        if number >= 3:
            found.append(uow.spent * 1_000)
    return [round(statistics.median(found), 1), round(min(found), 1)]


def _print(results: dict[str, Any], console: Console) -> None:
    columns = ("all", "unfolded", "team", "own", "small before", "small beside")
    table = Table(
        title=f"SQL ms per answer, median (least), {results['size']:,} opportunities; bar {BAR_MS:.0f} ms",
        expand=True,
    )
    for name in ("question", *columns):
        table.add_column(name, justify="left" if name == "question" else "right")
    for question, figures in results["ms"].items():
        table.add_row(question, *("{:.1f} ({:.1f})".format(*figures[name]) for name in columns))
    console.print(table)
    console.print(
        f"seeded in {results['seed_seconds']} s (triggers included), folded in {results['fold_seconds']} s"
    )
