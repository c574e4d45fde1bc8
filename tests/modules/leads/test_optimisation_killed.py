"""A plan whose worker is killed is solved by the next one, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from app.kernel.clock import FixedClock
from app.kernel.jobs import JobRunner
from app.modules.leads.services.optimisation.solver.search import load_kernels
from tests.modules.leads.optimising import members, sales_of
from tests.support.api import running, sign_up
from tests.support.postgres import ROOT
from tests.support.waiting import until
from tests.tenants.people import Look


def worker(url: str, data_dir: Path) -> subprocess.Popen[bytes]:
    """A worker process of its own."""
    environment = os.environ | {
        "DATABASE_URL": url,
        "RAPPORT_ENVIRONMENT": "test",
        "RAPPORT_DATA_DIR": str(data_dir),
        "RAPPORT_LOG_LEVEL": "ERROR",
        "NUMBA_CACHE_DIR": str(data_dir / "numba"),  # empty: the compiler takes a while
    }
    return subprocess.Popen([sys.executable, "-m", "app.cli", "worker"], cwd=ROOT, env=environment)


@pytest.mark.faults
@pytest.mark.slow
async def test_a_killed_search_is_done_again_and_ends_with_one_result(own_database: str, tmp_path: Path):
    load_kernels()
    connection = await asyncpg.connect(own_database)
    try:
        async with running(own_database, tmp_path) as app:
            look = Look(connection)
            sales = await sales_of(await sign_up(app), look)
            ids = await sales.nobodys("retail", 40)
            plan = await sales.ask(ids=ids, members=members(sales, 25, 25))
            process = worker(own_database, tmp_path)
            try:

                async def begun() -> bool:
                    assert process.poll() is None, "the worker ended by itself"
                    return bool((await sales.read(plan))["state"] != "draft")

                await until(begun)
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
            # The compiler alone takes seconds, so that the plan cannot be done.
            assert (await sales.read(plan))["state"] == "solving"
            assert await sales.items(plan) == []
            kernel = app.kernel
            assert kernel is not None
            await sales.work()
            assert (await sales.read(plan))["state"] == "solving"  # the dead worker's lease has to run out
            kernel.clock = FixedClock(kernel.clock.now() + timedelta(minutes=2))
            await JobRunner(kernel).run_due()
            rows = await look.rows(
                "SELECT state, version, value, (SELECT count(*) FROM leads.optimisation_items) AS items,"
                " (SELECT count(*) FROM kernel.outbox WHERE type = 'leads.lead_optimisation.solved.v1') AS solved,"
                " (SELECT count(*) FROM kernel.outbox WHERE type = 'leads.lead_optimisation.started.v1') AS started,"
                " (SELECT attempts FROM kernel.jobs WHERE name = 'leads.optimise') AS attempts"
                " FROM leads.optimisations"
            )
            assert [tuple(row.values()) for row in rows] == [
                ("solved", 3, 25 * 65_000 + 15 * 35_000, 40, 1, 1, 2)
            ]
    finally:
        await connection.close()
