"""Signing up, signing in, and the sessions of oneself."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Header, Response

from app.kernel.contact import normalise_email
from app.kernel.errors import Conflict, NotFound, problems
from app.kernel.routing import Router, Uow
from app.tenants.auth.attempts import TooManyAttempts
from app.tenants.auth.caller import CallerDep
from app.tenants.auth.control import REFRESH_COOKIE, Caller, MembersOnly
from app.tenants.auth.sessions import SignedIn, end_sessions, live_sessions, refresh_session
from app.tenants.auth.sign_in import ChooseTenant, Proof, sign_in, switch_tenant
from app.tenants.auth.sign_up import sign_up
from app.tenants.directory import NewTenant, sign_up_key
from app.tenants.interface import (
    EmailInUse,
    ForeignOrigin,
    InvalidCredentials,
    InvalidRefreshToken,
    NoMembership,
    OneTimeCodeRequired,
)
from app.tenants.schemas import (
    ChooseTenantAnswer,
    Refresh,
    SessionList,
    SessionRead,
    SignIn,
    SignUp,
    SwitchTenant,
    TenantChoice,
    Tokens,
)

router = Router(prefix="/v1", tags=["sign-in"])
IdempotencyKey = Annotated[
    str | None,
    Header(max_length=257, description="Makes a repeated sign-up answer with the company of the first."),
]


@router.post(
    "/sign-up",
    access="public",
    own_transaction=True,
    status_code=201,
    response_model=Tokens,
    responses=problems(EmailInUse, Conflict, TooManyAttempts, ForeignOrigin),
)
async def create_company(
    body: SignUp, caller: CallerDep, response: Response, idempotency_key: IdempotencyKey = None
) -> Tokens:
    """Sign a company up: you are its owner and signed in, and get a mail to confirm your address."""
    check_origin(caller, body.transport)
    email_key = normalise_email(body.email)
    new = NewTenant(
        company=body.company,
        locale=body.locale,
        country=body.country,
        time_zone=body.time_zone,
        currency=body.currency,
        sign_up_key=sign_up_key(email_key, idempotency_key) if idempotency_key else None,
    )
    proof = Proof(email_key, body.password, body.totp, body.recovery_code)
    made = await sign_up(caller, new, name=body.name, email=body.email, proof=proof)
    return tokens_answer(made, response, body.transport)


@router.post(
    "/sessions",
    access="public",
    own_transaction=True,
    response_model=Tokens | ChooseTenantAnswer,
    responses=problems(InvalidCredentials, OneTimeCodeRequired, NoMembership, ForeignOrigin, TooManyAttempts),
)
async def create_session(body: SignIn, caller: CallerDep, response: Response) -> Tokens | ChooseTenantAnswer:
    """Sign in with e-mail address and password, and a one-time code where two-factor sign-in is on.

    Ten failures in a quarter of an hour lock an address out of an account until the quarter is over.
    """
    check_origin(caller, body.transport)
    proof = Proof(normalise_email(body.email), body.password, body.totp, body.recovery_code)
    outcome = await sign_in(caller, proof, tenant_id=body.tenant_id, device=body.device)
    if isinstance(outcome, ChooseTenant):
        response.headers["Cache-Control"] = "no-store"
        choices = [
            TenantChoice(id=m.tenant.id, name=m.tenant.name, status=m.tenant.status)
            for m in outcome.memberships
        ]
        return ChooseTenantAnswer(tenants=choices)
    return tokens_answer(outcome, response, body.transport)


@router.post(
    "/sessions/refresh",
    access="public",
    operation_id="refresh_session",
    own_transaction=True,
    response_model=Tokens,
    responses=problems(InvalidRefreshToken, ForeignOrigin),
)
async def refresh(caller: CallerDep, response: Response, body: Refresh | None = None) -> Tokens:
    """Exchange the refresh token for new tokens; the old one ends.

    A refresh token that comes a second time ends the whole session, for whoever holds it, also when the two
    came at the same moment: exchange it in one place at a time.
    """
    given = body.refresh_token if body is not None else None
    transport = "body"
    if given is None:
        given, transport = caller.cookie, "cookie"
        check_origin(caller, transport)
    if given is None:
        raise InvalidRefreshToken
    return tokens_answer(await refresh_session(caller, given), response, transport)


@router.delete(
    "/sessions/current",
    access="signed_in",
    while_cancelled=True,
    status_code=204,
    responses=problems(MembersOnly),
)
async def delete_current_session(uow: Uow, caller: CallerDep, response: Response) -> None:
    """Sign out: access and refresh token stop working at once."""
    await end_sessions(uow, "signed out", session_id=caller.person.session_id)
    if caller.cookie is not None:
        _drop_cookie(response)


@router.get("/sessions", access="signed_in", while_cancelled=True, response_model=SessionList)
async def list_sessions(uow: Uow, caller: CallerDep) -> SessionList:
    """Your live sessions in this company, the latest used first."""
    person = caller.person
    found = await live_sessions(uow, person.member_id)
    return SessionList(
        data=[
            SessionRead(
                id=session.id,
                current=session.id == person.session_id,
                device=session.device,
                user_agent=session.user_agent,
                ip=session.ip,
                created_at=session.created_at,
                last_used_at=session.last_used_at,
                expires_at=session.expires_at,
                impersonated_by=session.operator_name,
                purpose=session.purpose,
            )
            for session in found
        ]
    )


@router.delete("/sessions/{id}", access="signed_in", while_cancelled=True, status_code=204)
async def delete_session(id: UUID, uow: Uow, caller: CallerDep) -> None:
    """End one of your sessions, on a lost telephone for instance; at once."""
    if id not in {session.id for session in await live_sessions(uow, caller.person.member_id)}:
        raise NotFound
    await end_sessions(uow, "ended by its owner", session_id=id)


@router.post(
    "/sessions/switch",
    access="signed_in",
    while_cancelled=True,
    own_transaction=True,
    response_model=Tokens,
    responses=problems(NoMembership, MembersOnly, ForeignOrigin),
)
async def switch_company(body: SwitchTenant, caller: CallerDep, response: Response) -> Tokens:
    """A session in another company that you work for; this one goes on beside it."""
    check_origin(caller, body.transport)
    made = await switch_tenant(caller, body.tenant_id, device=body.device)
    return tokens_answer(made, response, body.transport)


def tokens_answer(made: SignedIn, response: Response, transport: str) -> Tokens:
    """The wire form of a session; with `cookie` the refresh token travels there instead."""
    response.headers["Cache-Control"] = "no-store"
    if transport == "cookie":
        response.set_cookie(
            REFRESH_COOKIE,
            made.refresh_token,
            max_age=made.refresh_expires_in,
            path="/",
            secure=True,
            httponly=True,
            samesite="strict",
        )
    return Tokens(
        access_token=made.access_token,
        expires_in=made.expires_in,
        refresh_token=None if transport == "cookie" else made.refresh_token,
        refresh_expires_in=made.refresh_expires_in,
        session_id=made.session_id,
        tenant_id=made.membership.tenant.id,
        tenant_name=made.membership.tenant.name,
        member_id=made.membership.member_id,
    )


def _drop_cookie(response: Response) -> None:
    response.delete_cookie(REFRESH_COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def check_origin(caller: Caller, transport: str) -> None:
    """The cookie is for our own pages and the SPAs named in the settings (OWASP CSRF Prevention Cheat Sheet).

    Raises: ForeignOrigin; a browser always says where a POST comes from, so silence is refused too.
    """
    if transport != "cookie":
        return
    settings = caller.kernel.settings
    allowed = {settings.public_url.rstrip("/"), *(origin.rstrip("/") for origin in settings.cors_origins)}
    allowed |= {f"http://{caller.host}", f"https://{caller.host}"}
    if caller.origin is None or caller.origin not in allowed:
        raise ForeignOrigin
