"""An operator in a member's place: with a reason, for an hour at most, seen by the company, ended at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.ids import new_id
from app.kernel.uow import UnitOfWork
from app.tenants.auth.control import identity
from app.tenants.auth.sessions import end_sessions
from app.tenants.interface import ImpersonationStarted
from app.tenants.models import Member, MemberStatus, Session
from app.tenants.operators.acts import note

LONGEST: Final = timedelta(minutes=60)
DEVICE: Final = "Operator of the installation"


@dataclass(frozen=True, slots=True)
class Impersonation:
    """A session in a member's place and its one token, which no refresh prolongs."""

    session: Session
    member: Member
    access_token: str
    expires_in: int  # seconds


async def impersonate(
    uow: UnitOfWork, member_id: UUID, *, reason: str, minutes: int, may_write: bool
) -> Impersonation:
    """Act in a member's place, in a control transaction. Raises: Invalid for somebody who is no active member."""
    member = await uow.find(Member, member_id)
    if member is None or member.status != MemberStatus.ACTIVE:
        raise Invalid.at("/member_id", "unknown_member", f"{member_id} is no active member.")
    lifetime = min(timedelta(minutes=minutes), LONGEST)
    session = await _open_session(uow, member, lifetime, reason=reason, may_write=may_write)
    token = identity(uow.kernel).tokens.issue(
        subject=member.user_id,
        tenant_id=uow.tenant_id,
        session_id=session.id,
        lifetime=lifetime,
        operator=str(uow.actor.id),
    )
    details: dict[str, Any] = {
        "member_id": str(member.id),
        "session_id": str(session.id),
        "minutes": minutes,
        "may_write": may_write,
    }
    await note(uow, "impersonation_started", reason=reason, details=details)
    uow.publish(
        ImpersonationStarted(
            id=session.id,
            operator=uow.actor.name,
            member_id=member.id,
            member=member.name,
            reason=reason,
            may_write=may_write,
            expires_at=session.expires_at,
        )
    )
    return Impersonation(session, member, token, int(lifetime.total_seconds()))


async def _open_session(
    uow: UnitOfWork, member: Member, lifetime: timedelta, *, reason: str, may_write: bool
) -> Session:
    return await uow.insert(
        Session,
        audit="session",
        id=new_id(),
        user_id=member.user_id,
        member_id=member.id,
        device=DEVICE,
        user_agent="",
        ip="",
        created_at=uow.now,
        last_used_at=uow.now,
        expires_at=uow.now + lifetime,
        operator_id=uow.actor.id,
        operator_name=uow.actor.name,
        purpose=reason,
        may_write=may_write,
    )


async def end_impersonation(uow: UnitOfWork, session_id: UUID) -> None:
    """End one at once; again changes nothing. Raises: NotFound."""
    session = await uow.find(Session, session_id)
    if session is None or session.operator_id is None:
        raise NotFound
    if await end_sessions(uow, "ended by the operator", session_id=session_id):
        await note(uow, "impersonation_ended", details={"session_id": str(session_id)})


async def impersonations(uow: UnitOfWork, *, limit: int) -> list[Session]:
    """Those of the company at hand, the newest first, ended ones too."""
    statement = uow.select(Session).where(Session.operator_id.is_not(None))
    return await uow.all(statement.order_by(Session.created_at.desc(), Session.id.desc()).limit(limit))


def ended_at(session: Session, now: datetime) -> datetime | None:
    """When an impersonation ended; None while it lasts."""
    if session.revoked_at is not None:
        return session.revoked_at
    return session.expires_at if session.expires_at <= now else None
