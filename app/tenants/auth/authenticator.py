"""Turns a bearer credential into an actor: verified, checked against the session or key, cached.

A cache hit is one dictionary look-up. Revocation is immediate all the same: see `actor_cache`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from app.kernel.access import Actor, TenantProfile
from app.kernel.db import Connection
from app.kernel.errors import ImpersonationEnded, NotFound, Unauthenticated
from app.kernel.runtime import Kernel
from app.tenants.auth.access_tokens import AccessClaims, AccessTokenInvalid, AccessTokens
from app.tenants.auth.actor_cache import ActorCache, Entry
from app.tenants.auth.actors import PROFILE_COLUMNS, in_place_of, load_actor, profile_of
from app.tenants.auth.api_keys import ApiKeyMalformed, looks_like_api_key, parse_api_key
from app.tenants.auth.passwords import Passwords
from app.tenants.auth.signing_keys import load_signing_keys
from app.tenants.billing.api_calls import flushing
from app.tenants.billing.payments.opening import open_provider

CHANNEL: Final = "rapport_access"
AUDIENCE: Final = "rapport"
_KEY_TTL: Final = timedelta(minutes=5)  # after that the key is read again, which also notes that it is in use
_HEARTBEAT: Final = 5.0
_KEYS_EVERY: Final = 12  # heartbeats

log = structlog.get_logger(__name__)


class TenantAuthenticator:
    """The one implementation of the kernel's `Authenticator`."""

    def __init__(self, kernel: Kernel, tokens: AccessTokens) -> None:
        self._kernel = kernel
        self._now = kernel.clock.now
        self.tokens = tokens
        self.passwords = Passwords()
        self.cache = ActorCache()
        self.payments = open_provider(kernel.settings)

    async def authenticate(self, authorization: str | None, cookies: str | None) -> Actor:  # noqa: ARG002
        """The actor behind `Authorization: Bearer …`; cookies never grant anything by themselves.

        Raises: Unauthenticated.
        """
        if authorization is None:
            raise Unauthenticated
        entry = self.cache.entries.get(authorization)
        if entry is not None and entry.expires_at > self._now():
            return entry.actor
        return await self._admit(authorization)

    async def _admit(self, authorization: str) -> Actor:
        scheme, _, credential = authorization.partition(" ")
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated
        credential = credential.strip()
        epoch = self.cache.epoch
        if looks_like_api_key(credential):
            entry = await self._by_key(credential)
        else:
            entry = await self._by_token(credential)
        self.cache.put(authorization, entry, epoch=epoch)
        return entry.actor

    async def _by_token(self, token: str) -> Entry:
        try:
            claims = self.tokens.verify(token)
        except AccessTokenInvalid:
            raise Unauthenticated("The access token is not valid or has expired.") from None
        async with self._kernel.database.tenant(claims.tenant_id, read_only=True) as connection:
            session = await self._session(connection, claims)
            actor = session and await load_actor(
                connection,
                self._kernel.registry,
                claims.tenant_id,
                session["member_id"],
                session_id=claims.session_id,
            )
        if not session or not actor or _text(session["operator_id"]) != claims.operator:
            raise Unauthenticated("This session has ended.")
        if claims.operator is not None:
            actor = in_place_of(actor, session["operator_name"], may_write=session["may_write"])
        return Entry(actor, claims.expires_at)

    async def _session(self, connection: Connection, claims: AccessClaims) -> asyncpg.Record | None:
        return await connection.fetchrow(
            "SELECT member_id, operator_id, operator_name, may_write FROM tenants.sessions"
            " WHERE tenant_id = $1 AND id = $2 AND user_id = $3 AND revoked_at IS NULL AND expires_at > $4",
            claims.tenant_id,
            claims.session_id,
            claims.subject,
            self._now(),
        )

    async def _by_key(self, text: str) -> Entry:
        try:
            key_hash = parse_api_key(text)
        except ApiKeyMalformed:
            raise Unauthenticated("The API key is not valid.") from None
        now = self._now()
        async with self._kernel.database.control() as connection:
            key = await connection.fetchrow(_KEY, key_hash)
            actor = key and await load_actor(
                connection,
                self._kernel.registry,
                key["tenant_id"],
                key["member_id"],
                api_key=(key["id"], key["name"], key["grants"]),
            )
            if not key or not actor or (key["expires_at"] and key["expires_at"] <= now):
                raise Unauthenticated("The API key is not valid.")
            if key["last_used_at"] is None or key["last_used_at"] < now - _KEY_TTL:
                await connection.execute(_KEY_USED, key["tenant_id"], key["id"], now)
        return Entry(actor, _earlier(now + _KEY_TTL, key["expires_at"]))

    async def tenant_profile(self, tenant_id: UUID) -> TenantProfile:
        """A tenant's profile. Raises: NotFound."""
        async with self._kernel.database.control() as connection:
            row = await connection.fetchrow(
                f"SELECT {PROFILE_COLUMNS} FROM tenants.tenants t WHERE t.tenant_id = $1 AND t.id = $1",
                tenant_id,
            )
        if row is None:
            raise NotFound
        return profile_of(row)

    async def member_actor(self, tenant_id: UUID, member_id: UUID) -> Actor:
        """An active member's actor, for their work that runs later. Raises: NotFound."""
        async with self._kernel.database.tenant(tenant_id, read_only=True) as connection:
            actor = await load_actor(connection, self._kernel.registry, tenant_id, member_id)
        if actor is None:
            raise NotFound
        return actor

    async def impersonation_actor(
        self, tenant_id: UUID, member_id: UUID, session_id: UUID | None = None, *, ended: bool = False
    ) -> Actor:
        """An operator in a member's place, for what they started that runs later.

        Raises: NotFound; ImpersonationEnded when that session is over, unless what was begun outlives it.
        """
        member = await self.member_actor(tenant_id, member_id)
        if session_id is not None and not ended:
            async with self._kernel.database.tenant(tenant_id, read_only=True) as connection:
                lasts = await connection.fetchval(
                    "SELECT 1 FROM tenants.sessions WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL"
                    " AND expires_at > $3",
                    tenant_id,
                    session_id,
                    self._kernel.clock.now(),
                )
            if lasts is None:
                raise ImpersonationEnded
        return replace(in_place_of(member, "", may_write=True), name=f"An operator as {member.name}")

    async def api_key_actor(self, tenant_id: UUID, key_id: UUID) -> Actor:
        """The actor of a key that still works, for its work that runs later. Raises: NotFound."""
        async with self._kernel.database.tenant(tenant_id, read_only=True) as connection:
            key = await connection.fetchrow(
                "SELECT member_id, name, grants FROM tenants.api_keys WHERE tenant_id = $1 AND id = $2"
                " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)",
                tenant_id,
                key_id,
                self._now(),
            )
            actor = key and await load_actor(
                connection,
                self._kernel.registry,
                tenant_id,
                key["member_id"],
                api_key=(key_id, key["name"], key["grants"]),
            )
        if not actor:
            raise NotFound
        return actor

    async def active_tenants(self) -> list[TenantProfile]:
        """Tenants that scheduled work runs for, oldest first."""
        async with self._kernel.database.control() as connection:
            rows = await connection.fetch(
                f"SELECT {PROFILE_COLUMNS} FROM tenants.tenants t"
                " WHERE t.status IN ('trialing', 'active', 'past_due') ORDER BY t.id"
            )
        return [profile_of(row) for row in rows]

    def forget(self, tenant_id: UUID) -> None:
        """Drop a tenant's actors from this process's cache."""
        self.cache.forget(tenant_id)

    # -- listening -----------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Hear of changes for as long as the process lives; connects again whenever the connection is lost."""
        while True:
            try:
                async with self._kernel.database.control_session() as connection:
                    await self._listen_on(connection)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("access_listener_lost", error=str(error))
            await asyncio.sleep(1)

    async def _listen_on(self, connection: Connection) -> None:
        await connection.add_listener(CHANNEL, self._heard)
        lost = asyncio.Event()
        connection.add_termination_listener(self._hang_up(lost))
        try:
            self.cache.clear()
            self.cache.connected = True
            beats = 0
            while not await _within(lost, _HEARTBEAT):
                await connection.execute("SELECT 1", timeout=_HEARTBEAT)
                beats += 1
                if beats % _KEYS_EVERY == 0:
                    await self.reload_keys()
        finally:
            self.cache.connected = False
            self.cache.clear()
            if not connection.is_closed():
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.remove_listener(CHANNEL, self._heard)

    def _hang_up(self, lost: asyncio.Event) -> Callable[..., None]:
        """Called by the driver in the moment the connection breaks: from then on nothing may be cached."""

        def hang_up(*_: Any) -> None:
            self.cache.connected = False
            self.cache.clear()
            lost.set()

        return hang_up

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        tenant, _, change = str(payload).partition(" ")
        with contextlib.suppress(ValueError):
            self.cache.release(UUID(tenant), change)

    async def reload_keys(self) -> None:
        """Take up signing keys that another process made."""
        keys = await load_signing_keys(self._kernel)
        if [key["kid"] for key in self.tokens.jwks()["keys"]] != [key.kid for key in keys]:
            self.tokens.use_keys(keys)


_KEY: Final = """
SELECT k.tenant_id, k.id, k.member_id, k.name, k.grants, k.expires_at, k.last_used_at
FROM tenants.api_key_hashes h JOIN tenants.api_keys k ON k.tenant_id = h.tenant_id AND k.id = h.api_key_id
WHERE h.key_hash = $1 AND k.revoked_at IS NULL
"""
_KEY_USED: Final = "UPDATE tenants.api_keys SET last_used_at = $3 WHERE tenant_id = $1 AND id = $2"


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event happens within so many seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _earlier(left: datetime, right: datetime | None) -> datetime:
    return left if right is None else min(left, right)


@asynccontextmanager
async def open_authenticator(kernel: Kernel) -> AsyncIterator[TenantAuthenticator]:
    """The authenticator of a process, listening for changes until the process ends."""
    tokens = AccessTokens(
        await load_signing_keys(kernel),
        issuer=kernel.settings.public_url,
        audience=AUDIENCE,
        clock=kernel.clock,
    )
    authenticator = TenantAuthenticator(kernel, tokens)
    listener = asyncio.create_task(authenticator.listen(), name="access-listener")
    try:
        async with flushing(kernel):
            yield authenticator
    finally:
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener
        authenticator.passwords.close()
        await authenticator.payments.close()
