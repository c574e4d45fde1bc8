"""Calls: who is on the line."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import Router, Uow
from app.modules.after_sales.schemas.calls import CallCreate, CallEnd, CallPage, CallRead, ScreenPop
from app.modules.after_sales.services.calls.calls import CallOver, CallService, call_read

router = Router(tags=["service desk"])


@router.get("/v1/calls", access="desk:work")
async def list_calls(
    uow: Uow,
    agent_id: Annotated[UUID | None, Query(description="Only this member's.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallPage:
    """Your calls, newest first; with `agent:manage` everybody's."""
    return await CallService(uow).page(agent_id, limit=limit, cursor=cursor)


@router.post("/v1/calls", access="desk:work", status_code=201)
async def start_call(body: CallCreate, uow: Uow, response: Response) -> ScreenPop:
    """Say that a call begins: answers who it is, and shows it in the agent's browser.

    While it lasts, nothing is routed to its agent.
    """
    found = await CallService(uow).start(body)
    tag(response, found)
    response.headers["Location"] = f"/v1/calls/{found.id}"
    return found


@router.get("/v1/calls/{id}", access="desk:work")
async def get_call(id: UUID, uow: Uow, response: Response) -> ScreenPop:
    """A call, and who is on the other side as far as you may see."""
    found = await CallService(uow).pop(id)
    tag(response, found)
    return found


@router.post("/v1/calls/{id}/end", access="desk:work", responses=problems(CallOver))
async def end_call(id: UUID, uow: Uow, response: Response, body: CallEnd | None = None) -> CallRead:
    """Say that a call is over and how it went: it goes onto the timelines of whom it was with."""
    row = await CallService(uow).end(id, body or CallEnd())
    tag(response, row)
    return call_read(row)
