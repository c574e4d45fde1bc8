"""What hangs on cases: comments, files, splitting, and how the company wants cases to end."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from app.kernel.errors import DuplicateValue, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import detail_response, tag
from app.kernel.routing import IfMatch, KernelDep, Router, Uow
from app.kernel.schemas import Page
from app.kernel.uploads import download
from app.modules.after_sales.interface import ReopenWindowOver
from app.modules.after_sales.models.case_work import CaseAttachment
from app.modules.after_sales.schemas.case_work import (
    CaseAttachmentInput,
    CaseAttachmentRead,
    CaseAttachments,
    CaseSettingsRead,
    CaseSettingsWrite,
    CaseSplit,
    CommentCreate,
    CommentRead,
)
from app.modules.after_sales.schemas.cases import CaseDetail
from app.modules.after_sales.services.cases.attachments import CaseFiles
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.comments import CaseComments
from app.modules.after_sales.services.cases.merging import split
from app.modules.after_sales.services.cases.settings import CaseSettingsService
from app.modules.after_sales.services.cases.states import CaseAlreadyOpen, CaseEnded

router = Router(tags=["cases"])
READ, UPDATE, CONFIGURE = "case:read", "case:update", "case:configure"
OF = "/v1/cases/{id}"
AttachmentId = Annotated[UUID, Path(description="The `id` of the attachment.")]
Public = Annotated[bool | None, Query(description="Only what the customer sees, or only what they do not.")]


@router.get(f"{OF}/comments", access=READ)
async def list_case_comments(
    id: UUID, uow: Uow, public: Public = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[CommentRead]:
    """What was said about a case, oldest first."""
    return await CaseComments(uow).list(id, public=public, limit=limit, cursor=cursor)


@router.post(
    f"{OF}/comments",
    access=UPDATE,
    status_code=201,
    responses=problems(ReopenWindowOver, CaseAlreadyOpen),
)
async def comment_on_case(id: UUID, body: CommentCreate, uow: Uow) -> CommentRead:
    """Say something. A public word of ours answers the customer; a word of theirs asks again, or opens it again."""
    return await CaseComments(uow).add(id, body)


@router.post(
    f"{OF}/split",
    access=UPDATE,
    status_code=201,
    response_model=CaseDetail,
    responses=problems(CaseEnded, StaleVersion, VersionRequired),
)
async def split_case(id: UUID, body: CaseSplit, version: IfMatch, uow: Uow) -> Response:
    """Make a part of a case a case of its own; the named comments go along."""
    row = await split(uow, id, body, expected_version=version)
    return await detail_response(CaseService(uow), row, 201)


@router.get(f"{OF}/attachments", access=READ)
async def list_case_attachments(id: UUID, uow: Uow) -> CaseAttachments:
    """The files of a case."""
    return CaseAttachments(data=[_read(row) for row in await CaseFiles(uow).list(id)])


@router.post(f"{OF}/attachments", access=UPDATE, status_code=201, responses=problems(DuplicateValue))
async def attach_file_to_case(id: UUID, body: CaseAttachmentInput, uow: Uow) -> CaseAttachmentRead:
    """Put an uploaded file on a case; whoever may read the case may open it."""
    return _read(await CaseFiles(uow).add(id, body))


@router.delete(f"{OF}/attachments/{{attachment_id}}", access=UPDATE, status_code=204)
async def detach_file_from_case(id: UUID, attachment_id: AttachmentId, uow: Uow) -> None:
    """Take a file off a case; the file itself stays."""
    await CaseFiles(uow).remove(id, attachment_id)


@router.get(
    f"{OF}/attachments/{{attachment_id}}/content",
    access=READ,
    response_class=Response,
    responses={200: {"description": "The file.", "content": {"application/octet-stream": {}}}},
)
async def get_case_attachment_content(
    id: UUID, attachment_id: AttachmentId, uow: Uow, kernel: KernelDep
) -> Response:
    """The content of a file on a case, always as something to save."""
    return await download(kernel, await CaseFiles(uow).file(id, attachment_id))


@router.get("/v1/case-settings", access=READ)
async def get_case_settings(uow: Uow, response: Response) -> CaseSettingsRead:
    """For how long cases can be opened again, and when they close by themselves."""
    found = await CaseSettingsService(uow).get()
    tag(response, found)
    return found


@router.put("/v1/case-settings", access=CONFIGURE, responses=problems(StaleVersion, VersionRequired))
async def set_case_settings(
    body: CaseSettingsWrite, version: IfMatch, uow: Uow, response: Response
) -> CaseSettingsRead:
    """Say how cases end. The version is 0 before this is said first."""
    changed = await CaseSettingsService(uow).set(body, expected_version=version)
    tag(response, changed)
    return changed


def _read(row: CaseAttachment) -> CaseAttachmentRead:
    names = CaseAttachmentRead.model_fields
    return CaseAttachmentRead.model_validate({name: row.__dict__[name] for name in names})
