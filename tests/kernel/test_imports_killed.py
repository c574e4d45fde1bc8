"""An import whose worker is killed goes on where it was, without a lost or doubled row."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from app.kernel.clock import FixedClock
from app.kernel.jobs import JobRunner
from tests.support.bulk import Bench, bench
from tests.support.postgres import ROOT
from tests.support.waiting import until

ROWS = 24_000
MAPPING: dict[str, str | None] = {"id": "external_id", "name": "name", "pieces": "pieces"}


async def killed_after(made: Bench, data_dir: Path, position: int, import_id) -> int:
    """Start a worker and kill it with SIGKILL once the import is at `position`."""
    actor = made.actor
    worker = subprocess.Popen(  # noqa: ASYNC220 - it starts at once
        [
            sys.executable,
            "-m",
            "tests.support.bulk",
            made.url,
            str(data_dir),
            str(actor.tenant.id),
            str(actor.id),
        ],
        cwd=ROOT,
    )
    try:

        async def reached() -> bool:
            assert worker.poll() is None, "the worker ended by itself"
            return bool((await made.read(import_id)).position >= position)

        await until(reached)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    return (await made.read(import_id)).position


@pytest.mark.faults
async def test_kills_lose_and_double_no_row(own_database: str, tmp_path: Path):
    lines = [f"x{n},{'' if n % 100 == 7 else f'Toy {n}'},{n}" for n in range(ROWS)]
    content = ("id,name,pieces\n" + "\n".join(lines)).encode()
    async with bench(own_database, tmp_path) as made:
        import_id = await made.start(content, MAPPING)
        first = await killed_after(made, tmp_path, 2_000, import_id)
        assert 2_000 <= first < ROWS
        # The dead worker's lease has to run out before anyone may go on.
        assert await JobRunner(made.kernel).run_due() == 0
        made.kernel.clock = FixedClock(made.kernel.clock.now() + timedelta(minutes=2))
        assert await JobRunner(made.kernel).run_due() == 1
        done = await made.read(import_id)
        assert (done.state, done.position) == ("completed_with_errors", ROWS)
        assert (done.created, done.failed) == (ROWS - ROWS // 100, ROWS // 100)
        counts = await made.fetch(
            "SELECT (SELECT count(*) FROM toys.toys), (SELECT count(DISTINCT external_id) FROM toys.toys),"
            " (SELECT count(DISTINCT record_id) FROM kernel.audit_entries WHERE object = 'toy'),"
            " (SELECT count(*) FROM kernel.outbox), (SELECT count(*) FROM kernel.audit_entries WHERE object = 'toy'),"
            " (SELECT sum(rows) FROM kernel.import_chunks),"
            " (SELECT sum(quantity) FROM kernel.usage_records WHERE metric = 'records.created')"
        )
        expected = ROWS - ROWS // 100
        assert list(counts[0]) == [expected] * 5 + [ROWS, expected]
