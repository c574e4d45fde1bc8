"""`Activities` for other modules, and `OpenWork` for transfers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.access import system_actor
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of
from app.modules.activities.interface import ActivityRef, HeldOwner, Subject, TimelineEntry
from app.modules.activities.models import Activity, ActivityKind
from app.modules.activities.schemas import SUBJECT_LENGTH, ActivityCreate
from app.modules.activities.services.activities import ACTIVITY, ActivityService, as_json
from app.modules.activities.services.timeline import Timeline, conversations

_REF = "a.id, a.kind, a.subject, a.status, a.owner_id, a.happened_at, a.due_at, a.completed_at"


class ActivitiesOfTenant:
    """`Activities` for other modules, and `OpenWork` for transfers."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def add_note(
        self, about: Sequence[Subject], body: str, *, subject: str | None = None
    ) -> ActivityRef:
        return await self._add(ActivityKind.NOTE, about, subject=subject, body=body)

    async def add_task(
        self,
        about: Sequence[Subject],
        subject: str,
        *,
        owner_id: UUID | None = None,
        due_at: datetime | None = None,
        priority: str = "normal",
        body: str | None = None,
    ) -> ActivityRef:
        return await self._add(
            ActivityKind.TASK,
            about,
            subject=subject,
            owner_id=owner_id,
            due_at=due_at,
            priority=priority,
            body=body,
        )

    async def _add(self, kind: ActivityKind, about: Sequence[Subject], **given: Any) -> ActivityRef:
        body = ActivityCreate.model_validate({"kind": kind, "about": as_json(about), **given})
        return _ref(await ActivityService(self._uow).create(fields_of(body)))

    async def assign_task(
        self,
        about: Sequence[Subject],
        subject: str,
        *,
        owner_id: UUID | None = None,
        due_at: datetime | None = None,
        held: HeldOwner | None = None,
    ) -> ActivityRef:
        service = ActivityService(self._uow)
        service.actor = system_actor(self._uow.actor.tenant)
        given = {
            "kind": ActivityKind.TASK,
            "about": as_json(about),
            "subject": subject,
            "owner_id": owner_id,
            "due_at": due_at,
        }
        fields = fields_of(ActivityCreate.model_validate(given))
        if held is None:
            return _ref(await service.create(fields))
        return _ref(await service.create_held(fields, held))

    async def record_call(
        self,
        about: Sequence[Subject],
        subject: str,
        *,
        owner_id: UUID,
        happened_at: datetime,
        duration_seconds: int,
        direction: str,
        outcome: str | None = None,
        body: str | None = None,
    ) -> ActivityRef:
        service = ActivityService(self._uow)
        service.actor = system_actor(self._uow.actor.tenant)
        given = {
            "kind": ActivityKind.CALL,
            "about": as_json(about),
            "subject": subject[:SUBJECT_LENGTH],
            "owner_id": owner_id,
            "happened_at": happened_at,
            "duration_seconds": duration_seconds,
            "direction": direction,
            "outcome": outcome,
            "body": body,
        }
        made = ActivityCreate.model_validate(given)
        return _ref(await service.create(fields_of(made)))

    async def conversations(
        self, about: Collection[Subject], *, limit: int = 5
    ) -> Mapping[Subject, list[TimelineEntry]]:
        return await conversations(self._uow, about, limit)

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, ActivityRef]:
        rows = await self._uow.fetch(
            f"SELECT {_REF} FROM activities.activities a"
            " WHERE a.tenant_id = $1 AND a.id = ANY($2::uuid[]) AND a.deleted_at IS NULL",
            self._uow.tenant_id,
            list(ids),
        )
        return {row["id"]: _ref(row) for row in rows}

    async def move(self, source: Subject, to: Sequence[Subject]) -> int:
        uow = self._uow
        moved = await uow.fetch(
            "DELETE FROM activities.links WHERE tenant_id = $1 AND object = $2 AND record_id = $3"
            " RETURNING activity_id, at",
            uow.tenant_id,
            source.object,
            source.record_id,
        )
        if not moved:
            return 0
        ids = [row["activity_id"] for row in moved]
        for subject in to:
            await uow.fetch(
                "INSERT INTO activities.links (tenant_id, id, activity_id, object, record_id, at)"
                " SELECT $1, gen_random_uuid(), m.activity_id, $2, $3, m.at"
                " FROM unnest($4::uuid[], $5::timestamptz[]) AS m(activity_id, at)"
                " ON CONFLICT (tenant_id, activity_id, object, record_id) DO NOTHING",
                uow.tenant_id,
                subject.object,
                subject.record_id,
                ids,
                [row["at"] for row in moved],
            )
        await uow.fetch(_REBUILD_ABOUT, uow.tenant_id, ids, uow.now)
        for id in ids:
            uow.record_audit(
                "activity",
                id,
                "moved",
                {"about": [[as_json([source])[0]], as_json(list(to))]},
            )
        return len(ids)

    async def for_records(
        self, object_name: str, ids: Collection[UUID], *, limit: int = 20
    ) -> Mapping[UUID, list[ActivityRef]]:
        rows = await self._uow.fetch(
            f"SELECT wanted.id AS about_id, {_REF} FROM unnest($3::uuid[]) AS wanted(id) CROSS JOIN LATERAL ("
            " SELECT l.activity_id FROM activities.links l JOIN activities.activities d"
            "  ON d.tenant_id = l.tenant_id AND d.id = l.activity_id AND d.deleted_at IS NULL"
            " WHERE l.tenant_id = $1 AND l.object = $2 AND l.record_id = wanted.id"
            " ORDER BY l.at DESC, l.activity_id DESC LIMIT $4) newest"
            " JOIN activities.activities a ON a.tenant_id = $1 AND a.id = newest.activity_id"
            " ORDER BY a.happened_at DESC, a.id DESC",
            self._uow.tenant_id,
            object_name,
            list(ids),
            limit,
        )
        found: dict[UUID, list[ActivityRef]] = {}
        for row in rows:
            found.setdefault(row["about_id"], []).append(_ref(row))
        return found

    async def next_open(self, object_name: str, ids: Collection[UUID]) -> Mapping[UUID, ActivityRef]:
        rows = await self._uow.fetch(
            f"SELECT DISTINCT ON (l.record_id) l.record_id AS about_id, {_REF}"
            " FROM activities.links l JOIN activities.activities a"
            "  ON a.tenant_id = l.tenant_id AND a.id = l.activity_id"
            " WHERE l.tenant_id = $1 AND l.object = $2 AND l.record_id = ANY($3::uuid[])"
            " AND a.status = 'open' AND a.deleted_at IS NULL"
            " ORDER BY l.record_id, a.due_at, a.id",
            self._uow.tenant_id,
            object_name,
            list(ids),
        )
        return {row["about_id"]: _ref(row) for row in rows}

    async def timeline(
        self, subject: Subject, *, limit: int = 20, kinds: Collection[str] = ()
    ) -> list[TimelineEntry]:
        return await Timeline(self._uow).entries(subject, limit=limit, kinds=kinds)

    async def hand_over(
        self, object_name: str, record_ids: list[UUID], owner_id: UUID
    ) -> Mapping[str, list[UUID]]:
        """Give the open activities about these records to their new owner."""
        uow = self._uow
        team = (await uow.of(People).require_members([owner_id], pointer="/owner_id"))[owner_id]
        found = await uow.fetch(_OPEN_OF_OTHERS, uow.tenant_id, object_name, record_ids, owner_id)
        formers = {row["id"]: row["owner_id"] for row in found}
        rows = await uow.fetch(_HAND_OVER, uow.tenant_id, list(formers), owner_id, team, uow.now)
        for row in rows:
            changes = {"owner_id": [formers[row["id"]], owner_id]}
            uow.record_audit("activity", row["id"], "transferred", changes)
            uow.publish(
                ACTIVITY.updated(id=row["id"], version=row["version"], changed=["owner_id", "team_id"])
            )
        return {"activity": [row["id"] for row in rows]}


def _ref(row: Any) -> ActivityRef:
    values = row.__dict__ if isinstance(row, Activity) else row
    return ActivityRef(**{name: values[name] for name in ActivityRef.__slots__})


_REBUILD_ABOUT = """
UPDATE activities.activities a SET version = a.version + 1, updated_at = $3, about = coalesce((
  SELECT jsonb_agg(jsonb_build_object('object', l.object, 'record_id', l.record_id) ORDER BY l.object, l.record_id)
  FROM activities.links l WHERE l.tenant_id = a.tenant_id AND l.activity_id = a.id), '[]')
WHERE a.tenant_id = $1 AND a.id = ANY($2::uuid[])"""

# As an array, not by a join: that went through all pairs of the company's activities and these links.
_OPEN_OF_OTHERS = """
SELECT a.id, a.owner_id FROM activities.activities a
WHERE a.tenant_id = $1 AND a.id = ANY(ARRAY(
    SELECT DISTINCT l.activity_id FROM activities.links l
    WHERE l.tenant_id = $1 AND l.object = $2 AND l.record_id = ANY($3::uuid[])))
  AND a.status = 'open' AND a.deleted_at IS NULL AND a.owner_id IS DISTINCT FROM $4
ORDER BY a.id FOR NO KEY UPDATE"""

_HAND_OVER = """
UPDATE activities.activities a SET owner_id = $3, team_id = $4, version = a.version + 1, updated_at = $5
WHERE a.tenant_id = $1 AND a.id = ANY($2::uuid[])
RETURNING a.id, a.version"""
