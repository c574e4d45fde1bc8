"""Sessions: a family of refresh tokens, of which one is valid at a time.

Using a token again after it was exchanged means that two parties hold it, so the whole family ends (RFC 9700
§4.14.2). There is no grace period: of several concurrent exchanges of one token one succeeds, and the others
end the session, also for the one that succeeded. A client exchanges its token in one place at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.kernel.access import TenantProfile
from app.kernel.errors import Problem
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.tenants.auth.actors import PROFILE_COLUMNS, profile_of
from app.tenants.auth.control import Caller, access_changed, identity, member_of
from app.tenants.auth.refresh_tokens import generate_refresh_token, hash_refresh_token
from app.tenants.interface import InvalidRefreshToken
from app.tenants.models import Session

OPEN_FOR_SIGN_IN: Final = ("trialing", "active", "past_due", "suspended")
_OPEN: Final = "(t.status = ANY($2::text[]) OR t.status = 'cancelled' AND t.export_until > $3)"
"""Where people may sign in: a cancelled account lets them in to export, or to come back."""


@dataclass(frozen=True, slots=True)
class Membership:
    """One company that a person may work for."""

    tenant: TenantProfile
    member_id: UUID
    user_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session with the two tokens that it hands out now."""

    membership: Membership
    session_id: UUID
    access_token: str
    refresh_token: str
    expires_in: int  # seconds
    refresh_expires_in: int  # seconds


async def memberships_of(uow: UnitOfWork, user_id: UUID) -> list[Membership]:
    """The companies that a person may sign in to, by name."""
    rows = await uow.fetch(
        f"SELECT m.id AS member_id, m.name, {PROFILE_COLUMNS} FROM tenants.members m"
        " JOIN tenants.tenants t ON t.tenant_id = m.tenant_id AND t.id = m.tenant_id"
        f" WHERE m.user_id = $1 AND m.status = 'active' AND {_OPEN} ORDER BY t.name, t.id",
        user_id,
        list(OPEN_FOR_SIGN_IN),
        uow.now,
    )
    return [Membership(profile_of(row), row["member_id"], user_id, row["name"]) for row in rows]


async def open_session(
    uow: UnitOfWork, caller: Caller, membership: Membership, *, device: str | None, action: str = "signed_in"
) -> SignedIn:
    """Start a session in one company; the transaction is bound to that company from here on."""
    settings = uow.kernel.settings
    await uow.enter(member_of(membership.tenant, membership.member_id, membership.name, membership.user_id))
    expires_at = uow.now + timedelta(days=settings.refresh_absolute_days)
    session = await uow.insert(
        Session,
        audit="session",
        id=new_id(),
        user_id=membership.user_id,
        member_id=membership.member_id,
        device=(device or "").strip()[:100],
        user_agent=caller.user_agent,
        ip=caller.ip,
        created_at=uow.now,
        last_used_at=uow.now,
        expires_at=expires_at,
        revoked_at=None,
        revoked_because=None,
    )
    uow.record_audit("member", membership.member_id, action, {"ip": [None, caller.ip]})
    return await _tokens(uow, membership, session.id, session.expires_at - uow.now)


async def _tokens(uow: UnitOfWork, membership: Membership, session_id: UUID, left: timedelta) -> SignedIn:
    settings = uow.kernel.settings
    refresh = generate_refresh_token()
    await uow.fetch(
        "INSERT INTO tenants.refresh_tokens (token_hash, tenant_id, session_id, created_at) VALUES ($1, $2, $3, $4)",
        refresh.hash,
        membership.tenant.id,
        session_id,
        uow.now,
    )
    lifetime = min(timedelta(minutes=settings.access_token_minutes), left)
    access = identity(uow.kernel).tokens.issue(
        subject=membership.user_id, tenant_id=membership.tenant.id, session_id=session_id, lifetime=lifetime
    )
    usable = min(left, timedelta(days=settings.refresh_idle_days))
    return SignedIn(
        membership,
        session_id,
        access,
        refresh.token,
        int(lifetime.total_seconds()),
        int(usable.total_seconds()),
    )


async def refresh_session(caller: Caller, token: str) -> SignedIn:
    """Exchange a refresh token. Raises: InvalidRefreshToken, and ends the family if the token was used before."""
    token_hash = hash_refresh_token(token)
    if token_hash is None:
        raise InvalidRefreshToken
    async with caller.transaction() as uow:
        outcome = await _exchange(uow, caller, token_hash)
    if isinstance(outcome, Problem):  # raised only now, so that the end of the family has committed
        raise outcome
    return outcome


async def _exchange(uow: UnitOfWork, caller: Caller, token_hash: bytes) -> SignedIn | Problem:
    row = await uow.fetchrow(
        "SELECT r.tenant_id, r.session_id, r.used_at FROM tenants.refresh_tokens r"
        " WHERE r.token_hash = $1 FOR UPDATE",
        token_hash,
    )
    if row is None:
        return InvalidRefreshToken()
    session = await uow.fetchrow(
        f"SELECT s.id, s.user_id, s.member_id, s.last_used_at, s.expires_at, s.revoked_at, m.name, {PROFILE_COLUMNS}"
        " FROM tenants.sessions s"
        " JOIN tenants.members m ON m.tenant_id = s.tenant_id AND m.id = s.member_id AND m.status = 'active'"
        " JOIN tenants.tenants t ON t.tenant_id = s.tenant_id AND t.id = s.tenant_id"
        f" WHERE s.tenant_id = $1 AND {_OPEN} AND s.id = $4 FOR UPDATE OF s",
        row["tenant_id"],
        list(OPEN_FOR_SIGN_IN),
        uow.now,
        row["session_id"],
    )
    if session is None or session["revoked_at"] is not None:
        return InvalidRefreshToken()
    membership = Membership(profile_of(session), session["member_id"], session["user_id"], session["name"])
    await uow.enter(member_of(membership.tenant, membership.member_id, membership.name, membership.user_id))
    if row["used_at"] is not None:
        await end_sessions(uow, "refresh token used twice", session_id=session["id"])
        return InvalidRefreshToken()
    idle_since = uow.now - timedelta(days=uow.kernel.settings.refresh_idle_days)
    if session["expires_at"] <= uow.now or session["last_used_at"] <= idle_since:
        return InvalidRefreshToken()
    await uow.fetch(
        "UPDATE tenants.refresh_tokens SET used_at = $2 WHERE token_hash = $1", token_hash, uow.now
    )
    await uow.fetch(
        "UPDATE tenants.sessions SET last_used_at = $3, ip = $4, user_agent = $5 WHERE tenant_id = $1 AND id = $2",
        membership.tenant.id,
        session["id"],
        uow.now,
        caller.ip,
        caller.user_agent,
    )
    return await _tokens(uow, membership, session["id"], session["expires_at"] - uow.now)


async def end_sessions(
    uow: UnitOfWork,
    because: str,
    *,
    session_id: UUID | None = None,
    member_id: UUID | None = None,
    but: UUID | None = None,
) -> list[UUID]:
    """Revoke sessions of the tenant at hand, from the commit on everywhere: one, or all of a member's but one."""
    rows = await uow.fetch(
        "UPDATE tenants.sessions SET revoked_at = $2, revoked_because = $3 WHERE tenant_id = $1"
        " AND revoked_at IS NULL AND ($4::uuid IS NULL OR id = $4) AND ($5::uuid IS NULL OR member_id = $5)"
        " AND ($6::uuid IS NULL OR id <> $6) AND ($4 IS NOT NULL OR $5 IS NOT NULL) RETURNING id",
        uow.tenant_id,
        uow.now,
        because,
        session_id,
        member_id,
        but,
    )
    for row in rows:
        uow.record_audit("session", row["id"], "revoked", reason=because)
    if rows:
        await access_changed(uow)
    return [row["id"] for row in rows]


async def end_sessions_everywhere(
    uow: UnitOfWork, user_id: UUID, because: str, *, but: UUID | None = None
) -> None:
    """Revoke a person's sessions in every company, but one; audited in each."""
    actor = uow.actor
    for membership in await _all_memberships(uow, user_id):
        await uow.flush()
        await uow.enter(member_of(membership.tenant, membership.member_id, membership.name, user_id))
        await end_sessions(uow, because, member_id=membership.member_id, but=but)
    await uow.flush()
    await uow.enter(actor)


async def _all_memberships(uow: UnitOfWork, user_id: UUID) -> list[Membership]:
    rows = await uow.fetch(
        f"SELECT m.id AS member_id, m.name, {PROFILE_COLUMNS} FROM tenants.members m"
        " JOIN tenants.tenants t ON t.tenant_id = m.tenant_id AND t.id = m.tenant_id"
        " WHERE m.user_id = $1 ORDER BY t.id",
        user_id,
    )
    return [Membership(profile_of(row), row["member_id"], user_id, row["name"]) for row in rows]


async def live_sessions(uow: UnitOfWork, member_id: UUID) -> list[Session]:
    """A member's sessions that still work, the latest used first."""
    idle_since = uow.now - timedelta(days=uow.kernel.settings.refresh_idle_days)
    return await uow.all(
        uow.select(Session)
        .where(Session.member_id == member_id, Session.revoked_at.is_(None))
        .where(Session.expires_at > uow.now, Session.last_used_at > idle_since)
        .order_by(Session.last_used_at.desc(), Session.id)
    )
