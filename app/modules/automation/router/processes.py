"""`/v1/approval-processes`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import InvalidCursor, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.modules.automation.models import ApprovalProcess
from app.modules.automation.schemas import (
    ApprovalPreview,
    ApprovalPreviewRequest,
    ApprovalProcessCreate,
    ApprovalProcessRead,
    ApprovalProcessUpdate,
)
from app.modules.automation.services.processes import Processes
from app.modules.automation.services.subjects import preview

router = Router(prefix="/v1/approval-processes", tags=["approvals"])
_CHANGE = problems(StaleVersion, VersionRequired)


@router.get("", access="approval_process:read", responses=problems(InvalidCursor))
async def list_approval_processes(
    uow: Uow,
    object_name: Annotated[
        str | None, Query(alias="object", max_length=60, description="Only of this record type.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ApprovalProcessRead]:
    """The processes by record type, in the order in which they are tried."""
    found = await Processes(uow).page(object_name=object_name, limit=limit, cursor=cursor)
    return found.page(_read)


@router.post("", access="approval_process:manage", status_code=201, feature="approvals")
async def create_approval_process(
    body: ApprovalProcessCreate, uow: Uow, response: Response
) -> ApprovalProcessRead:
    """Say who approves records of a type, and when. It asks from the next request on."""
    made = await Processes(uow).create(body)
    response.headers["Location"] = f"/v1/approval-processes/{made.id}"
    return _read(made, response)


@router.post("/preview", access="signed_in")
async def preview_approval(body: ApprovalPreviewRequest, uow: Uow) -> ApprovalPreview:
    """Show which process would ask about a record if you asked for approval of it, and whom; nothing is written."""
    return await preview(uow, body.object, body.record_id, body.chosen_ids)


@router.get("/{id}", access="approval_process:read")
async def get_approval_process(id: UUID, uow: Uow, response: Response) -> ApprovalProcessRead:
    """One process."""
    return _read(await Processes(uow).get(id), response)


@router.patch("/{id}", access="approval_process:manage", responses=_CHANGE)
async def update_approval_process(
    id: UUID,
    body: ApprovalProcessUpdate,  # type: ignore[valid-type]
    version: IfMatch,
    uow: Uow,
    response: Response,
) -> ApprovalProcessRead:
    """Change a process by merge patch. Requests that are under way keep the steps they began with."""
    return _read(await Processes(uow).update(id, body, expected_version=version), response)


@router.delete("/{id}", access="approval_process:manage", status_code=204, responses=_CHANGE)
async def delete_approval_process(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a process. Requests that are under way go on."""
    await Processes(uow).delete(id, expected_version=version)


def _read(row: ApprovalProcess, response: Response | None = None) -> ApprovalProcessRead:
    if response is not None:
        tag(response, row)
    return ApprovalProcessRead.model_validate(
        {name: getattr(row, name) for name in ApprovalProcessRead.model_fields}
    )
