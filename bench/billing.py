"""The billing run: how long it takes and how much memory, as companies and their usage grow together."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import asyncpg
import orjson
from rich.console import Console
from rich.table import Table

from bench.house import API_CORE, ROOT, House, database_cpu, pin, report

EVENTS_EACH = 1_000
BILLS_EACH = 2  # the first month in advance, and the month that is over
Json = dict[str, Any]

_COMPANIES = """
INSERT INTO tenants.tenants (tenant_id, id, name, slug, status, locale, time_zone, currency, country,
  fiscal_year_start_month, business_calendar, version, created_at, updated_at)
SELECT g.id, g.id, 'Bench', 'bench-' || g.id, 'active', 'en', 'UTC', 'USD', 'US', 1, '{}', 1, g.at, g.at
FROM (SELECT gen_random_uuid() AS id, date_trunc('hour', now()) - interval '1 month 3 days' AS at
  FROM generate_series(1, $1)) g
RETURNING id"""
_SEATS = """
INSERT INTO tenants.seat_changes (tenant_id, id, at, member_id, change)
SELECT t.id, gen_random_uuid(), t.created_at + n * interval '2 days', gen_random_uuid(), 1
FROM tenants.tenants t, generate_series(0, 9) n WHERE t.id = ANY($1::uuid[])"""
_EVENTS = """
INSERT INTO tenants.usage_events (tenant_id, source, event_id, hash, metric, at, value, subject, received_at)
SELECT t.id, '/bench', n::text, '', CASE n % 2 WHEN 0 THEN 'records.created' ELSE 'leads.captured' END,
  t.created_at + (n * 37 % 40000) * interval '1 minute', n % 90, 'page ' || n % 20, t.created_at + interval '28 days'
FROM tenants.tenants t, generate_series(1, $2) n WHERE t.id = ANY($1::uuid[])"""
_HOURS = """
INSERT INTO tenants.usage_hours (tenant_id, metric, hour, count, sum, max, latest, latest_at, moment)
SELECT tenant_id, metric, date_trunc('hour', at, 'UTC'), count(*), sum(value), max(value),
  (array_agg(value ORDER BY at DESC, value DESC))[1], max(at), sum(value * floor(extract(epoch FROM at)))
FROM tenants.usage_events WHERE tenant_id = ANY($1::uuid[]) GROUP BY 1, 2, 3"""


def run_billing(house: House, events: int, console: Console) -> Json:
    """A quarter, a half and all of `events`, a thousand of them in each company."""
    table = Table(
        "companies", "events", "bills", "CPU s", "of it PostgreSQL", "CPU ms per bill", "seconds", "peak MB",
        title="billing run",
    )  # fmt: skip
    found: list[Json] = []
    for part in (4, 2, 1):
        companies = max(1, events // EVENTS_EACH // part)
        asyncio.run(_seed(house.url, companies))
        seconds, own, peak, postgres = _run(house)
        bills = companies * BILLS_EACH
        if asyncio.run(_count(house.url)) != sum(row["bills"] for row in found) + bills:
            raise RuntimeError("the run did not make every bill")
        row = {
            "companies": companies,
            "events": companies * EVENTS_EACH,
            "bills": bills,
            "seconds": seconds,
            "cpu_seconds": own + postgres,
            "postgres_cpu_seconds": postgres,
            "cpu_ms_per_bill": (own + postgres) * 1e3 / bills,
            "peak_mb": peak,
        }
        found.append(row)
        table.add_row(
            f"{companies:,}", f"{row['events']:,}", f"{bills:,}", f"{own + postgres:.1f}", f"{postgres:.1f}",
            f"{row['cpu_ms_per_bill']:.2f}", f"{seconds:.1f}", f"{peak:.0f}",
        )  # fmt: skip
    console.print(table)
    report("billing", {"sizes": found})
    return {"sizes": found}


def _run(house: House) -> tuple[float, float, float, float]:
    """`rapport billing run` in a process of its own: seconds of billing, its CPU seconds with its start, its peak
    megabytes, and the CPU seconds of PostgreSQL.
    """
    before = database_cpu(house)
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "billing", "run", "--json"],
        env=house.environment(RAPPORT_TRIAL_DAYS="0"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    pin(process.pid, [API_CORE])
    said = process.stdout.read() if process.stdout else b""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError("the billing run failed")
    own = usage.ru_utime + usage.ru_stime
    return float(orjson.loads(said)["seconds"]), own, usage.ru_maxrss / 1024, database_cpu(house) - before


async def _seed(url: str, companies: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        ids = [row["id"] for row in await connection.fetch(_COMPANIES, companies)]
        for start in range(0, len(ids), 100):
            batch = ids[start : start + 100]
            await connection.execute(_SEATS, batch)
            await connection.execute(_EVENTS, batch, EVENTS_EACH)
            await connection.execute(_HOURS, batch)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM tenants.bills"))
    finally:
        await connection.close()
