"""What a running job has and may raise, and who it acts as."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

from app.kernel import uow as units
from app.kernel.access import OPEN_TENANT_STATES, Actor, system_actor
from app.kernel.errors import TenantCancelled, TenantSuspended

if TYPE_CHECKING:
    from app.kernel.runtime import Kernel

PROGRESS_SECONDS = 1.0
LOOK_AGAIN = timedelta(minutes=5)  # whether an account that is closed is open again


class JobCancelled(Exception):
    """Raised by job code that has stopped because it was asked to."""


class JobPaused(Exception):
    """Raised by job code that stops because the worker does; the job goes on elsewhere at once."""


class JobDeferred(Exception):
    """Raised by job code that cannot do its work yet: it is queued until `until`, and the attempt does not count."""

    def __init__(self, until: datetime, reason: str) -> None:
        super().__init__(reason)
        self.until, self.reason = until, reason


class JobLost(Exception):
    """The lease ran out and someone else may have taken over; nothing more may be written."""


class _LaterActors(Protocol):
    async def impersonation_actor(
        self, tenant_id: UUID, member_id: UUID, session_id: UUID | None, *, ended: bool
    ) -> Actor:
        """An operator in a member's place, for work they started that runs later; with `ended` also after it."""

    async def api_key_actor(self, tenant_id: UUID, key_id: UUID) -> Actor:
        """The actor of an API key, for work it started that runs later."""


@dataclass
class JobContext:
    """What a running job has: its actor, transactions, progress, and whether it should stop."""

    kernel: Kernel
    actor: Actor
    id: UUID
    payload: dict[str, Any]
    attempt: int
    request_id: str = ""
    owner: str = ""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _cancel_seen: bool = False
    _told_at: float = 0.0
    _asked_at: float = 0.0

    def transaction(self, *, point_work: bool = False) -> AbstractAsyncContextManager[units.UnitOfWork]:
        """One transaction of the actor; commits on leaving, rolls back on an error (`db.begin`)."""
        return units.transaction(self.kernel, self.actor, request_id=self.request_id, point_work=point_work)

    async def progress(self, done: int, total: int | None = None, **counts: int) -> None:
        """Show how far it is, at most once a second and on a connection of its own. A crash may lose it."""
        if time.monotonic() - self._told_at < PROGRESS_SECONDS and done != total:
            return
        self._told_at = time.monotonic()
        async with self.kernel.database.control() as connection:
            row = await connection.fetchrow(
                "UPDATE kernel.jobs SET progress = $4 WHERE tenant_id = $1 AND id = $2 AND locked_by = $3"
                " RETURNING cancel_requested, set_config('synchronous_commit', 'off', true)",
                self.actor.tenant.id,
                self.id,
                self.owner,
                {"done": done, "total": total, **counts},
            )
        self._cancel_seen = self._cancel_seen or bool(row and row["cancel_requested"])

    async def cancelled(self) -> bool:
        """Whether someone asked to stop; asks the database at most once a second."""
        if not self._cancel_seen and time.monotonic() - self._asked_at >= PROGRESS_SECONDS:
            self._asked_at = time.monotonic()
            async with self.kernel.database.control() as connection:
                self._cancel_seen = bool(
                    await connection.fetchval(
                        "SELECT cancel_requested FROM kernel.jobs WHERE tenant_id = $1 AND id = $2",
                        self.actor.tenant.id,
                        self.id,
                    )
                )
        return self._cancel_seen

    async def go_on(self) -> None:
        """Stop here if the worker does or somebody asked to. Raises: JobPaused; JobCancelled."""
        if self.stopping.is_set():
            raise JobPaused
        if await self.cancelled():
            raise JobCancelled


async def actor_of(
    kernel: Kernel,
    tenant_id: UUID,
    kind: str,
    actor_id: UUID,
    *,
    session_id: UUID | None = None,
    ended: bool = False,
) -> Actor:
    """Who a job acts as: whoever enqueued it, with the rights they have when it runs.

    An operator in a member's place acts as long as their session lasts, with `ended` also after it.
    Raises: `NotFound`, `Forbidden` when that member or key is gone, or the impersonation is over.
    """
    if kind == "member":
        return await kernel.authenticator.member_actor(tenant_id, actor_id)
    if kind == "impersonation":
        later = cast("_LaterActors", kernel.authenticator)
        return await later.impersonation_actor(tenant_id, actor_id, session_id, ended=ended)
    if kind == "api_key":
        return await cast("_LaterActors", kernel.authenticator).api_key_actor(tenant_id, actor_id)
    return system_actor(await kernel.authenticator.tenant_profile(tenant_id))


def require_open(actor: Actor, now: datetime) -> None:
    """Let work wait while the company's account is suspended or cancelled. Raises: JobDeferred."""
    if actor.tenant.status not in OPEN_TENANT_STATES:
        why = TenantSuspended if actor.tenant.status == "suspended" else TenantCancelled
        raise JobDeferred(now + LOOK_AGAIN, f"{why.code}: {why.title}")
