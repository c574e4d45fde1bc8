"""`/v1/activities` beyond the generated operations, and `/v1/me/tasks`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Path, Response
from starlette.requests import Request

from app.kernel import listing
from app.kernel.access import NOBODY
from app.kernel.errors import (
    DuplicateValue,
    InvalidFilter,
    InvalidTransition,
    StaleVersion,
    problems,
)
from app.kernel.record_reads import list_records
from app.kernel.record_router import json_response, record_response, record_router
from app.kernel.routing import IfMatch, KernelDep, Router, Uow
from app.kernel.schemas import Output, Page
from app.kernel.uploads import download
from app.modules.activities.models import Attachment
from app.modules.activities.schemas import ActivityRead, AttachmentInput, AttachmentRead, Completion
from app.modules.activities.services.activities import ACTIVITY, ActivityService
from app.modules.activities.services.attachments import Attachments

generated = record_router(ACTIVITY)
router = Router(tags=["activities"])


AttachmentId = Annotated[UUID, Path(description="The `id` of the attachment.")]


class AttachmentList(Output):
    """The files of an activity, in the order they were added."""

    data: list[AttachmentRead]


@router.post(
    "/v1/activities/{id}/complete",
    access="activity:update",
    response_model=ActivityRead,
    responses=problems(InvalidTransition, StaleVersion),
)
async def complete_activity(id: UUID, version: IfMatch, uow: Uow, how: Completion | None = None) -> Response:
    """Mark an open task, call or meeting as done. Of a task that recurs, the next one is there then."""
    how = how or Completion()
    row = await ActivityService(uow).complete(
        id, outcome=how.outcome, note=how.note, expected_version=version
    )
    return record_response(uow, ACTIVITY, row)


@router.post(
    "/v1/activities/{id}/reopen",
    access="activity:update",
    response_model=ActivityRead,
    responses=problems(InvalidTransition, StaleVersion),
)
async def reopen_activity(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Open a task, call or meeting again that was done or cancelled."""
    return record_response(uow, ACTIVITY, await ActivityService(uow).reopen(id, expected_version=version))


@router.get("/v1/me/tasks", access="activity:read", response_model=Page[ActivityRead], open_query=True)
async def list_my_tasks(request: Request, uow: Uow) -> Response:
    """What waits for me: my open tasks, calls and meetings, soonest due first; filters as in any list.

    A filter by `status` takes the place of `open`; `overdue=true` is short for `due_at[lt]=now`.
    """
    parameters = request.query_params.multi_items()
    overdue = [value for name, value in parameters if name == "overdue"]
    if overdue not in ([], ["true"]):
        raise InvalidFilter("overdue takes only `true`.", parameter="overdue")
    given = listing.query_from_parameters([pair for pair in parameters if pair[0] != "overdue"])
    mine = [listing.Condition("owner_id", "eq", str(uow.actor.member_id or NOBODY))]
    if overdue:
        mine.append(listing.Condition("due_at", "lt", "now"))
    if not any(condition.field == "status" for group in given.groups for condition in group):
        mine.append(listing.Condition("status", "eq", "open"))
    groups = tuple((*group, *mine) for group in given.groups) or (tuple(mine),)
    query = replace(given, groups=groups, sort=given.sort or (("due_at", False),))
    return json_response(await list_records(uow, ACTIVITY, query))


# -- files -------------------------------------------------------------------------------------------------------


@router.get("/v1/activities/{id}/attachments", access="activity:read")
async def list_activity_attachments(id: UUID, uow: Uow) -> AttachmentList:
    """The files of an activity."""
    return AttachmentList(data=[_attachment(row) for row in await Attachments(uow).list(id)])


@router.post(
    "/v1/activities/{id}/attachments",
    access="activity:update",
    status_code=201,
    responses=problems(DuplicateValue),
)
async def attach_file_to_activity(id: UUID, body: AttachmentInput, uow: Uow) -> AttachmentRead:
    """Put an uploaded file on an activity; whoever may read the activity may open it."""
    return _attachment(await Attachments(uow).add(id, body.file_id))


@router.delete("/v1/activities/{id}/attachments/{attachment_id}", access="activity:update", status_code=204)
async def detach_file_from_activity(id: UUID, attachment_id: AttachmentId, uow: Uow) -> None:
    """Take a file off an activity; the file itself stays."""
    await Attachments(uow).remove(id, attachment_id)


@router.get(
    "/v1/activities/{id}/attachments/{attachment_id}/content",
    access="activity:read",
    response_class=Response,
    responses={200: {"description": "The file.", "content": {"application/octet-stream": {}}}},
)
async def get_activity_attachment_content(
    id: UUID, attachment_id: AttachmentId, uow: Uow, kernel: KernelDep
) -> Response:
    """The content of a file on an activity, always as something to save."""
    return await download(kernel, await Attachments(uow).file(id, attachment_id))


def _attachment(row: Attachment) -> AttachmentRead:
    return AttachmentRead.model_validate({name: row.__dict__[name] for name in AttachmentRead.model_fields})
