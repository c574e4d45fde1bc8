"""HTTP for jobs: what runs in the background, how far it is, and how to stop it."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import InvalidTransition
from app.kernel.job_reads import COLUMNS, JobRead, JobState, answer, read_job
from app.kernel.jobs import is_settled, request_cancel
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST_BY_TIME, fetch_page
from app.kernel.paging import Cursor, Limit
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Page

RETRY_AFTER = "2"
router = Router(prefix="/v1/jobs", tags=["jobs"])


@router.get("", access="signed_in", while_cancelled=True, response_model=Page[JobRead])
async def list_jobs(
    uow: Uow, state: JobState | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[JobRead]:
    """Jobs, newest first: your own, or all with `job:read`."""
    found = await fetch_page(
        uow,
        f"SELECT {COLUMNS} FROM kernel.jobs WHERE tenant_id = $1"
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
