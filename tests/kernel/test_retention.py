"""What is over is forgotten in time, and nothing sooner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.kernel import retention
from app.kernel.clock import FixedClock
from app.kernel.files import FileNotFound, file_key
from app.kernel.ids import new_id
from app.kernel.imports.models import StoredUpload
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import transaction
from tests.support.bulk import Bench, bench

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
async def made(own_database: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(own_database, tmp_path, clock=FixedClock(NOW)) as found:
        yield found


async def test_jobs_are_forgotten_thirty_days_after_they_ended(made: Bench):
    for name, state, ended in (
        ("old", "completed", NOW - timedelta(days=31)),
        ("old failure", "failed", NOW - timedelta(days=31)),
        ("recent", "completed", NOW - timedelta(days=29)),
        ("waiting", "queued", None),
    ):
        await made.fetch(
            "INSERT INTO kernel.jobs (tenant_id, id, name, payload, state, run_at, actor_kind, actor_id, created_at,"
            " finished_at) VALUES ($1, $2, $3, '{}', $4, $5, 'system', $2, $5, $6)",
            made.actor.tenant.id, new_id(), name, state, NOW - timedelta(days=40), ended,
        )  # fmt: skip
    await retention.forget_jobs(ScheduledRun(made.kernel))
    assert [row["name"] for row in await made.fetch("SELECT name FROM kernel.jobs ORDER BY name")] == [
        "recent",
        "waiting",
    ]


async def test_answers_of_repeated_requests_are_forgotten_after_a_day(made: Bench):
    for key, at in (("old", NOW - timedelta(hours=24)), ("fresh", NOW - timedelta(hours=23))):
        await made.fetch(
            "INSERT INTO kernel.idempotency_keys (tenant_id, principal_id, method, path, key, request_hash, status,"
            " headers, body, created_at) VALUES ($1, $1, 'POST', '/v1/toys', $2, '', 201, '{}', '', $3)",
            made.actor.tenant.id, key, at,
        )  # fmt: skip
    await retention.forget_answers(ScheduledRun(made.kernel))
    assert [row["key"] for row in await made.fetch("SELECT key FROM kernel.idempotency_keys")] == ["fresh"]


async def test_export_files_go_after_thirty_days_and_uploads_stay(
    made: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "FILES_STEP", 1)

    async def content() -> AsyncIterator[bytes]:
        yield b"name\n"

    keys = {}
    for name, folder, days in (
        ("old", "exports", 31),
        ("older", "exports", 32),
        ("recent", "exports", 29),
        ("upload", "files", 31),
    ):
        id = new_id()
        keys[name] = file_key(made.actor.tenant.id, folder, str(id))
        await made.kernel.files.put_stream(keys[name], content(), max_size=100)
        async with transaction(made.kernel, made.actor) as uow:
            await uow.insert(
                StoredUpload, id=id, name=name, media_type="text/csv", size=5, sha256="", key=keys[name], created_by=None
            )  # fmt: skip
        await made.fetch(
            "UPDATE kernel.files SET created_at = $1 WHERE name = $2", NOW - timedelta(days=days), name
        )
    await retention.forget_exports(ScheduledRun(made.kernel, made.actor.tenant))
    assert {row["name"] for row in await made.fetch("SELECT name FROM kernel.files")} == {"recent", "upload"}
    for name in ("old", "older"):
        with pytest.raises(FileNotFound):
            await made.kernel.files.head(keys[name])
    assert (await made.kernel.files.head(keys["recent"])).size == 5
