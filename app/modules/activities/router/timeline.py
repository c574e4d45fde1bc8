"""`/v1/timeline` and `/v1/{plural}/{id}/timeline`: one mechanism, which a new record type has by existing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from fastapi import Query as QueryParameter

from app.kernel.errors import InvalidFilter, NotFound
from app.kernel.paging import Cursor, Limit
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Position, Subject
from app.modules.activities.schemas import ObjectName, TimelineItem
from app.modules.activities.services.timeline import Timeline

router = Router(tags=["activities"])

Plural = Annotated[str, Path(description="The record type as in addresses: `accounts`.")]
Kinds = Annotated[
    str | None, QueryParameter(alias="kind", description="Only these kinds, by comma: `note,task,change`.")
]


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
    limit = min(limit, MAX_LIMIT)
    timeline = Timeline(uow)
    await timeline.require_visible(subject)
    name = f"timeline:{subject.object}:{subject.record_id}:{','.join(kinds)}"
    after = read_position(uow, name, cursor)
    before = Position(datetime.fromisoformat(after[0]), UUID(after[1])) if after else None
    found = await timeline.entries(subject, before=before, limit=limit + 1, kinds=kinds)
    has_more = len(found) > limit
    found = found[:limit]
    following = None
    if has_more:
        following = sign_position(uow, name, [found[-1].at.isoformat(), found[-1].id])
    items = [TimelineItem.model_validate(_wire(asdict(entry))) for entry in found]
    return Page[TimelineItem](data=items, next_cursor=following, has_more=has_more)


def _wire(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"data": dict(entry["data"])}
