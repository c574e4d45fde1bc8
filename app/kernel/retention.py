"""What is over is forgotten: finished jobs, answers kept for repeated requests, and the files of exports.

Events and webhook deliveries have their own term (outbox.py), identities theirs (app/tenants/schedules.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from app.kernel.files import file_key
from app.kernel.imports.models import StoredUpload
from app.kernel.registry import Schedule

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel
    from app.kernel.schedules import ScheduledRun

KEEP_JOBS: Final = timedelta(days=30)
KEEP_ANSWERS: Final = timedelta(hours=24)  # as long as an Idempotency-Key counts (idempotency.py)
KEEP_EXPORTS: Final = timedelta(days=30)
KEEP_NOTIFICATIONS: Final = timedelta(days=90)
STEP: Final = 5_000
FILES_STEP: Final = 200


async def delete_rows(kernel: Kernel, table: str, old: str, before: datetime) -> int:
    """Delete the rows of all tenants that `old`, a condition with `$1` for `before`, is true of; their number.

    In steps of their own transactions, so that nobody waits long for a lock.
    """
    rows = f"SELECT ctid FROM {table} WHERE {old} LIMIT {STEP}"
    statement = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({rows}))"
    count, deleted = 0, STEP
    while deleted == STEP:
        async with kernel.database.control() as connection:
            deleted = int((await connection.execute(statement, before)).rsplit(" ", 1)[-1])
        count += deleted
    return count


async def forget_jobs(run: ScheduledRun) -> None:
    """Drop jobs that ended `KEEP_JOBS` ago."""
    before = run.kernel.clock.now() - KEEP_JOBS
    await delete_rows(
        run.kernel, "kernel.jobs", "finished_at < $1 AND state NOT IN ('queued', 'running')", before
    )


async def forget_answers(run: ScheduledRun) -> None:
    """Drop the answers under idempotency keys that count no longer."""
    before = run.kernel.clock.now() - KEEP_ANSWERS
    await delete_rows(run.kernel, "kernel.idempotency_keys", "created_at <= $1", before)


async def forget_moves(run: ScheduledRun) -> None:
    """Drop which references moved by merges that can be undone no longer."""
    await delete_rows(run.kernel, "kernel.merge_moves", "undo_until < $1", run.kernel.clock.now())


async def forget_exports(run: ScheduledRun) -> None:
    """Delete a tenant's export files after `KEEP_EXPORTS`.

    The bytes go before the row that knows them: whoever is killed in between finds the rest at the next run.
    """
    kernel, before = run.kernel, run.kernel.clock.now() - KEEP_EXPORTS
    folder = file_key(run.actor.tenant.id, "exports", "x").removesuffix("x")
    more = True
    while more:
        async with run.transaction() as uow:
            found = await uow.all(
                uow.select(StoredUpload)
                .where(StoredUpload.key.startswith(folder, autoescape=True), StoredUpload.created_at < before)
                .limit(FILES_STEP)
            )
            more = len(found) == FILES_STEP
            for file in found:
                await kernel.files.delete(file.key)
                await uow.delete(file, audit="file")


async def forget_notifications(run: ScheduledRun) -> None:
    """Delete a tenant's notifications that were read `KEEP_NOTIFICATIONS` ago."""
    before = run.kernel.clock.now() - KEEP_NOTIFICATIONS
    more = True
    while more:
        async with run.transaction() as uow:
            gone = await uow.fetch(
                "DELETE FROM kernel.notifications WHERE tenant_id = $1 AND id IN (SELECT id FROM kernel.notifications"
                f" WHERE tenant_id = $1 AND read_at < $2 LIMIT {STEP}) RETURNING 1",
                uow.tenant_id,
                before,
            )
            more = len(gone) == STEP


SCHEDULES: Final = (
    Schedule("retention.jobs", timedelta(days=1), forget_jobs),
    Schedule("retention.answers", timedelta(hours=1), forget_answers),
    Schedule("retention.merge_moves", timedelta(days=1), forget_moves),
    Schedule("retention.exports", timedelta(days=1), forget_exports, per_tenant=True),
    Schedule("retention.notifications", timedelta(days=1), forget_notifications, per_tenant=True),
)
