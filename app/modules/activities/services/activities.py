"""Activities as records: what they may be about, how they end, and who hears of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid, InvalidTransition, require_version
from app.kernel.notifications import Notice, Notifications
from app.kernel.people import People
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import columns_of
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ActivityFollower, HeldOwner, Subject
from app.modules.activities.models import Activity, ActivityKind, ActivityStatus, Link
from app.modules.activities.schemas import ActivityCreate, ActivityRead, ActivityUpdate, AttendeeInput
from app.modules.activities.services.attendees import AttendeeLists
from app.modules.activities.services.people import OBJECT, Invitee, let_see, mentioned_in, my_zone
from app.modules.activities.services.planning import (
    RESCHEDULED,
    TOLD,
    complete_changes,
    complete_new,
    next_reminder,
    series_of,
)

ASSIGNED: Final = "activity.assigned"
MENTIONED: Final = "activity.mentioned"
_ASSIGNED: Final = {"en": "{who} gave you: {what}", "zh": "{who}交给您：{what}"}
_MENTIONED: Final = {"en": "{who} mentions you: {what}", "zh": "{who}提到了您：{what}"}
_SHOWN: Final = 500
_NEVER_COPIED: Final = frozenset({"tenant_id", "id", "version", "created_at", "updated_at"})
_NOT_COPIED: Final = (
    "external_id", "deleted_at", "completed_at", "outcome", "completion_note", "checked_in_at", "checked_in_latitude",
    "checked_in_longitude", "distance_metres", "checked_out_at", "occurrence_at",
)  # fmt: skip


class ActivityService(RecordService[Activity]):
    """Activities with their links to the records that they are about."""

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.attendees = AttendeeLists(uow)
        self._wanted: Sequence[AttendeeInput] = ()
        self._invitees: Sequence[Invitee] = ()
        self._to_follow: set[UUID] = set()
        self._kept: set[UUID] = set()
        self._held: HeldOwner | None = None

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Activity:
        """As every record; times and status that were left out follow from the kind."""
        values = self._completed(given)
        self._wanted = values.pop("attendees", None) or ()
        return await super().create(values, explicit=explicit)

    async def create_held(self, given: Mapping[str, Any], owner: HeldOwner) -> Activity:
        """As `create`, of what the caller holds: neither the owner nor what it is about is looked up."""
        self._held = owner
        try:
            return await self.create({**given, "owner_id": owner.member_id, "team_id": owner.team_id})
        finally:
            self._held = None

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        if self._held is None:
            await super()._assign(values, creating=creating)

    def _completed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(given)
        start = values.get("starts_at")
        over = start is not None and (values.get("ends_at") or start) <= self.uow.now
        planned = start is not None or values.get("due_at") is not None
        planned = planned and values.get("happened_at") is None and not over
        if over and values.get("happened_at") is None:
            values["happened_at"] = start
        if values.get("recurrence") is not None:
            planned = True
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
        if self._held is None:
            await self._require_visible(subjects)
        values["about"] = as_json(subjects)
        _check_end(values["kind"], values["status"], values.get("completed_at"))
        mentioned = mentioned_in(values.get("body"))
        values["mentions"] = await self._mentions([*(values.get("mentions") or ()), *mentioned], known=())
        complete_new(values, zone=await self._zone(values), now=self.uow.now)
        self._invitees = await self.attendees.resolve(values["kind"], self._wanted)
        values["attendee_count"] = len(self._invitees)

    async def _zone(self, values: Mapping[str, Any]) -> str:
        """Where a recurrence that names no place keeps its hour."""
        if values.get("recurrence") is None or values.get("time_zone") is not None:
            return self.actor.tenant.time_zone
        return await my_zone(self.uow)

    async def _mentions(self, ids: Sequence[UUID], *, known: Collection[UUID]) -> list[UUID]:
        """The members mentioned, each once; those that are new must be active. Raises `Invalid`."""
        found = list(dict.fromkeys(ids))
        new = [id for id in found if id not in known]
        if new:
            await self.uow.of(People).require_members(new, pointer="/mentions")
        return found

    async def after_create(self, row: Activity) -> None:
        await self._link(row)
        await self._tell_done(None, row)
        if self._invitees:
            await self.attendees.invite(row, self._invitees)
        await self._tell(row, mentioned=row.mentions, assigned=row.owner_id != self.actor.member_id)

    async def _tell(self, row: Activity, *, mentioned: Sequence[UUID], assigned: bool) -> None:
        """Tell whoever is mentioned, and the owner of what somebody else gave them."""
        language = self.uow.actor.tenant.language
        if mentioned:
            await let_see(self.uow, row.id, row.owner_id, mentioned)
            title = _MENTIONED[language].format(who=self.actor.name, what=row.subject)
            text = (row.body or "")[:_SHOWN] or None
            notice = Notice(MENTIONED, title, body=text, object=OBJECT, record_id=row.id)
            await Notifications(self.uow).tell(mentioned, notice)
        if assigned and row.owner_id is not None and row.status == ActivityStatus.OPEN:
            title = _ASSIGNED[language].format(who=self.actor.name, what=row.subject)
            notice = Notice(ASSIGNED, title, object=OBJECT, record_id=row.id)
            await Notifications(self.uow).tell([row.owner_id], notice)

    async def before_update(self, row: Activity, changes: dict[str, Any]) -> None:
        if "about" in changes:
            subjects = _subjects(changes["about"])
            known = set(_subjects(row.about))
            await self._require_visible([subject for subject in subjects if subject not in known])
            changes["about"] = as_json(subjects)
        if changes.get("status", row.status) != row.status and "completed_at" not in changes:
            changes["completed_at"] = self.uow.now if changes["status"] == ActivityStatus.DONE else None
        after = {**row.__dict__, **changes}
        _check_end(row.kind, after["status"], after["completed_at"])
        if {"body", "mentions"} & changes.keys():
            written = mentioned_in(row.body)
            kept = changes.get("mentions", [id for id in row.mentions if id not in written])
            wanted = [*kept, *mentioned_in(after["body"])]
            changes["mentions"] = await self._mentions(wanted, known=row.mentions)
        await self._follow_from(row, changes)

    async def _follow_from(self, row: Activity, changes: dict[str, Any]) -> None:
        """What follows from changed times and from the end of a task that recurs."""
        ends = changes.get("status") == ActivityStatus.DONE and row.status == ActivityStatus.OPEN
        if ends and row.kind == ActivityKind.TASK and row.recurrence and "recurrence" not in changes:
            changes["recurrence"] = None  # the rule goes on with the next task
            self._to_follow.add(row.id)
        zone = await self._zone({**row.__dict__, **changes})
        complete_changes(row, changes, zone=zone, now=self.uow.now)

    async def after_update(self, before: Activity, after: Activity) -> None:
        new = [id for id in after.mentions if id not in before.mentions]
        given = before.owner_id != after.owner_id and after.owner_id != self.actor.member_id
        if new or given:
            await self._tell(after, mentioned=new, assigned=given)
        changed = {name for name in TOLD if getattr(before, name) != getattr(after, name)}
        if before.recurrence and changed & RESCHEDULED and before.id not in self._kept | self._to_follow:
            await self._drop_changed_occurrences(after)
        if after.attendee_count and before.sequence != after.sequence:
            await self._tell_attendees(before, after, changed, ask_again=before.id not in self._kept)
        if after.id in self._to_follow:
            self._to_follow.discard(after.id)
            await self._follow(before)
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

    def keep_changed_occurrences(self, id: UUID) -> None:
        """A change of this series leaves its times as they are: what was changed of it and answered to it stays."""
        self._kept.add(id)

    async def _tell_attendees(
        self, before: Activity, after: Activity, changed: Collection[str], *, ask_again: bool
    ) -> None:
        if after.status == ActivityStatus.CANCELLED:
            if before.status != after.status:
                await self.attendees.tell_cancellation(after)
        elif changed:
            await self.attendees.tell_change(after, ask_again=ask_again and bool(RESCHEDULED & set(changed)))

    async def _drop_changed_occurrences(self, row: Activity) -> None:
        """A series on other times starts afresh: what was changed of its occurrences goes."""
        gone = await self.uow.fetch(
            "UPDATE activities.activities SET deleted_at = $3, version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND series_id = $2 AND occurrence_at IS NOT NULL AND deleted_at IS NULL"
            " RETURNING id, version",
            row.tenant_id,
            row.id,
            self.uow.now,
        )
        for found in gone:
            self.uow.record_audit(OBJECT, found["id"], "deleted", {"deleted_at": [None, self.uow.now]})
            self.uow.publish_record(self.record.deleted, found["id"], found["version"])

    async def before_delete(self, row: Activity) -> None:
        if row.recurrence:
            await self._drop_changed_occurrences(row)
        if row.attendee_count and row.status == ActivityStatus.OPEN:
            await self.attendees.tell_cancellation(row)

    # -- further ones --------------------------------------------------------------------------------------

    async def copy(self, row: Activity, **changes: Any) -> Activity:
        """Another activity like one that is there, with its records; attendees are the caller's matter."""
        fresh = dict.fromkeys(_NOT_COPIED)
        values = {
            n: v for n, v in row.__dict__.items() if n in columns_of(Activity) and n not in _NEVER_COPIED
        }
        values |= {**fresh, "created_by": self.actor.member_id, "sequence": 0, **changes}
        values["remind_at"] = next_reminder(values, self.uow.now)
        made = await self.uow.insert_last(Activity, audit=OBJECT, **values)
        if row.custom:
            custom = await self.uow.kernel.custom_fields.clean(self.uow, OBJECT, row.custom)
            await self.uow.kernel.custom_fields.index(self.uow, OBJECT, made.id, custom)
        self.uow.meter("records.created")
        self.uow.publish_record(self.record.created, made.id, made.version, record=self.record.render(made))
        await self._link(made)
        return made

    async def _follow(self, done: Activity) -> None:
        """The next task of a rule: the first that is due after this one and not past already."""
        series = series_of(done.__dict__)
        due = series.first_from(max(series.start, self.uow.now) + timedelta(seconds=1))
        if due is None:
            return
        rule = series.rule
        if rule.count is not None:
            rule = replace(rule, count=rule.count - series.number_before(due))
        await self.copy(
            done,
            due_at=due,
            recurrence=rule.text(series.zone),
            status=ActivityStatus.OPEN,
            happened_at=self.uow.now,
            series_id=done.series_id or done.id,
        )

    async def _link(self, row: Activity) -> None:
        if row.about:
            await self.uow.insert_many_last(
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

    async def complete(
        self, id: UUID, *, outcome: str | None, note: str | None = None, expected_version: int
    ) -> Activity:
        """An open activity is done. Raises `InvalidTransition` for one that is not open."""
        row = await self.locked(id, expected_version)
        require_open(row)
        changes: dict[str, Any] = {"status": ActivityStatus.DONE, "completed_at": self.uow.now}
        changes |= {n: v for n, v in (("outcome", outcome), ("completion_note", note)) if v}
        await self._follow_from(row, changes)
        return await self.write(row, changes, action="completed")

    async def reopen(self, id: UUID, *, expected_version: int) -> Activity:
        """A task, call or meeting that is done or cancelled is open again. Raises `InvalidTransition`."""
        row = await self.locked(id, expected_version)
        if row.status == ActivityStatus.OPEN or row.kind == ActivityKind.NOTE:
            raise InvalidTransition(
                "Only what is done or cancelled can be open again.", status_now=row.status
            )
        changes: dict[str, Any] = {"status": ActivityStatus.OPEN, "completed_at": None}
        await self._follow_from(row, changes)
        return await self.write(row, changes, action="reopened")

    async def set_attendees(
        self, id: UUID, wanted: Sequence[AttendeeInput], *, expected_version: int
    ) -> Activity:
        """Everybody who is invited from now on. Raises `Invalid` for a kind that nobody is invited to."""
        row = await self.locked(id, expected_version)
        count, changed = await self.attendees.replace(row, wanted)
        if not changed:
            return row
        changes: dict[str, Any] = {"attendee_count": count, "sequence": row.sequence + 1}
        return await self.write(row, changes, action="attendees_changed")

    async def locked(self, id: UUID, expected_version: int) -> Activity:
        row = await self.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        return row


def require_open(row: Activity) -> None:
    """Raises `InvalidTransition` for what is done or cancelled."""
    if row.status != ActivityStatus.OPEN:
        raise InvalidTransition(f"It is {row.status} already.", status_now=row.status)


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


def as_json(subjects: Sequence[Subject]) -> list[dict[str, str]]:
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
