"""What members see of background work."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from app.kernel.errors import NotFound
from app.kernel.schemas import Output
from app.kernel.uow import UnitOfWork

COLUMNS = (
    "id, name, state, attempts, progress, result, last_error, cancel_requested, actor_kind, actor_id, created_at,"
    " run_at, started_at, finished_at"
)

JobState = Literal["queued", "running", "completed", "failed", "cancelled"]


class JobRead(Output):
    """One piece of background work."""

    id: UUID
    name: str
    state: JobState
    attempts: int
    progress: dict[str, Any]
    result: dict[str, Any] | None
    last_error: str | None
    cancel_requested: bool
    actor_kind: str
    actor_id: UUID
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def answer(row: Any) -> JobRead:
    """A job's row as its answer."""
    return JobRead(**dict(row.items()))


async def read_job(uow: UnitOfWork, id: UUID) -> Any:
    """A job that the actor started, or may see by `job:read`. Raises `NotFound`."""
    row = await uow.fetchrow(
        f"SELECT {COLUMNS} FROM kernel.jobs WHERE tenant_id = $1 AND id = $2", uow.tenant_id, id
    )
    if row is None or (row["actor_id"] != uow.actor.id and not uow.actor.may("job:read")):
        raise NotFound
    return row
