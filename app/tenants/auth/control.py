"""Work across tenants: transactions of `rapport_control`, where identities, tokens and key hashes live.

Nothing here holds a connection while a password is hashed, and what must outlive a refusal (a counted attempt,
a revoked family of tokens) commits before the refusal is raised; that is why these routes open transactions
themselves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from uuid import UUID

from app.kernel import db
from app.kernel.access import ANONYMOUS, Actor, TenantProfile
from app.kernel.errors import Forbidden
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork

if TYPE_CHECKING:
    from app.tenants.auth.authenticator import TenantAuthenticator


@asynccontextmanager
async def control_transaction(
    kernel: Kernel, actor: Actor = ANONYMOUS, *, request_id: str = ""
) -> AsyncIterator[UnitOfWork]:
    """A unit of work that sees all tenants: every statement in it names its tenant or person."""
    async with kernel.database.control_session() as connection:
        await db.begin(connection, actor.tenant.id)
        uow = UnitOfWork(kernel, connection, actor, request_id=request_id)
        try:
            yield uow
            await uow.flush()
        except BaseException:
            await uow.rollback()
            raise
        await connection.execute("COMMIT")


class MembersOnly(Forbidden):
    code = "members_only"
    title = "This is for people; an API key has no password and no sessions"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a session, rather than a key."""

    user_id: UUID
    member_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends this request and from where."""

    kernel: Kernel
    actor: Actor
    request_id: str
    ip: str
    user_agent: str
    origin: str | None
    host: str
    cookie: str | None

    @property
    def identity(self) -> TenantAuthenticator:
        return identity(self.kernel)

    @property
    def person(self) -> Person:
        """The person behind an access token. Raises: MembersOnly for an API key."""
        actor = self.actor
        if (
            actor.kind != "member"
            or actor.user_id is None
            or actor.member_id is None
            or actor.session_id is None
        ):
            raise MembersOnly
        return Person(actor.user_id, actor.member_id, actor.session_id)

    @asynccontextmanager
    async def transaction(self, actor: Actor | None = None) -> AsyncIterator[UnitOfWork]:
        """A control transaction of this request."""
        async with control_transaction(self.kernel, actor or self.actor, request_id=self.request_id) as uow:
            yield uow


def identity(kernel: Kernel) -> TenantAuthenticator:
    """Passwords, tokens and the actor cache of this process."""
    return cast("TenantAuthenticator", kernel.authenticator)


REFRESH_COOKIE = "__Host-rapport_refresh"


def member_of(profile: TenantProfile, member_id: UUID, name: str, user_id: UUID) -> Actor:
    """A member as the one who acts in a sign-in or sign-up, for the audit log: without any grant."""
    return Actor(tenant=profile, kind="member", id=member_id, name=name, member_id=member_id, user_id=user_id)


class AccessOfTenant:
    """Implements `Access`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def changed(self) -> None:
        await access_changed(self._uow)


async def access_changed(uow: UnitOfWork, tenant_id: UUID | None = None) -> None:
    """Say, with the transaction, that what a tenant's members may do has changed.

    From this call until our own notification comes back no process of ours caches that tenant's actors, so the
    first request after the commit sees the change; other processes hear of it as PostgreSQL delivers it.
    """
    tenant = tenant_id or uow.tenant_id
    change = identity(uow.kernel).cache.hold(tenant)
    await uow.fetch("SELECT pg_notify('rapport_access', $1)", f"{tenant} {change}")
