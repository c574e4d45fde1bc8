"""Jobs as others see them: asking one to stop, and whether it is over."""

from __future__ import annotations

from uuid import UUID

from app.kernel import uow as units


async def request_cancel(uow: units.UnitOfWork, job_id: UUID) -> bool:
    """Ask a job to stop: a waiting one is cancelled at once, a running one when it next looks."""
    status = await uow.connection.execute(
        "UPDATE kernel.jobs SET cancel_requested = true,"
        " state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,"
        " finished_at = CASE WHEN state = 'queued' THEN $3::timestamptz ELSE finished_at END,"
        " payload = CASE WHEN state = 'queued' AND name = ANY($4::text[]) THEN '{}' ELSE payload END"
        " WHERE tenant_id = $1 AND id = $2 AND state IN ('queued', 'running')",
        uow.tenant_id,
        job_id,
        uow.now,
        [name for name, kind in uow.kernel.registry.jobs.items() if kind.wipe],
    )
    return status.endswith(" 1")


def is_settled(state: str) -> bool:
    """Whether a job in this state will not change by itself any more."""
    return state in ("completed", "failed", "cancelled")
