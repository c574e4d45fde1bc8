"""`/v1/to-dos`: everything that waits for whoever asks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from app.kernel.errors import InvalidCursor, InvalidFilter, problems
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Page
from app.modules.activities.interface import ToDoPlace
from app.modules.activities.schemas import ToDoCount, ToDoCounts, ToDoItem
from app.modules.activities.services.to_dos import ToDos

router = Router(tags=["to-dos"])


@router.get("/v1/to-dos", access="signed_in", responses=problems(InvalidCursor))
async def list_to_dos(
    uow: Uow,
    kind: Annotated[str | None, Query(description="Only these kinds, by comma: `task,rsvp`.")] = None,
    limit: Annotated[int, Query(ge=1, description="Above 200 counts as 200.")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Page[ToDoItem]:
    """Everything that waits for you, from every module: what is due first, and what has no date last."""
    kinds = tuple(sorted(set(kind.split(",")))) if kind is not None else ()
    if len(kinds) > 50:
        raise InvalidFilter("kind takes up to 50 names, by comma.", parameter="kind")
    limit = min(limit, MAX_LIMIT)
    name = f"to-dos:{','.join(kinds)}"
    position = read_position(uow, name, cursor)
    after = _place(*position) if position else None
    found = await ToDos(uow).page(kinds=kinds, after=after, limit=limit + 1)
    following = None
    if len(found) > limit:
        last = found[limit - 1]
        following = sign_position(uow, name, [last.due_at.isoformat() if last.due_at else "", last.id])
    items = [ToDoItem.model_validate(asdict(one) | {"data": dict(one.data)}) for one in found[:limit]]
    return Page[ToDoItem](data=items, next_cursor=following, has_more=following is not None)


def _place(due: str, id: str) -> ToDoPlace:
    return ToDoPlace(datetime.fromisoformat(due) if due else None, UUID(id))


@router.get("/v1/to-dos/counts", access="signed_in")
async def get_to_do_counts(uow: Uow) -> ToDoCounts:
    """How much waits for you, by kind."""
    found = await ToDos(uow).counts()
    data = [ToDoCount(kind=kind, count=count) for kind, count in found.items()]
    return ToDoCounts(data=data, total=sum(found.values()))
