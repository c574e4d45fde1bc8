"""Everything that waits for a member, from every module, in one order and one statement."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.errors import InvalidFilter
from app.kernel.listing import Bindings
from app.kernel.notifications import Notifications
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace, ToDoSource, Waiting
from app.modules.activities.services.activities import MENTIONED
from app.modules.activities.services.people import OBJECT

RSVP: Final = "rsvp"
MENTION: Final = "mention"
_OWN: Final = frozenset({"task", "call", "meeting", "visit"})


class ToDos:
    """Merges what the modules say waits for the actor."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def page(self, *, kinds: Collection[str], after: ToDoPlace | None, limit: int) -> list[ToDo]:
        """At most `limit` behind `after`, by due time, those without one last, and id.

        Raises `InvalidFilter` for a kind that nobody has.
        """
        sources = self.uow.ports(ToDoSource)
        known = {kind for source in sources for kind in source.kinds}
        unknown = sorted(set(kinds) - known)
        if unknown:
            raise InvalidFilter(f"kind is one of: {', '.join(sorted(known))}.", parameter="kind")
        bind = Bindings()
        tail = f"w.kind = ANY({bind(sorted(kinds or known))}::text[]){_behind(after, bind)}"
        tail += f" ORDER BY w.due_at, w.id LIMIT {bind(limit)}"
        asked = [source for source in sources if not kinds or not source.kinds.isdisjoint(kinds)]
        parts = [f"(SELECT * FROM ({_select(one)}) w WHERE {tail})" for one in _waiting(asked, bind)]
        if not parts:
            return []
        sql = f"SELECT * FROM ({' UNION ALL '.join(parts)}) w WHERE {tail}"
        return [ToDo(**row) for row in await self.uow.fetch(sql, *bind.values)]

    async def counts(self) -> dict[str, int]:
        """How many of each kind, none left out, by kind."""
        sources = self.uow.ports(ToDoSource)
        found = {kind: 0 for source in sources for kind in source.kinds}
        bind = Bindings()
        parts = [_select(one) for one in _waiting(sources, bind)]
        if parts:
            sql = f"SELECT w.kind, count(*) AS count FROM ({' UNION ALL '.join(parts)}) w GROUP BY w.kind"
            rows = await self.uow.fetch(sql, *bind.values)
            found |= {row["kind"]: row["count"] for row in rows}
        return dict(sorted(found.items()))


def _waiting(sources: Collection[ToDoSource], bind: Bindings) -> list[Waiting]:
    return [one for source in sources for one in source.waiting(bind)]


def _select(one: Waiting) -> str:
    data = ", ".join(f"'{name}', {sql}" for name, sql in one.data.items())
    return (
        f"SELECT {one.id} AS id, ({one.kind})::text AS kind, ({one.title})::text AS title,"
        f" ({one.due_at})::timestamptz AS due_at, {one.since} AS since, ({one.object})::text AS object,"
        f" {one.record_id} AS record_id, jsonb_build_object({data}) AS data FROM {one.rows}"
    )


def _behind(after: ToDoPlace | None, bind: Bindings) -> str:
    if after is None:
        return ""
    id = f"{bind(after.id)}::uuid"
    if after.due_at is None:
        return f" AND w.due_at IS NULL AND w.id > {id}"
    return f" AND (w.due_at IS NULL OR (w.due_at, w.id) > ({bind(after.due_at)}::timestamptz, {id}))"


class ActivityToDos:
    """`ToDoSource`: my open tasks, calls, meetings and visits, invitations to answer, mentions not read."""

    kinds = _OWN | {RSVP, MENTION}

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        found = [self._mentions(bind)]
        if self.uow.actor.may("activity:read"):
            tenant, me = bind(self.uow.tenant_id), bind(self.uow.actor.member_id or NOBODY)
            found += [self._open(tenant, me, bind), self._to_answer(tenant, me, bind)]
        return found

    def _open(self, tenant: str, me: str, bind: Bindings) -> Waiting:
        return Waiting(
            rows=f"activities.activities a WHERE a.tenant_id = {tenant} AND a.owner_id = {me}"
            f" AND a.deleted_at IS NULL AND a.status = 'open' AND a.kind = ANY({bind(sorted(_OWN))}::text[])",
            id="a.id",
            kind="a.kind",
            title="a.subject",
            due_at="a.due_at",
            since="a.created_at",
            object=f"'{OBJECT}'",
            record_id="a.id",
            data={"priority": "a.priority", "about": "a.about"},
        )

    def _to_answer(self, tenant: str, me: str, bind: Bindings) -> Waiting:
        now = bind(self.uow.now)
        return Waiting(
            rows="activities.attendees t JOIN activities.activities a ON a.tenant_id = t.tenant_id"
            f" AND a.id = t.activity_id WHERE t.tenant_id = {tenant} AND t.member_id = {me}"
            " AND t.response = 'needs_action' AND a.deleted_at IS NULL AND a.status = 'open'"
            " AND a.starts_at IS NOT NULL AND CASE WHEN a.recurrence IS NULL THEN a.ends_at > "
            f"{now} ELSE a.recurs_until IS NULL OR a.recurs_until > {now} END",
            id="t.id",
            kind=f"'{RSVP}'",
            title="a.subject",
            due_at="a.starts_at",
            since="t.created_at",
            object=f"'{OBJECT}'",
            record_id="t.activity_id",
            data={
                "starts_at": _in_utc("a.starts_at"),
                "ends_at": _in_utc("a.ends_at"),
                "place": "a.place",
                "recurrence": "a.recurrence",
            },
        )

    def _mentions(self, bind: Bindings) -> Waiting:
        return Waiting(
            rows=Notifications(self.uow).unread([MENTIONED], bind),
            id="n.id",
            kind=f"'{MENTION}'",
            title="n.title",
            due_at="NULL",
            since="n.created_at",
            object=f"coalesce(n.object, '{OBJECT}')",
            record_id="coalesce(n.record_id, n.id)",
            data={"notification_id": "n.id", "actor_id": "n.actor_id"},
        )


def _in_utc(time: str) -> str:
    """SQL of a time as answers write it."""
    return f"replace(to_jsonb({time}) #>> '{{}}', '+00:00', 'Z')"
