"""What other modules may know of activities: notes and tasks about their records, and one timeline for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from app.kernel.access import NOBODY, Actor
from app.kernel.errors import Conflict
from app.kernel.events import Event
from app.kernel.listing import Bindings


@dataclass(frozen=True, slots=True)
class HeldOwner:
    """Whose a task is, with their home team; nobody's where there is no `member_id`."""

    member_id: UUID | None
    team_id: UUID | None


@dataclass(frozen=True, slots=True)
class Subject:
    """A record of any type: `Subject("lead", id)`."""

    object: str
    record_id: UUID


@dataclass(frozen=True, slots=True)
class ActivityRef:
    """An activity as others show it."""

    id: UUID
    kind: str
    subject: str
    status: str
    owner_id: UUID | None
    happened_at: datetime
    due_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a timeline: what stands before it is older."""

    at: datetime
    id: UUID


def place_in_sql(before: Position | None) -> tuple[datetime | None, UUID | None]:
    """Two arguments of SQL that goes on from there, both None at the beginning."""
    return (None, None) if before is None else (before.at, before.id)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of a timeline. `kind` is what it is filtered by; `data` is whatever that kind says more."""

    id: UUID
    at: datetime
    kind: str
    title: str
    text: str | None = None
    actor_id: UUID | None = None
    actor_name: str | None = None
    object: str | None = None
    record_id: UUID | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PersonRef:
    """Somebody outside who can be invited: a contact, a lead."""

    id: UUID
    name: str
    email: str | None


class PersonDirectory(Protocol):
    """Port: a module whose records are people that can be invited."""

    object: str

    async def people(self, ids: Collection[UUID]) -> Mapping[UUID, PersonRef]:
        """Those that the actor sees, by id; others are absent."""


@dataclass(frozen=True, slots=True)
class ToDo:
    """One thing that waits for a member. `id` is unique among all; `object` and `record_id` say where to go."""

    id: UUID
    kind: str
    title: str
    due_at: datetime | None
    since: datetime
    object: str
    record_id: UUID
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToDoPlace:
    """A place in the list of to-dos, which goes by due time (none comes last) and then id."""

    due_at: datetime | None
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for the actor, in SQL: the fields of a `ToDo` as expressions of `rows`, all that follows FROM.

    `data` is by name. A source may have several; together with those of all others they are one statement.
    """

    rows: str
    id: str
    kind: str
    title: str
    due_at: str
    since: str
    object: str
    record_id: str
    data: Mapping[str, str]

    @classmethod
    def own(
        cls,
        actor: Actor,
        bind: Bindings,
        object_name: str,
        table: str,
        where: str,
        *,
        kind: str,
        title: str,
        due_at: str,
        since: str = "t.created_at",
        shown: Sequence[str] = (),
    ) -> list[Waiting]:
        """The actor's own live records of a type that `where` is true of, SQL over `t`; none for who may not read.

        `kind` and `due_at` are SQL. `title` and what is `shown` are columns; what the role hides is left out.
        """
        if not actor.may(f"{object_name}:read"):
            return []
        hidden = actor.hidden(object_name)
        return [
            cls(
                rows=f"{table} t WHERE t.tenant_id = {bind(actor.tenant.id)}"
                f" AND t.owner_id = {bind(actor.member_id or NOBODY)} AND t.deleted_at IS NULL AND {where}",
                id="t.id",
                kind=kind,
                title="'…'" if title in hidden else f"t.{title}",
                due_at=due_at,
                since=since,
                object=f"'{object_name}'",
                record_id="t.id",
                data={name: f"t.{name}" for name in shown if name not in hidden},
            )
        ]


class ToDoSource(Protocol):
    """Port: a module in which something waits for the actor."""

    kinds: frozenset[str]

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        """All of it, nothing that the actor may not read; values go through `bind`."""


class TimelineSource(Protocol):
    """Port: a module that has more to say about a record than activities and its changes."""

    kinds: frozenset[str]

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` entries older than `before`, newest first by (at, id). The subject is visible."""


class ActivityFollower(Protocol):
    """Port: a module that has to know at once, in the same transaction, what was done about its records."""

    async def done(self, about: Sequence[Subject], kind: str, at: datetime) -> None:
        """The actor did something (`kind` of activity) about these records, at this time."""


class InvitationAnswered(Conflict):
    code = "invitation_answered"
    title = "This invitation has been answered; the next change of the meeting brings a new link"


class InvitationClosed(Conflict):
    code = "invitation_closed"
    title = "The meeting is over or was cancelled"


class AlreadyCheckedIn(Conflict):
    """Carries `checked_in_at`."""

    code = "already_checked_in"
    title = "Somebody has checked in on this visit"


class NotCheckedIn(Conflict):
    code = "not_checked_in"
    title = "Check in first; each visit is checked out once"


class AttendeeResponded(Event):
    """Somebody answered an invitation; `member_id` is none for people outside."""

    type: ClassVar[str] = "activities.activity.responded.v1"
    object: ClassVar[str] = "activity"

    attendee_id: UUID
    member_id: UUID | None
    response: str


class VisitStarted(Event):
    """Somebody checked in on a visit, so many metres from the planned place."""

    type: ClassVar[str] = "activities.activity.checked_in.v1"
    object: ClassVar[str] = "activity"

    member_id: UUID | None
    distance_metres: int | None


class VisitEnded(Event):
    """Somebody checked out of a visit."""

    type: ClassVar[str] = "activities.activity.checked_out.v1"
    object: ClassVar[str] = "activity"

    member_id: UUID | None
    duration_seconds: int


class Activities(Protocol):
    """Notes, tasks, calls, meetings and visits about records of any type."""

    async def add_note(
        self, about: Sequence[Subject], body: str, *, subject: str | None = None
    ) -> ActivityRef:
        """Write a note; its subject line is the first line of `body` unless given."""

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
        """Give someone a task; without an owner the actor's own."""

    async def assign_task(
        self,
        about: Sequence[Subject],
        subject: str,
        *,
        owner_id: UUID | None = None,
        due_at: datetime | None = None,
        held: HeldOwner | None = None,
    ) -> ActivityRef:
        """A task that a rule of the company gives out: whoever sets it off needs no right to make or assign one.

        Without an owner it is nobody's yet. With `held`, which then says the owner, nothing is looked up: the caller
        has made or holds the records that it is about, and holds the owner as an active member.
        """

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
        """Note a call that the owner had; whoever reports it needs no right to make or assign activities.

        The caller has seen to it that the actor sees what it is `about`, which may be nothing. `direction` is
        `inbound` or `outbound`.
        """

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, ActivityRef]:
        """Activities by id, whoever sees them; unknown and deleted ones are absent."""

    async def move(self, source: Subject, to: Sequence[Subject]) -> int:
        """Put all activities about `source` on other records instead; how many moved. One set-based step."""

    async def for_records(
        self, object_name: str, ids: Collection[UUID], *, limit: int = 20
    ) -> Mapping[UUID, list[ActivityRef]]:
        """The newest activities about each record; records without any are absent."""

    async def next_open(self, object_name: str, ids: Collection[UUID]) -> Mapping[UUID, ActivityRef]:
        """The open activity that is due first about each record; records without one are absent."""

    async def conversations(
        self, about: Collection[Subject], *, limit: int = 5
    ) -> Mapping[Subject, list[TimelineEntry]]:
        """The newest calls, meetings, visits and notes about each of these visible records; one statement."""

    async def timeline(
        self, subject: Subject, *, limit: int = 20, kinds: Collection[str] = ()
    ) -> list[TimelineEntry]:
        """The head of a visible record's timeline, newest first; `kinds` narrows it."""


@dataclass(frozen=True, slots=True)
class DoneCount:
    """So many activities of a kind that a member did in the month that begins on `month`."""

    member_id: UUID | None
    month: date
    kind: str
    count: int


class ActivityCounts(Protocol):
    """What was done, counted."""

    async def done(self, since: datetime, before: datetime) -> list[DoneCount]:
        """Done activities that the actor sees, by when they were done; months are those of the tenant's zone."""
