"""A member's calendar as a secret address for other programs (RFC 5545)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.access import NOBODY, Actor, visible_rows
from app.kernel.errors import Forbidden, NotFound
from app.kernel.links import Link, new_link, read_link
from app.kernel.listing import Bindings
from app.kernel.runtime import Kernel
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork, transaction
from app.modules.activities.models import Activity, CalendarFeed
from app.modules.activities.services import ics
from app.modules.activities.services.people import OBJECT

PAST: Final = timedelta(days=90)
FUTURE: Final = timedelta(days=366)
MAX_EVENTS: Final = 2_000
SUFFIX: Final = ".ics"
FEED: Final = "activities.calendar"


class CalendarFeeds:
    """The calendar address of whoever acts."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def mine(self) -> CalendarFeed | None:
        """The address in force, without its secret."""
        statement = self.uow.select(CalendarFeed).where(CalendarFeed.member_id == self._me)
        return await self.uow.first(statement)

    async def make(self) -> str:
        """A new address; the one before stops working. It is kept as a hash and never shown again."""
        made = new_link(self.uow.kernel, self.uow.tenant_id, FEED)
        await self.uow.fetch(
            "INSERT INTO activities.calendar_feeds (tenant_id, id, member_id, token_hash, created_at)"
            " VALUES ($1, $2, $2, $3, $4) ON CONFLICT (tenant_id, member_id)"
            " DO UPDATE SET token_hash = $3, created_at = $4",
            self.uow.tenant_id,
            self._me,
            made.hash,
            self.uow.now,
        )
        self.uow.record_audit("member", self._me, "calendar_feed_made")
        return self.uow.kernel.settings.address_of(f"/public/calendars/{made.token}{SUFFIX}")

    async def revoke(self) -> None:
        """The address stops working. Raises `NotFound` when there is none."""
        found = await self.mine()
        if found is None:
            raise NotFound
        await self.uow.delete(found)
        self.uow.record_audit("member", self._me, "calendar_feed_revoked")

    @property
    def _me(self) -> UUID:
        if self.uow.actor.member_id is None:
            raise Forbidden("Only a member has a calendar.")
        return self.uow.actor.member_id


async def feed(kernel: Kernel, name: str) -> tuple[bytes, str]:
    """The calendar behind an address, and its ETag. Raises `NotFound` for any address that does not work."""
    if not name.endswith(SUFFIX):
        raise NotFound
    member = await _member_of(kernel, read_link(kernel, name.removesuffix(SUFFIX), FEED))
    if not member.may("activity:read"):
        raise NotFound
    async with transaction(kernel, member, read_only=True) as uow:
        content = await _content(uow)
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


async def _member_of(kernel: Kernel, link: Link) -> Actor:
    """The member whose address it is, with the rights they have now."""
    async with kernel.database.tenant(link.tenant_id, read_only=True) as connection:
        member_id = await connection.fetchval(
            "SELECT member_id FROM activities.calendar_feeds WHERE tenant_id = $1 AND token_hash = $2",
            link.tenant_id,
            link.hash,
        )
    if member_id is None:
        raise NotFound
    try:
        actor = await kernel.authenticator.member_actor(link.tenant_id, member_id)
    except Forbidden:
        raise NotFound from None
    if actor.tenant.status in ("cancelled", "erased"):
        raise NotFound
    return actor


async def _content(uow: UnitOfWork) -> bytes:
    rows = await _activities(uow)
    kept_out = _kept_out(rows)
    hidden = uow.actor.hidden(OBJECT)
    components = [
        ics.component_of(
            row,
            public_url=uow.kernel.settings.public_url,
            description=None if "body" in hidden else row.body,
            kept_out=kept_out.get(row.id, ()),
            series_zone=row.time_zone,
        )
        for row in rows
    ]
    return ics.calendar_of([one for one in components if one is not None], name=uow.actor.tenant.name)


def _kept_out(rows: Sequence[Activity]) -> dict[UUID, list[datetime]]:
    changed: dict[UUID, set[datetime]] = {}
    for row in rows:
        if row.series_id is not None and row.occurrence_at is not None:
            changed.setdefault(row.series_id, set()).add(row.occurrence_at)
    return {
        row.id: sorted({datetime.fromisoformat(text) for text in row.excluded} - changed.get(row.id, set()))
        for row in rows
        if row.recurrence
    }


async def _activities(uow: UnitOfWork) -> list[Activity]:
    """Mine and those I am invited to and have not declined, around this time; series as long as they go on."""
    actor, now = uow.actor, uow.now
    bind = Bindings(uow.tenant_id, actor.member_id or NOBODY, now - PAST, now + FUTURE)
    visible = visible_rows(actor, "activity", "read", bind, alias="a") or "true"
    columns = ", ".join(f"a.{name}" for name in columns_of(Activity))
    rows: list[Any] = await uow.fetch(
        f"SELECT {columns} FROM activities.activities a WHERE a.tenant_id = $1 AND a.deleted_at IS NULL"
        " AND (a.owner_id = $2 OR a.id IN (SELECT t.activity_id FROM activities.attendees t"
        "  WHERE t.tenant_id = $1 AND t.member_id = $2 AND t.response <> 'declined'))"
        " AND ((a.starts_at IS NOT NULL AND a.starts_at < $4"
        "   AND CASE WHEN a.recurrence IS NULL THEN a.ends_at >= $3"
        "            ELSE a.recurs_until IS NULL OR a.recurs_until >= $3 END)"
        "  OR (a.kind = 'task' AND a.due_at BETWEEN $3 AND $4 AND a.status <> 'cancelled'))"
        f" AND {visible} ORDER BY coalesce(a.starts_at, a.due_at) DESC, a.id LIMIT {MAX_EVENTS}",
        *bind.values,
    )
    return [entity(Activity, row) for row in rows]
