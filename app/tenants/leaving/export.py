"""The export of a whole tenant as background work: begun, looked at, downloaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from pydantic import BaseModel

from app.kernel.errors import Conflict, NotFound
from app.kernel.files import FileInfo, file_key
from app.kernel.jobs import JobContext
from app.kernel.locks import lock_name
from app.kernel.registry import JobKind, Schedule
from app.kernel.runtime import Kernel
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork
from app.tenants.leaving.archive import Archive

JOB: Final = "tenants.export"
PERMISSION: Final = "tenant:export"
FOLDER: Final = "tenant-exports"
MAX_BYTES: Final = 1 << 42
KEEP: Final = timedelta(days=30)
_COLUMNS: Final = "id, state, progress, result, last_error, created_at, finished_at"


class NoExportYet(Conflict):
    """No export of the company is ready to be downloaded."""

    code = "no_export_yet"
    title = "No export is ready yet"


class NoPayload(BaseModel):
    """The job needs no more than its tenant."""


async def latest(uow: UnitOfWork, *, completed: bool = False) -> asyncpg.Record | None:
    """The export begun last, or with `completed` the last one that came to its end."""
    return await uow.fetchrow(
        f"SELECT {_COLUMNS} FROM kernel.jobs WHERE tenant_id = $1 AND name = $2"
        " AND (NOT $3 OR state = 'completed') ORDER BY created_at DESC, id DESC LIMIT 1",
        uow.tenant_id,
        JOB,
        completed,
    )


async def begin(uow: UnitOfWork) -> asyncpg.Record:
    """Begin an export, or join the one that has not come to its end."""
    await lock_name(uow, JOB)
    found = await latest(uow)
    if found is None or found["state"] not in ("queued", "running"):
        uow.enqueue(JOB, {})
        uow.record_audit("tenant", uow.tenant_id, "export_begun")
        await uow.flush()
        found = await latest(uow)
    if found is None:
        raise NotFound
    return found


async def ready(uow: UnitOfWork) -> dict[str, Any]:
    """Where the last complete export lies; that somebody takes it is audited. Raises: NoExportYet."""
    found = await latest(uow, completed=True)
    if found is None:
        raise NoExportYet
    await uow.begin_writing()
    uow.record_audit("tenant", uow.tenant_id, "export_downloaded", reason=str(found["id"]))
    return dict(found["result"]) | {"finished_at": found["finished_at"]}


async def run_export(context: JobContext, payload: NoPayload) -> dict[str, Any]:  # noqa: ARG001
    """Write the archive to the file store; a job that is started again writes it anew."""
    context.actor.require(PERMISSION)
    tenant = context.actor.tenant
    key = file_key(tenant.id, FOLDER, f"{context.id}.zip")

    async def told(rows: int, files: int) -> None:
        await context.progress(rows, files=files)
        await context.go_on()

    archive = Archive(context.kernel, tenant.id, told)
    stored = await context.kernel.files.put_stream(key, archive.pieces(), max_size=MAX_BYTES)
    async with context.transaction() as uow:
        uow.record_audit("tenant", tenant.id, "exported", {"sha256": [None, stored.sha256]})
    async for other in _archives(context.kernel, tenant.id):
        if other.key < key:
            await context.kernel.files.delete(other.key)  # the newest holds what the others held
    return {
        "key": key,
        "size": stored.size,
        "sha256": stored.sha256,
        "tables": len(archive.tables),
        "rows": archive.rows,
        "files": archive.files,
    }


async def _archives(kernel: Kernel, tenant_id: UUID) -> AsyncIterator[FileInfo]:
    folder = file_key(tenant_id, FOLDER, "x").removesuffix("x")
    async for found in kernel.files.of_tenant(tenant_id):
        if found.key.startswith(folder):
            yield found


async def forget_archives(run: ScheduledRun) -> None:
    """Delete a tenant's archives after `KEEP`; the job that wrote them is forgotten as all jobs are."""
    kernel, tenant_id = run.kernel, run.actor.tenant.id
    before = kernel.clock.now() - KEEP
    async for found in _archives(kernel, tenant_id):
        if found.modified_at < before:
            await kernel.files.delete(found.key)


EXPORT = JobKind(JOB, NoPayload, run_export, while_closed=True)
SCHEDULE = Schedule("tenants.forget_archives", timedelta(days=1), forget_archives, per_tenant=True)
