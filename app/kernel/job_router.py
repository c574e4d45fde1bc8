"""HTTP for jobs: what runs in the background, how far it is, and how to stop it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import Response

from app.kernel.errors import InvalidTransition, NotFound
from app.kernel.jobs import is_settled, request_cancel
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST_BY_TIME, fetch_page
from app.kernel.paging import Cursor, Limit
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Output, Page
from app.kernel.uow import UnitOfWork

RETRY_AFTER = "2"
_COLUMNS = (
    "id, name, state, attempts, progress, result, last_error, cancel_requested, actor_kind, actor_id, created_at,"
    " run_at, started_at, finished_at"
)

router = Router(prefix="/v1/jobs", tags=["jobs"])

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
        f"SELECT {_COLUMNS} FROM kernel.jobs WHERE tenant_id = $1 AND id = $2", uow.tenant_id, id
    )
    if row is None or (row["actor_id"] != uow.actor.id and not uow.actor.may("job:read")):
        raise NotFound
    return row


@router.get("", access="signed_in", while_cancelled=True, response_model=Page[JobRead])
async def list_jobs(
    uow: Uow, state: JobState | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[JobRead]:
    """Jobs, newest first: your own, or all with `job:read`."""
    found = await fetch_page(
        uow,
        f"SELECT {_COLUMNS} FROM kernel.jobs WHERE tenant_id = $1"
        " AND ($2::uuid IS NULL OR actor_id = $2) AND ($3::text IS NULL OR state = $3)",
        Bindings(uow.tenant_id, None if uow.actor.may("job:read") else uow.actor.id, state),
        NEWEST_BY_TIME,
        name=f"jobs:{state}",
        limit=limit,
        cursor=cursor,
    )
    return found.page(answer)


@router.get("/{id}", access="signed_in", while_cancelled=True, response_model=JobRead)
async def get_job(id: UUID, uow: Uow, response: Response) -> JobRead:
    """One job; `Retry-After` says when to look again while it is not settled."""
    row = await read_job(uow, id)
    if not is_settled(row["state"]):
        response.headers["Retry-After"] = RETRY_AFTER
    return answer(row)


@router.post("/{id}/cancel", access="signed_in", status_code=202, response_model=JobRead)
async def cancel_job(id: UUID, uow: Uow, response: Response) -> JobRead:
    """Stop a job: a waiting one at once, a running one at the next place where it may stop."""
    row = await read_job(uow, id)
    if row["actor_id"] != uow.actor.id:
        uow.actor.require("job:cancel")
    if is_settled(row["state"]):
        raise InvalidTransition("The job has ended.", state=row["state"])
    await request_cancel(uow, id)
    response.headers["Retry-After"] = RETRY_AFTER
    return answer(await read_job(uow, id))
