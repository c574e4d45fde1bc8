"""The chunk that is made ready while another is written: never more than one, and dropped whole when the import stops."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.kernel.clock import FixedClock
from app.kernel.imports import run
from app.kernel.imports.rules import ImportRow
from app.kernel.jobs import JobContext, JobRunner
from tests.support.bulk import Bench, bench

CHUNK = 20
MAPPING: dict[str, str | None] = {"Id": "external_id", "Name": "name"}


def _file(rows: int) -> bytes:
    return "\n".join(["Id,Name", *[f"t{number},Robot {number}" for number in range(rows)]]).encode()


@pytest.fixture
async def toys(own_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(run, "CHUNK", CHUNK)
    async with bench(own_database, tmp_path) as made:
        yield made


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each chunk had that was made ready."""
    sizes: list[int] = []
    real = run._next

    def counted(*arguments: Any) -> run.Chunk:
        found = real(*arguments)
        sizes.append(len(found.rows))
        return found

    monkeypatch.setattr(run, "_next", counted)
    return sizes


async def _job(toys: Bench, sql: str) -> Any:
    async with toys.kernel.database.control() as connection:
        return await connection.fetchval(sql, toys.actor.tenant.id)


async def test_a_chunk_made_ready_is_dropped_when_the_import_is_cancelled(
    toys: Bench, prepared: list[int], monkeypatch: pytest.MonkeyPatch
):
    real = run.write_chunk

    async def write_and_cancel(context: JobContext, *arguments: Any) -> None:
        await real(context, *arguments)
        await _job(toys, "UPDATE kernel.jobs SET cancel_requested = true WHERE tenant_id = $1")

    monkeypatch.setattr(run, "write_chunk", write_and_cancel)
    done = await toys.run(_file(100), MAPPING)
    assert (done.state, done.position, done.created) == ("cancelled", CHUNK, CHUNK)
    assert prepared == [CHUNK, CHUNK]
    ids = await toys.fetch("SELECT external_id FROM toys.toys ORDER BY id")
    assert [row["external_id"] for row in ids] == [f"t{number}" for number in range(CHUNK)]
    assert await toys.value("SELECT count(*) FROM kernel.import_chunks") == 1
    assert await _job(toys, "SELECT state FROM kernel.jobs WHERE tenant_id = $1") == "cancelled"


async def test_a_chunk_made_ready_is_made_ready_again_after_a_failure(
    toys: Bench, prepared: list[int], monkeypatch: pytest.MonkeyPatch
):
    real = run.write_chunk

    async def write_until_it_breaks(context: JobContext, running: Any, chunk: run.Chunk) -> None:
        if chunk.rows[0].number == CHUNK:
            raise asyncpg.ConnectionDoesNotExistError("gone")
        await real(context, running, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_chunk", write_until_it_breaks)
        stopped = await toys.run(_file(100), MAPPING)
    assert (stopped.state, stopped.position, stopped.created) == ("in_progress", CHUNK, CHUNK)
    assert prepared == [CHUNK, CHUNK, CHUNK]
    assert await toys.value("SELECT count(*) FROM toys.toys") == CHUNK

    await _job(toys, "UPDATE kernel.jobs SET run_at = created_at WHERE tenant_id = $1")
    await JobRunner(toys.kernel).run_due()
    done = await toys.read(stopped.id)
    assert (done.state, done.position, done.created, done.failed) == ("completed", 100, 100, 0)
    assert await toys.value("SELECT count(DISTINCT external_id) FROM toys.toys") == 100


def _rows_in_hand() -> set[int]:
    return {id(found) for found in gc.get_objects() if type(found) is ImportRow}


async def test_the_rows_in_hand_are_two_chunks_however_long_the_file_is(
    toys: Bench, monkeypatch: pytest.MonkeyPatch
):
    gc.collect()
    from_elsewhere = _rows_in_hand()
    in_hand: list[int] = []
    real = run.write_chunk

    async def write_and_count(*arguments: Any) -> None:
        await real(*arguments)
        in_hand.append(len(_rows_in_hand() - from_elsewhere))

    monkeypatch.setattr(run, "write_chunk", write_and_count)
    done = await toys.run(_file(20 * CHUNK), MAPPING)
    assert (done.state, done.created, len(in_hand)) == ("completed", 20 * CHUNK, 20)
    assert max(in_hand) <= 2 * CHUNK


@pytest.mark.parametrize("mode", ["update", "upsert"])
async def test_what_a_file_changes_is_of_the_moment_of_the_change_however_long_it_lay_ready(
    toys: Bench, monkeypatch: pytest.MonkeyPatch, mode: str
):
    clock = toys.kernel.clock = FixedClock(datetime.now(UTC))
    await toys.run(_file(2), MAPPING)
    real = run.write_chunk

    async def write_later(*arguments: Any) -> None:
        clock.advance(minutes=1)  # in which others may have changed the same records
        await real(*arguments)

    monkeypatch.setattr(run, "write_chunk", write_later)
    done = await toys.run(b"Id,Name\nt1,Renamed", MAPPING, mode=mode, key="external_id")
    assert (done.state, done.updated) == ("completed", 1)
    sql = "SELECT updated_at FROM toys.toys WHERE external_id = 't1'"
    assert await toys.value(sql) == clock.now()
    sql = "SELECT max(at) FROM kernel.audit_entries WHERE action = 'updated'"
    assert await toys.value(sql) == clock.now()
