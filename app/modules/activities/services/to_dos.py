"""Everything that waits for a member, from every module, in one order: each source is asked for one page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from app.kernel.access import NOBODY
from app.kernel.errors import InvalidFilter
from app.kernel.notifications import Notifications
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace, ToDoSource
from app.modules.activities.services.activities import MENTIONED
from app.modules.activities.services.people import OBJECT

RSVP: Final = "rsvp"
MENTION: Final = "mention"
_OWN: Final = frozenset({"task", "call", "meeting", "visit"})
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def place_of(to_do: ToDo) -> tuple[datetime, UUID]:
    """Where a to-do stands: by due time, those without one last, and then by id."""
    return (to_do.due_at or _LAST, to_do.id)


class ToDos:
    """Merges what the modules say waits for the actor."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def page(self, *, kinds: Collection[str], after: ToDoPlace | None, limit: int) -> list[ToDo]:
        """At most `limit` behind `after`. Raises `InvalidFilter` for a kind that nobody has."""
        sources = self.uow.ports(ToDoSource)
        known = {kind for source in sources for kind in source.kinds}
        unknown = sorted(set(kinds) - known)
        if unknown:
            raise InvalidFilter(f"kind is one of: {', '.join(sorted(known))}.", parameter="kind")
        found: list[ToDo] = []
        for source in sources:
            wanted = source.kinds & set(kinds) if kinds else source.kinds
            if wanted:
                found += await source.to_dos(kinds=wanted, after=after, limit=limit)
        return sorted(found, key=place_of)[:limit]

    async def counts(self) -> dict[str, int]:
        """How many of each kind, none left out, by kind."""
        sources = self.uow.ports(ToDoSource)
        found = {kind: 0 for source in sources for kind in source.kinds}
        for source in sources:
            found |= await source.counts()
        return dict(sorted(found.items()))


class ActivityToDos:
    """`ToDoSource`: my open tasks, calls, meetings and visits, invitations to answer, mentions not read."""

    kinds = _OWN | {RSVP, MENTION}

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self._me = uow.actor.member_id or NOBODY

    async def to_dos(self, *, kinds: Collection[str], after: ToDoPlace | None, limit: int) -> Sequence[ToDo]:
        found: list[ToDo] = []
        if self.uow.actor.may("activity:read"):
            own = sorted(_OWN.intersection(kinds))
            if own:
                found += await self._open(own, after, limit)
            if RSVP in kinds:
                found += await self._to_answer(after, limit)
        if MENTION in kinds:
            found += await self._mentions(after, limit)
        return found

    async def _open(self, kinds: Sequence[str], after: ToDoPlace | None, limit: int) -> list[ToDo]:
        rows = await self.uow.fetch(
            "SELECT a.id, a.kind, a.subject, a.due_at, a.created_at, a.priority, a.about FROM activities.activities a"
            " WHERE a.tenant_id = $1 AND a.owner_id = $2 AND a.deleted_at IS NULL AND a.status = 'open'"
            f" AND a.kind = ANY($3::text[]) AND {_BEHIND.format(due='a.due_at', id='a.id')}"
            " ORDER BY a.due_at, a.id LIMIT $6",
            self.uow.tenant_id,
            self._me,
            list(kinds),
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        return [
            ToDo(
                id=row["id"],
                kind=row["kind"],
                title=row["subject"],
                due_at=row["due_at"],
                since=row["created_at"],
                object=OBJECT,
                record_id=row["id"],
                data={"priority": row["priority"], "about": row["about"]},
            )
            for row in rows
        ]

    async def _to_answer(self, after: ToDoPlace | None, limit: int) -> list[ToDo]:
        rows = await self.uow.fetch(
            "SELECT t.id, t.activity_id, t.created_at, a.subject, a.starts_at, a.ends_at, a.place, a.recurrence"
            f" FROM {_WAITING} AND {_BEHIND.format(due='a.starts_at', id='t.id')}"
            " ORDER BY a.starts_at, t.id LIMIT $6",
            self.uow.tenant_id,
            self._me,
            self.uow.now,
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        return [
            ToDo(
                id=row["id"],
                kind=RSVP,
                title=row["subject"],
                due_at=row["starts_at"],
                since=row["created_at"],
                object=OBJECT,
                record_id=row["activity_id"],
                data={name: row[name] for name in ("starts_at", "ends_at", "place", "recurrence")},
            )
            for row in rows
        ]

    async def _mentions(self, after: ToDoPlace | None, limit: int) -> list[ToDo]:
        behind = after.id if after is not None and after.due_at is None else None
        rows = await Notifications(self.uow).unread([MENTIONED], after=behind, limit=limit)
        return [
            ToDo(
                id=row.id,
                kind=MENTION,
                title=row.title,
                due_at=None,
                since=row.created_at,
                object=row.object or OBJECT,
                record_id=row.record_id or row.id,
                data={"notification_id": row.id, "actor_id": row.actor_id},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        found = {MENTION: await Notifications(self.uow).count_unread([MENTIONED])}
        if not self.uow.actor.may("activity:read"):
            return found
        rows = await self.uow.fetch(
            "SELECT a.kind, count(*) AS count FROM activities.activities a WHERE a.tenant_id = $1 AND a.owner_id = $2"
            " AND a.deleted_at IS NULL AND a.status = 'open' AND a.kind <> 'note' GROUP BY a.kind"
            f" UNION ALL SELECT '{RSVP}', count(*) FROM {_WAITING}",
            self.uow.tenant_id,
            self._me,
            self.uow.now,
        )
        return found | {row["kind"]: row["count"] for row in rows}


# $4 and $5 are the place behind which to go on.
_BEHIND = (
    "($5::uuid IS NULL OR ({due}, {id}) > ($4::timestamptz, $5) OR ({due} IS NULL AND $4 IS NOT NULL)"
    " OR ({due} IS NULL AND $4 IS NULL AND {id} > $5))"
)
_WAITING = (
    "activities.attendees t JOIN activities.activities a ON a.tenant_id = t.tenant_id AND a.id = t.activity_id"
    " WHERE t.tenant_id = $1 AND t.member_id = $2 AND t.response = 'needs_action' AND a.deleted_at IS NULL"
    " AND a.status = 'open' AND a.starts_at IS NOT NULL"
    " AND CASE WHEN a.recurrence IS NULL THEN a.ends_at > $3 ELSE a.recurs_until IS NULL OR a.recurs_until > $3 END"
)
