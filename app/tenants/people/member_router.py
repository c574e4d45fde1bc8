"""Members over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import Forbidden, InvalidCursor, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.tenants.interface import GrantTooWide, LastOwner
from app.tenants.people.members import MemberActive, MemberInactive, MemberService
from app.tenants.people.schemas import Deactivate, Deactivated, MemberPage, MemberRead, MemberUpdate
from app.tenants.people.wire import answer, changes_of

router = Router(prefix="/v1/members", tags=["members"])
_VERSIONED = problems(StaleVersion, VersionRequired)


@router.get("", access="member:read", response_model=MemberPage, responses=problems(InvalidCursor))
async def list_members(
    uow: Uow,
    q: Annotated[str | None, Query(max_length=200, description="Part of a name or address.")] = None,
    status: Literal["active", "deactivated"] | None = None,
    team_id: UUID | None = None,
    role_id: UUID | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> MemberPage:
    """Who works here, by name."""
    found = await MemberService(uow).list(
        status=status, team_id=team_id, role_id=role_id, q=q, limit=limit, cursor=cursor
    )
    return MemberPage(data=[answer(MemberRead, row) for row in found.rows], **found.onward)


@router.get("/{id}", access="member:read", response_model=MemberRead)
async def get_member(id: UUID, uow: Uow, response: Response) -> MemberRead:
    """One member."""
    row = await MemberService(uow).get(id)
    tag(response, row)
    return answer(MemberRead, row)


@router.patch(
    "/{id}",
    access="member:update",
    response_model=MemberRead,
    responses=problems(LastOwner, GrantTooWide, Forbidden),
)
async def update_member(
    id: UUID, body: MemberUpdate, uow: Uow, version: IfMatch, response: Response
) -> MemberRead:
    """Change a member's roles, teams, manager, hours, skills, name or title; effective at once."""
    changes = changes_of(body, nullable=("title", "manager_id", "calendar_id"))
    if "skills" in changes:
        changes["skills"] = [skill.model_dump() for skill in changes["skills"]]
    row = await MemberService(uow).update(id, changes, expected_version=version)
    tag(response, row)
    return answer(MemberRead, row)


@router.post(
    "/{id}/deactivate",
    access="member:deactivate",
    response_model=Deactivated,
    responses=problems(LastOwner, MemberInactive, GrantTooWide, Forbidden) | _VERSIONED,
)
async def deactivate_member(
    id: UUID, body: Deactivate, uow: Uow, version: IfMatch, response: Response
) -> Deactivated:
    """End a membership: sessions and API keys stop working at once; records go to another member if you say so."""
    row, counts = await MemberService(uow).deactivate(
        id, hand_over_to=body.hand_over_to, expected_version=version
    )
    tag(response, row)
    return Deactivated(member=answer(MemberRead, row), handed_over=counts)


@router.post(
    "/{id}/reactivate",
    access="member:deactivate",
    response_model=MemberRead,
    responses=problems(MemberActive, GrantTooWide, Forbidden) | _VERSIONED,
)
async def reactivate_member(id: UUID, uow: Uow, version: IfMatch, response: Response) -> MemberRead:
    """Let a member in again, with the roles and teams they had; API keys stay revoked."""
    row = await MemberService(uow).reactivate(id, expected_version=version)
    tag(response, row)
    return answer(MemberRead, row)
