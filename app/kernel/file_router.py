"""HTTP for files: upload, look up, download."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response

from app.kernel.record_router import json_response
from app.kernel.records import to_json
from app.kernel.routing import CurrentActor, KernelDep, Router, Uow
from app.kernel.schemas import Output
from app.kernel.uow import transaction
from app.kernel.uploads import download, receive, record_upload, visible_file

router = Router(prefix="/v1/files", tags=["files"])
_BINARY = {"schema": {"type": "string", "format": "binary"}}
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/octet-stream": _BINARY,
        },
    }
}
Filename = Annotated[str | None, Query(max_length=200, description="Name of a raw body.")]


class FileRead(Output):
    """A stored file."""

    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: datetime
    created_by: UUID | None


def _file(row: Any) -> FileRead:
    return FileRead(**{name: row.__dict__[name] for name in FileRead.model_fields})


@router.post(
    "",
    access="signed_in",
    status_code=201,
    own_transaction=True,
    raw_body=True,
    response_model=FileRead,
    openapi_extra=UPLOAD_BODY,
)
async def create_file(
    request: Request,
    kernel: KernelDep,
    actor: CurrentActor,
    filename: Filename = None,  # noqa: ARG001 - read by `receive`
) -> Response:
    """Upload a file: as `file` in a form, or as the raw body with `?filename=`."""
    received = await receive(request, kernel, actor)
    try:
        async with transaction(kernel, actor, request_id=request.scope["rapport.request_id"]) as uow:
            made = await record_upload(uow, received)
    except BaseException:
        await received.discard(kernel)
        raise
    return json_response(to_json(_file(made).model_dump()), 201, {"Location": f"/v1/files/{made.id}"})


@router.get("/{id}", access="signed_in", while_cancelled=True, response_model=FileRead)
async def get_file(id: UUID, uow: Uow) -> FileRead:
    """A file's name, size and hash."""
    return _file(await visible_file(uow, id))


@router.get(
    "/{id}/content",
    access="signed_in",
    while_cancelled=True,
    response_class=Response,
    responses={200: {"description": "The bytes.", "content": {"application/octet-stream": _BINARY}}},
)
async def get_file_content(id: UUID, uow: Uow, kernel: KernelDep) -> Response:
    """A file's content, always as something to save."""
    return await download(kernel, await visible_file(uow, id))
