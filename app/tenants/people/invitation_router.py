"""Invitations over HTTP."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from fastapi import Response

from app.kernel.errors import Forbidden, InvalidCursor, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.uow import UnitOfWork
from app.tenants.auth.attempts import TooManyAttempts
from app.tenants.auth.caller import CallerDep
from app.tenants.auth.control import MembersOnly
from app.tenants.auth.control_route import ControlRoute
from app.tenants.auth.session_router import check_origin, tokens_answer
from app.tenants.interface import (
    ForeignOrigin,
    GrantTooWide,
    InvalidCredentials,
    InvitationPending,
    LinkUsed,
    MemberExists,
)
from app.tenants.models import Invitation
from app.tenants.people import invitations as joining
from app.tenants.people.invitations import Invitations
from app.tenants.people.schemas import (
    InvitationAccept,
    InvitationCreate,
    InvitationPage,
    InvitationPreview,
    InvitationRead,
    InvitationToken,
)
from app.tenants.people.wire import answer
from app.tenants.schemas import Tokens

router = Router(prefix="/v1/invitations", tags=["members"])


@router.post(
    "",
    access="member:invite",
    route_class=ControlRoute,
    status_code=201,
    response_model=InvitationRead,
    responses=problems(MemberExists, InvitationPending, GrantTooWide, Forbidden, MembersOnly),
)
async def create_invitation(
    body: InvitationCreate, uow: Uow, caller: CallerDep, response: Response
) -> InvitationRead:
    """Invite somebody by mail; the link in it works for a week. You can give roles up to your own."""
    row = await Invitations(uow).create(
        invited_by=caller.person.member_id,
        email=body.email,
        name=body.name,
        role_ids=body.role_ids,
        team_ids=body.team_ids,
    )
    tag(response, row)
    return _read(uow, row)


@router.get("", access="member:read", response_model=InvitationPage, responses=problems(InvalidCursor))
async def list_invitations(
    uow: Uow,
    status: Literal["pending", "accepted", "revoked"] | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> InvitationPage:
    """Who has been invited, oldest first."""
    found = await Invitations(uow).list(status=status, limit=limit, cursor=cursor)
    return InvitationPage(data=[_read(uow, row) for row in found.rows], **found.onward)


@router.get("/{id}", access="member:read", response_model=InvitationRead)
async def get_invitation(id: UUID, uow: Uow, response: Response) -> InvitationRead:
    """One invitation."""
    row = await Invitations(uow).get(id)
    tag(response, row)
    return _read(uow, row)


@router.post(
    "/{id}/resend",
    access="member:invite",
    route_class=ControlRoute,
    response_model=InvitationRead,
    responses=problems(LinkUsed, StaleVersion, VersionRequired),
)
async def resend_invitation(id: UUID, uow: Uow, version: IfMatch, response: Response) -> InvitationRead:
    """Mail a new link, good for another week; the old one stops working."""
    row = await Invitations(uow).resend(id, expected_version=version)
    tag(response, row)
    return _read(uow, row)


@router.delete(
    "/{id}", access="member:invite", route_class=ControlRoute, status_code=204, responses=problems(LinkUsed)
)
async def revoke_invitation(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Withdraw an invitation; its link stops working."""
    await Invitations(uow).revoke(id, expected_version=version)


@router.post(
    "/preview",
    access="public",
    own_transaction=True,
    response_model=InvitationPreview,
    responses=problems(LinkUsed, TooManyAttempts),
)
async def preview_invitation(body: InvitationToken, caller: CallerDep) -> InvitationPreview:
    """What the link of an invitation mail leads to, for the page that asks to join."""
    async with caller.transaction() as uow:
        found = await joining.preview(uow, body.token)
    return InvitationPreview(
        email=found.invitation.email,
        name=found.invitation.name,
        company=found.company.name,
        invited_by=found.inviter,
        known=found.user is not None,
    )


@router.post(
    "/accept",
    access="public",
    own_transaction=True,
    status_code=201,
    response_model=Tokens,
    responses=problems(LinkUsed, InvalidCredentials, ForeignOrigin, TooManyAttempts),
)
async def accept_invitation(body: InvitationAccept, caller: CallerDep, response: Response) -> Tokens:
    """Join with the token of the mail, once, and be signed in. Somebody with an account gives its password."""
    check_origin(caller, body.transport)
    made = await joining.accept(
        caller,
        body.token,
        password=body.password,
        name=body.name,
        totp=body.totp,
        recovery_code=body.recovery_code,
    )
    return tokens_answer(made, response, body.transport)


def _read(uow: UnitOfWork, row: Invitation) -> InvitationRead:
    expired = row.status == "pending" and row.expires_at <= uow.now
    return answer(InvitationRead, row, expired=expired)
