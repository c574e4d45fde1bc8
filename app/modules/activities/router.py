"""`/v1/activities`, `/v1/timeline`, `/v1/{plural}/{id}/timeline` and `/v1/me/tasks`."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Response
from fastapi import Query as QueryParameter
from starlette.requests import Request

from app.kernel import listing
from app.kernel.access import NOBODY
from app.kernel.errors import InvalidFilter, InvalidTransition, NotFound, StaleVersion, problems
from app.kernel.record_reads import list_records
from app.kernel.record_router import etag, record_router
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Position, Subject
from app.modules.activities.models import Activity
from app.modules.activities.schemas import ActivityRead, Completion, ObjectName, TimelineItem
from app.modules.activities.services.activities import ACTIVITY, ActivityService
from app.modules.activities.services.timeline import Timeline

records = record_router(ACTIVITY)
router = Router(tags=["activities"])

Limit = Annotated[int, QueryParameter(ge=1, description="Above 200 counts as 200.")]
Plural = Annotated[str, Path(description="The record type as in addresses: `accounts`.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]
Kinds = Annotated[
    str | None, QueryParameter(alias="kind", description="Only these kinds, by comma: `note,task,change`.")
]


@router.post(
    "/v1/activities/{id}/complete",
    access="activity:update",
    response_model=ActivityRead,
    responses=problems(InvalidTransition, StaleVersion),
)
async def complete_activity(id: UUID, version: IfMatch, uow: Uow, how: Completion | None = None) -> Response:
    """Mark an open task, call or meeting as done."""
    outcome = how.outcome if how else None
    return _answer(uow, await ActivityService(uow).complete(id, outcome=outcome, expected_version=version))


@router.post(
    "/v1/activities/{id}/reopen",
    access="activity:update",
    response_model=ActivityRead,
    responses=problems(InvalidTransition, StaleVersion),
)
async def reopen_activity(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Open a task, call or meeting again that was done or cancelled."""
    return _answer(uow, await ActivityService(uow).reopen(id, expected_version=version))


def _answer(uow: UnitOfWork, row: Activity) -> Response:
    return _json(ACTIVITY.dump(row, uow.actor.hidden("activity")), {"ETag": etag(row.version)})


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, media_type="application/json", headers=headers)


@router.get("/v1/me/tasks", access="activity:read", response_model=Page[ActivityRead], open_query=True)
async def list_my_tasks(request: Request, uow: Uow) -> Response:
    """What waits for me: my open tasks, calls and meetings, soonest due first; filters as in any list.

    A filter by `status` takes the place of `open`.
    """
    given = listing.query_from_parameters(request.query_params.multi_items())
    mine = [listing.Condition("owner_id", "eq", str(uow.actor.member_id or NOBODY))]
    if not any(condition.field == "status" for group in given.groups for condition in group):
        mine.append(listing.Condition("status", "eq", "open"))
    groups = tuple((*group, *mine) for group in given.groups) or (tuple(mine),)
    query = replace(given, groups=groups, sort=given.sort or (("due_at", False),))
    return _json(await list_records(uow, ACTIVITY, query))


@router.get("/v1/timeline", access="signed_in")
async def get_timeline(
    uow: Uow,
    record_object: Annotated[
        ObjectName, QueryParameter(alias="object", description="The record type: `lead`.")
    ],
    record_id: Annotated[UUID, QueryParameter(description="The record's id.")],
    kind: Kinds = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TimelineItem]:
    """Everything that happened to a record: activities, changes, and what other modules know; newest first."""
    return await _page(uow, Subject(record_object, record_id), kind, limit, cursor)


@router.get("/v1/{plural}/{id}/timeline", access="signed_in")
async def get_record_timeline(
    uow: Uow, plural: Plural, id: UUID, kind: Kinds = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[TimelineItem]:
    """The timeline of a record by its address, as in `/v1/accounts/{id}/timeline`."""
    for record in uow.kernel.registry.records.values():
        if record.path == plural:
            return await _page(uow, Subject(record.object, id), kind, limit, cursor)
    raise NotFound("There is no such address.")


async def _page(
    uow: UnitOfWork, subject: Subject, kind: str | None, limit: int, cursor: str | None
) -> Page[TimelineItem]:
    kinds = tuple(sorted(set(kind.split(",")))) if kind is not None else ()
    if len(kinds) > 20 or "" in kinds:
        raise InvalidFilter("kind takes up to 20 names, by comma.", parameter="kind")
    limit = min(limit, listing.MAX_LIMIT)
    timeline = Timeline(uow)
    await timeline.require_visible(subject)
    # A cursor is bound to the subject and the kinds, like that of any list to its filters.
    query = listing.Query(
        groups=((listing.Condition(subject.object, "eq", str(subject.record_id)),),),
        text=",".join(kinds),
        cursor=cursor,
    )
    before = _position(uow, query) if cursor is not None else None
    found = await timeline.entries(subject, before=before, limit=limit + 1, kinds=kinds)
    has_more = len(found) > limit
    found = found[:limit]
    following = None
    if has_more:
        values = f'["{found[-1].at.isoformat()}", "{found[-1].id}"]'
        following = listing.sign_cursor(uow.kernel.secrets, uow.tenant_id, "timeline", query, values)
    items = [TimelineItem.model_validate(_wire(asdict(entry))) for entry in found]
    return Page[TimelineItem](data=items, next_cursor=following, has_more=has_more)


def _wire(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"data": dict(entry["data"])}


def _position(uow: UnitOfWork, query: listing.Query) -> Position:
    at, id = listing.read_cursor(uow.kernel.secrets, uow.tenant_id, "timeline", query)
    return Position(datetime.fromisoformat(at or ""), UUID(id or ""))
