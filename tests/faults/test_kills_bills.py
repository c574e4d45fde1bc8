"""SIGKILL of the billing run, again and again: every period has one bill, numbers have no gaps, the ledger adds up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from app.kernel.config import Settings
from app.kernel.startup import open_kernel
from app.product import build_registry
from app.tenants.billing.reconciling import reconcile
from app.tenants.billing.run import bill_all
from app.tenants.directory import list_tenants
from tests.support.postgres import ROOT

TENANTS, MONTHS = 20, 4
_COMPANIES = """
WITH made AS (
  INSERT INTO tenants.tenants (tenant_id, id, name, slug, status, locale, time_zone, currency, country,
    fiscal_year_start_month, business_calendar, version, created_at, updated_at)
  SELECT g.id, g.id, 'Company ' || g.n, 'company-' || g.n, 'active', 'en', 'UTC', 'USD', 'US', 1, '{}', 1, g.at, g.at
  FROM (SELECT gen_random_uuid() AS id, n, date_trunc('hour', now()) - $2 * interval '1 month' - interval '3 days' AS at
    FROM generate_series(1, $1) n) g
  RETURNING id, created_at
)
INSERT INTO tenants.seat_changes (tenant_id, id, at, member_id, change)
SELECT id, gen_random_uuid(), created_at + n * interval '9 days', gen_random_uuid(), 1
FROM made, generate_series(0, 5) n"""


@pytest.mark.faults
@pytest.mark.slow
async def test_a_killed_billing_run_makes_each_bill_once(own_database: str, folder: Path) -> None:
    connection = await asyncpg.connect(own_database)
    try:
        await connection.execute(_COMPANIES.replace("$1", str(TENANTS)).replace("$2", str(MONTHS)))
        for wanted in (5, 35, 65):
            run = started(own_database, folder)
            await until_made(connection, wanted, run)
            run.kill()
            run.wait()
            # As when ten minutes have passed: what the killed run had claimed is anybody's again.
            await connection.execute("UPDATE tenants.billing_accounts SET claimed_until = NULL")
        made = await connection.fetchval("SELECT count(*) FROM tenants.bills")
        assert 65 <= made < TENANTS * (MONTHS + 1)
        await finished(own_database, folder)
        await billed_once(connection)
    finally:
        await connection.close()


def started(url: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "DATABASE_URL": url,
        "RAPPORT_ENVIRONMENT": "test",
        "RAPPORT_DATA_DIR": str(folder / "files"),
        "RAPPORT_TRIAL_DAYS": "0",
    }
    with (folder / "run.log").open("ab") as log:
        command = [sys.executable, "-m", "app.cli", "billing", "run"]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


async def until_made(connection: asyncpg.Connection, wanted: int, run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while await connection.fetchval("SELECT count(*) FROM tenants.bills") < wanted:
        assert run.poll() is None, "the run ended by itself"
        assert time.monotonic() < deadline, "the run makes no bills"
        await asyncio.sleep(0.002)


async def finished(url: str, folder: Path) -> None:
    """The run that nobody kills; then every bill is computed again."""
    settings = Settings(environment="test", database_url=url, data_dir=folder / "files", trial_days=0)
    async with open_kernel(settings, build_registry()) as kernel:
        await bill_all(kernel)
        for tenant in await list_tenants(kernel):
            assert await reconcile(kernel, tenant) == []


async def billed_once(connection: asyncpg.Connection) -> None:
    per_company = await connection.fetch(
        "SELECT count(*) AS bills, count(DISTINCT period_start) AS starts, count(DISTINCT period_end) AS ends"
        " FROM tenants.bills WHERE status <> 'draft' GROUP BY tenant_id"
    )
    assert [(row["bills"], row["ends"]) for row in per_company] == [(MONTHS + 1, MONTHS + 1)] * TENANTS
    numbers = await connection.fetch(
        "SELECT split_part(number, '-', 2) AS year, array_agg(split_part(number, '-', 3)::int ORDER BY number) AS numbers"
        " FROM tenants.bills GROUP BY 1"
    )
    assert all(row["numbers"] == list(range(1, len(row["numbers"]) + 1)) for row in numbers)
    assert await connection.fetchval("SELECT sum(amount) FROM tenants.billing_entries") == 0
    issued = await connection.fetchval(
        "SELECT count(*) FROM kernel.outbox WHERE type = 'tenants.bill.issued.v1'"
    )
    assert issued == TENANTS * (MONTHS + 1)
