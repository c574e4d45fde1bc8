"""Activities as records: what they may be about, how they end, and what others may do with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app.kernel.access import system_actor
from app.kernel.errors import Invalid, InvalidTransition, StaleVersion
from app.kernel.people import People
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ActivityFollower, ActivityRef, Subject, TimelineEntry
from app.modules.activities.models import Activity, ActivityKind, ActivityStatus, Link
from app.modules.activities.schemas import ActivityCreate, ActivityRead, ActivityUpdate

_REF = "a.id, a.kind, a.subject, a.status, a.owner_id, a.happened_at, a.due_at, a.completed_at"


class ActivityService(RecordService[Activity]):
    """Activities with their links to the records that they are about."""

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Activity:
        """As every record; times and status that were left out follow from the kind."""
        return await super().create(self._completed(given), explicit=explicit)

    def _completed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(given)
        planned = values.get("due_at") is not None and values.get("happened_at") is None
        if values.get("status") is None:
            is_open = planned or values["kind"] == ActivityKind.TASK
            if values["kind"] == ActivityKind.NOTE or values.get("completed_at") is not None:
                is_open = False
            values["status"] = ActivityStatus.OPEN if is_open else ActivityStatus.DONE
        if values.get("happened_at") is None:
            values["happened_at"] = self.uow.now
        if values["status"] == ActivityStatus.DONE and values.get("completed_at") is None:
            values["completed_at"] = values["happened_at"]
        return values

    async def before_create(self, values: dict[str, Any]) -> None:
        subjects = _subjects(values["about"])
        await self._require_visible(subjects)
        values["about"] = _as_json(subjects)
        _check_end(values["kind"], values["status"], values.get("completed_at"))

    async def after_create(self, row: Activity) -> None:
        await self._link(row)
        await self._tell_done(None, row)

    async def before_update(self, row: Activity, changes: dict[str, Any]) -> None:
        if "about" in changes:
            subjects = _subjects(changes["about"])
            known = set(_subjects(row.about))
            await self._require_visible([subject for subject in subjects if subject not in known])
            changes["about"] = _as_json(subjects)
        if changes.get("status", row.status) != row.status and "completed_at" not in changes:
            changes["completed_at"] = self.uow.now if changes["status"] == ActivityStatus.DONE else None
        after = {**row.__dict__, **changes}
        _check_end(row.kind, after["status"], after["completed_at"])

    async def after_update(self, before: Activity, after: Activity) -> None:
        if before.about != after.about or before.happened_at != after.happened_at:
            await self.uow.fetch(
                "DELETE FROM activities.links WHERE tenant_id = $1 AND activity_id = $2",
                after.tenant_id,
                after.id,
            )
            await self._link(after)
        await self._tell_done(before, after)

    async def _tell_done(self, before: Activity | None, after: Activity) -> None:
        """Tell those who follow what is done, once it is."""
        was_done = before is not None and before.status == ActivityStatus.DONE
        if after.status == ActivityStatus.DONE and not was_done and after.about:
            for follower in self.uow.ports(ActivityFollower):
                at = after.completed_at or after.happened_at
                await follower.done(_subjects(after.about), after.kind, at)

    async def _link(self, row: Activity) -> None:
        if row.about:
            await self.uow.insert_many(
                Link,
                [
                    {
                        "activity_id": row.id,
                        "object": about.object,
                        "record_id": about.record_id,
                        "at": row.happened_at,
                    }
                    for about in _subjects(row.about)
                ],
            )

    async def _require_visible(self, subjects: Sequence[Subject]) -> None:
        """Each subject exists and the actor may read it. Raises `Invalid` at its place."""
        by_object: dict[str, list[UUID]] = {}
        for subject in subjects:
            by_object.setdefault(subject.object, []).append(subject.record_id)
        seen: set[Subject] = set()
        for name, ids in by_object.items():
            record = self.uow.kernel.registry.records.get(name)
            if record is not None and name != self.record.object:
                # Held, so that none is deleted or merged away before the activity is there.
                found = await record.service(self.uow).get_many(ids, lock="share")
                seen.update(Subject(name, id) for id in found)
        for number, subject in enumerate(subjects):
            if subject not in seen:
                raise Invalid.at(
                    f"/about/{number}",
                    "unknown_reference",
                    f"There is no {subject.object.replace('_', ' ')} with this id.",
                )

    # -- ends ----------------------------------------------------------------------------------------------

    async def complete(self, id: UUID, *, outcome: str | None, expected_version: int) -> Activity:
        """An open activity is done. Raises `InvalidTransition` for one that is not open."""
        row = await self._locked(id, expected_version)
        if row.status != ActivityStatus.OPEN:
            raise InvalidTransition(f"It is {row.status} already.", status_now=row.status)
        changes = {"status": ActivityStatus.DONE, "completed_at": self.uow.now}
        return await self.write(row, changes | ({"outcome": outcome} if outcome else {}), action="completed")

    async def reopen(self, id: UUID, *, expected_version: int) -> Activity:
        """A task, call or meeting that is done or cancelled is open again. Raises `InvalidTransition`."""
        row = await self._locked(id, expected_version)
        if row.status == ActivityStatus.OPEN or row.kind == ActivityKind.NOTE:
            raise InvalidTransition(
                "Only what is done or cancelled can be open again.", status_now=row.status
            )
        return await self.write(row, {"status": ActivityStatus.OPEN, "completed_at": None}, action="reopened")

    async def _locked(self, id: UUID, expected_version: int) -> Activity:
        row = await self.get(id, action="update", lock="update")
        if row.version != expected_version:
            raise StaleVersion(
                f"You read version {expected_version}; it is {row.version} now.", current_version=row.version
            )
        return row


def _check_end(kind: str, status: str, completed_at: datetime | None) -> None:
    if kind == ActivityKind.NOTE and status != ActivityStatus.DONE:
        raise Invalid.at("/status", "note_is_done", "A note has nothing left to do; its status is done.")
    if completed_at is not None and status != ActivityStatus.DONE:
        raise Invalid.at("/completed_at", "not_done", "Only what is done has been completed at a time.")


def _subjects(about: Sequence[Any]) -> list[Subject]:
    """Stored or wire links as subjects, repetitions left out."""
    found = (
        Subject(link["object"], UUID(str(link["record_id"])))
        if isinstance(link, dict)
        else Subject(link.object, link.record_id)
        for link in about
    )
    return list(dict.fromkeys(found))


def _as_json(subjects: Sequence[Subject]) -> list[dict[str, str]]:
    return [{"object": subject.object, "record_id": str(subject.record_id)} for subject in subjects]


ACTIVITY: RecordType[Activity] = RecordType(
    object="activity",
    plural="activities",
    module="activities",
    model=Activity,
    read=ActivityRead,
    create=ActivityCreate,
    update=ActivityUpdate,
    service=ActivityService,
    title="subject",
    search=Search(names=("subject",)),
    default_sort=(("happened_at", True),),
    importable=False,
)
ActivityService.record = ACTIVITY


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
        body = ActivityCreate.model_validate({"kind": kind, "about": _as_json(about), **given})
        fields = {name: getattr(body, name) for name in type(body).model_fields}
        return _ref(await ActivityService(self._uow).create(fields))

    async def assign_task(
        self,
        about: Sequence[Subject],
        subject: str,
        *,
        owner_id: UUID | None = None,
        due_at: datetime | None = None,
    ) -> ActivityRef:
        service = ActivityService(self._uow)
        service.actor = system_actor(self._uow.actor.tenant)
        given = {
            "kind": ActivityKind.TASK,
            "about": _as_json(about),
            "subject": subject,
            "owner_id": owner_id,
            "due_at": due_at,
        }
        body = ActivityCreate.model_validate(given)
        return _ref(await service.create({name: getattr(body, name) for name in type(body).model_fields}))

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
                {"about": [[_as_json([source])[0]], _as_json(list(to))]},
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
        from app.modules.activities.services.timeline import Timeline

        return await Timeline(self._uow).entries(subject, limit=limit, kinds=kinds)

    async def hand_over(
        self, object_name: str, record_ids: list[UUID], owner_id: UUID
    ) -> Mapping[str, list[UUID]]:
        """Give the open activities about these records to their new owner."""
        uow = self._uow
        team = (await uow.of(People).require_members([owner_id], pointer="/owner_id"))[owner_id]
        rows = await uow.fetch(_HAND_OVER, uow.tenant_id, object_name, record_ids, owner_id, team, uow.now)
        for row in rows:
            uow.record_audit("activity", row["id"], "transferred", {"owner_id": [row["former"], owner_id]})
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

_HAND_OVER = """
WITH open AS (
  SELECT DISTINCT a.id, a.owner_id FROM activities.links l JOIN activities.activities a
    ON a.tenant_id = l.tenant_id AND a.id = l.activity_id
  WHERE l.tenant_id = $1 AND l.object = $2 AND l.record_id = ANY($3::uuid[])
    AND a.status = 'open' AND a.deleted_at IS NULL AND a.owner_id IS DISTINCT FROM $4
)
UPDATE activities.activities a SET owner_id = $4, team_id = $5, version = a.version + 1, updated_at = $6
FROM open WHERE a.tenant_id = $1 AND a.id = open.id
RETURNING a.id, a.version, open.owner_id AS former"""
