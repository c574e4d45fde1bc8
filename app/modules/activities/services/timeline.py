"""One timeline for anything: activities about a record, changes of it, and what other modules add."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from app.kernel.errors import NotFound
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Position, Subject, TimelineEntry, TimelineSource
from app.modules.activities.models import ActivityKind

CHANGE = "change"
_ACTIVITY_KINDS = frozenset(ActivityKind)
_NEVER_SHOWN = frozenset({"custom_index", "tokens"})


class Timeline:
    """Merges the sources of a record's timeline, each asked for one page."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def require_visible(self, subject: Subject) -> None:
        """Raises `NotFound` for an unknown type or a record that the actor may not read."""
        record = self._uow.kernel.registry.records.get(subject.object)
        if record is None:
            raise NotFound
        await record.service(self._uow).get(subject.record_id)

    async def entries(
        self,
        subject: Subject,
        *,
        before: Position | None = None,
        limit: int = 20,
        kinds: Collection[str] = (),
    ) -> list[TimelineEntry]:
        """At most `limit` entries older than `before`, newest first; the subject must be visible."""
        found: list[TimelineEntry] = []
        activity_kinds = _ACTIVITY_KINDS.intersection(kinds) if kinds else _ACTIVITY_KINDS
        if activity_kinds and self._uow.actor.may("activity:read"):
            found += await self._activities(subject, before, limit, sorted(activity_kinds))
        if not kinds or CHANGE in kinds:
            found += await self._changes(subject, before, limit)
        for source in self._uow.ports(TimelineSource):
            if not kinds or not source.kinds.isdisjoint(kinds):
                more = await source.entries(subject, before=before, limit=limit)
                found += [entry for entry in more if not kinds or entry.kind in kinds]
        found.sort(key=lambda entry: (entry.at, entry.id), reverse=True)
        return found[:limit]

    async def _activities(
        self, subject: Subject, before: Position | None, limit: int, kinds: Sequence[str]
    ) -> list[TimelineEntry]:
        rows = await self._uow.fetch(
            "SELECT a.id, a.kind, a.subject, a.body, a.status, a.priority, a.owner_id, a.due_at, a.happened_at,"
            " a.completed_at, a.duration_seconds, a.direction, a.outcome, a.created_by"
            " FROM activities.links l JOIN activities.activities a"
            "  ON a.tenant_id = l.tenant_id AND a.id = l.activity_id AND a.deleted_at IS NULL"
            " WHERE l.tenant_id = $1 AND l.object = $2 AND l.record_id = $3 AND a.kind = ANY($4::text[])"
            " AND ($5::timestamptz IS NULL OR (l.at, l.activity_id) < ($5, $6::uuid))"
            " ORDER BY l.at DESC, l.activity_id DESC LIMIT $7",
            self._uow.tenant_id,
            subject.object,
            subject.record_id,
            list(kinds),
            before.at if before else None,
            before.id if before else None,
            limit,
        )
        hidden = self._uow.actor.hidden("activity")
        return [_activity_entry(row, hidden) for row in rows]

    async def _changes(self, subject: Subject, before: Position | None, limit: int) -> list[TimelineEntry]:
        rows = await self._uow.fetch(
            "SELECT id, at, actor_id, actor_name, action, changes, reason FROM kernel.audit_entries"
            " WHERE tenant_id = $1 AND object = $2 AND record_id = $3"
            " AND ($4::timestamptz IS NULL OR (at, id) < ($4, $5::uuid)) ORDER BY at DESC, id DESC LIMIT $6",
            self._uow.tenant_id,
            subject.object,
            subject.record_id,
            before.at if before else None,
            before.id if before else None,
            limit,
        )
        hidden = self._uow.actor.hidden(subject.object) | _NEVER_SHOWN
        return [_change_entry(row, hidden) for row in rows]


async def conversations(
    uow: UnitOfWork, about: Collection[Subject], limit: int
) -> dict[Subject, list[TimelineEntry]]:
    """The newest of what was said with somebody, by visible record; one statement."""
    if not about or not uow.actor.may("activity:read"):
        return {}
    subjects = list(dict.fromkeys(about))
    rows = await uow.fetch(
        _CONVERSATIONS,
        uow.tenant_id,
        [subject.object for subject in subjects],
        [subject.record_id for subject in subjects],
        uow.now,
        limit,
    )
    hidden = uow.actor.hidden("activity")
    found: dict[Subject, list[TimelineEntry]] = {}
    for row in rows:
        subject = Subject(row["about_object"], row["about_id"])
        found.setdefault(subject, []).append(_activity_entry(row, hidden))
    return found


_CONVERSATIONS = """
SELECT s.object AS about_object, s.record_id AS about_id, a.*
FROM unnest($2::text[], $3::uuid[]) AS s(object, record_id) CROSS JOIN LATERAL (
  SELECT a.id, a.kind, a.subject, a.body, a.status, a.priority, a.owner_id, a.due_at, a.happened_at, a.completed_at,
    a.duration_seconds, a.direction, a.outcome, a.created_by
  FROM activities.links l JOIN activities.activities a
    ON a.tenant_id = l.tenant_id AND a.id = l.activity_id AND a.deleted_at IS NULL
  WHERE l.tenant_id = $1 AND l.object = s.object AND l.record_id = s.record_id AND l.at <= $4
    AND a.kind IN ('call', 'meeting', 'visit', 'note')
  ORDER BY l.at DESC, l.activity_id DESC LIMIT $5
) a ORDER BY a.happened_at DESC, a.id DESC"""


def _activity_entry(row: Any, hidden: frozenset[str]) -> TimelineEntry:
    more = (
        "status", "priority", "owner_id", "due_at", "completed_at", "duration_seconds", "direction", "outcome",
    )  # fmt: skip
    return TimelineEntry(
        id=row["id"],
        at=row["happened_at"],
        kind=row["kind"],
        title=row["subject"],
        text=None if "body" in hidden else row["body"],
        actor_id=row["created_by"],
        object="activity",
        record_id=row["id"],
        data={name: row[name] for name in more if name not in hidden},
    )


def _change_entry(row: Any, hidden: frozenset[str]) -> TimelineEntry:
    changes = {name: pair for name, pair in row["changes"].items() if name not in hidden}
    return TimelineEntry(
        id=row["id"],
        at=row["at"],
        kind=CHANGE,
        title=_title(row["action"], changes),
        text=row["reason"],
        actor_id=row["actor_id"],
        actor_name=row["actor_name"],
        data={"action": row["action"], "changes": {} if row["action"] == "created" else changes},
    )


def _title(action: str, changes: dict[str, Any]) -> str:
    """`Created`, `Owner changed`, `Changed: rating, phone`, `Converted`."""
    if action == "transferred" or (
        action == "updated" and set(changes) <= {"owner_id", "team_id"} and changes
    ):
        return "Owner changed"
    if action == "updated":
        fields = sorted(changes)
        shown = ", ".join(name.removesuffix("_id").replace("_", " ") for name in fields[:4])
        return f"Changed: {shown}{' …' if len(fields) > 4 else ''}" if fields else "Changed"
    return action.replace("_", " ").capitalize()
