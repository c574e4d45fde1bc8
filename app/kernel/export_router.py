"""HTTP for exports: in the background, or as a stream."""

from __future__ import annotations

from fastapi import Request, Response

from app.kernel.exports import ExportRequest, ExportStreamRequest, enqueue_export, prepare
from app.kernel.job_reads import JobRead, answer, read_job
from app.kernel.job_router import RETRY_AFTER
from app.kernel.routing import CurrentActor, KernelDep, Router, Uow, current_uow
from app.kernel.uow import transaction
from app.kernel.uploads import Streamed, attachment

router = Router(prefix="/v1/exports", tags=["exports"])


@router.post("", access="signed_in", status_code=202, response_model=JobRead, while_cancelled=True)
async def create_export(body: ExportRequest, request: Request, uow: Uow, response: Response) -> JobRead:
    """Export in the background; the job's result names the file."""
    await prepare(uow, body)
    id = enqueue_export(uow, body)
    await current_uow(request).flush()
    response.headers["Location"] = f"/v1/jobs/{id}"
    response.headers["Retry-After"] = RETRY_AFTER
    return answer(await read_job(uow, id))


@router.post(
    "/stream",
    access="signed_in",
    while_cancelled=True,
    own_transaction=True,
    response_class=Response,
    responses={
        200: {
            "description": "The file.",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/x-ndjson": {},
            },
        }
    },
)
async def stream_export(body: ExportStreamRequest, kernel: KernelDep, actor: CurrentActor) -> Response:
    """Export at once, as a stream."""
    async with transaction(kernel, actor, read_only=True) as uow:
        export = await prepare(uow, body)
    return Streamed(export.pieces(), media_type=export.media_type, headers=attachment(export.file_name))
