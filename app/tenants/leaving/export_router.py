"""`/v1/tenant/export`: all of a company's data, also while it is suspended and after it has cancelled."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
from fastapi import Response
from fastapi.responses import StreamingResponse

from app.kernel.errors import NotFound, problems
from app.kernel.files import FileNotFound
from app.kernel.job_router import RETRY_AFTER
from app.kernel.jobs import is_settled
from app.kernel.routing import Router, Uow
from app.kernel.uploads import attachment
from app.tenants.leaving.export import PERMISSION, NoExportYet, begin, latest, ready
from app.tenants.leaving.schemas import TenantExport

router = Router(prefix="/v1/tenant/export", tags=["tenant"])
CONTENT: Final = "/v1/tenant/export/content"
_ARCHIVE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The archive.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", access=PERMISSION, while_cancelled=True, status_code=202, response_model=TenantExport)
async def begin_tenant_export(uow: Uow, response: Response) -> TenantExport:
    """Begin an export of everything: a line of JSON for each row of each table, the files, and a manifest.

    While one is under way it is that one that is answered. Credentials and their hashes are left out.
    """
    found = await begin(uow)
    response.headers["Location"] = "/v1/tenant/export"
    return _answer(found, response)


@router.get("", access=PERMISSION, while_cancelled=True, response_model=TenantExport)
async def get_tenant_export(uow: Uow, response: Response) -> TenantExport:
    """The export begun last, and how far it is; 404 before the first. `POST` begins one."""
    found = await latest(uow)
    if found is None:
        raise NotFound("No export has been begun.")
    return _answer(found, response)


@router.get(
    "/content",
    access=PERMISSION,
    while_cancelled=True,
    response_class=Response,
    responses=_ARCHIVE | problems(NoExportYet),
)
async def get_tenant_export_content(uow: Uow) -> Response:
    """The archive of the last export that was completed, kept for 30 days or until the next."""
    found = await ready(uow)
    try:
        body = await uow.kernel.files.get_stream(found["key"])
    except FileNotFound:
        raise NoExportYet("The archive is gone; begin another export.") from None
    name = f"{uow.actor.tenant.slug}-{found['finished_at']:%Y-%m-%d}.zip"
    headers = attachment(name) | {"Content-Length": str(found["size"]), "ETag": f'"{found["sha256"]}"'}
    return StreamingResponse(body, media_type="application/zip", headers=headers)


def _answer(row: asyncpg.Record, response: Response) -> TenantExport:
    if not is_settled(row["state"]):
        response.headers["Retry-After"] = RETRY_AFTER
    result, progress = row["result"] or {}, row["progress"]
    return TenantExport(
        id=row["id"],
        state=row["state"],
        rows=result.get("rows", progress.get("done", 0)),
        files=result.get("files", progress.get("files", 0)),
        tables=result.get("tables"),
        size=result.get("size"),
        sha256=result.get("sha256"),
        content=CONTENT if row["state"] == "completed" else None,
        last_error=row["last_error"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
