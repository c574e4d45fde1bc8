"""The wire shapes of activities and timelines."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, AwareDatetime, Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.contact import Email
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.activities.models import (
    ActivityKind,
    ActivityStatus,
    AttendeeResponse,
    Direction,
    Priority,
)

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
SUBJECT_LENGTH = 200


def _plausible(moment: datetime) -> datetime:
    # Compared before converting: a year 9999 in a western zone cannot be converted to UTC.
    if not _EARLIEST.year <= moment.year < _LATEST.year:
        raise PydanticCustomError("implausible_time", "A time lies between the years 1900 and 2200")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
Recurrence = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description="An RRULE of RFC 5545: by days, weeks, months or years, to a COUNT, an UNTIL or for ever.",
        examples=["FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10"],
    ),
]
ObjectName = Annotated[str, Field(pattern="^[a-z][a-z_]{0,59}$", examples=["lead"])]


class About(Input):
    """A record that an activity is about."""

    object: ObjectName
    record_id: UUID


def _time_zone(name: str) -> str:
    if name not in _TIME_ZONES:
        raise PydanticCustomError(
            "unknown_time_zone", "Not a time zone of the IANA database, such as Asia/Shanghai"
        )
    return name


_TIME_ZONES = frozenset(available_timezones())
TimeZone = Annotated[str, Field(max_length=64, examples=["Asia/Shanghai"]), AfterValidator(_time_zone)]
Latitude = Annotated[float, Field(ge=-90, le=90, description="Degrees, WGS 84.", examples=[31.2304])]
Longitude = Annotated[float, Field(ge=-180, le=180, description="Degrees, WGS 84.", examples=[121.4737])]


class AttendeeInput(Input):
    """Somebody to invite: a member, a record that is a person (`contact`, `lead`), or an address."""

    member_id: UUID | None = None
    object: ObjectName | None = None
    record_id: UUID | None = None
    email: Email | None = None
    name: ShortText | None = Field(None, description="For an address: whose it is.")

    @model_validator(mode="after")
    def _is_one(self) -> AttendeeInput:
        ways = (self.member_id is not None, self.record_id is not None, self.email is not None)
        if sum(ways) != 1 or (self.record_id is None) != (self.object is None):
            raise PydanticCustomError(
                "one_of", "Name a member_id, an object with its record_id, or an email: just one of them"
            )
        return self


Attendees = Annotated[list[AttendeeInput], Field(max_length=100)]


class _ActivityFields(RecordInput):
    subject: ShortText | None = Field(
        None, description="Absent on a note or a call: the first line of its body."
    )
    body: LongText | None = None
    about: list[About] = Field(
        default_factory=list, max_length=20, description="Its place on timelines; may be none or several."
    )
    status: ActivityStatus | None = Field(
        None, description="Absent: open for tasks and for what is planned (due_at only), else done."
    )
    priority: Priority = Priority.NORMAL
    due_at: Moment | None = None
    happened_at: Moment | None = Field(None, description="Its place in time; absent means now.")
    completed_at: Moment | None = None
    duration_seconds: int | None = Field(None, ge=0, le=31_536_000)
    direction: Direction | None = None
    outcome: ShortText | None = None
    completion_note: LongText | None = Field(None, description="What came of it.")
    starts_at: Moment | None = Field(None, description="Of a call, meeting or visit; a task has a due_at.")
    ends_at: Moment | None = Field(None, description="Absent: an hour later, for a call half an hour.")
    time_zone: TimeZone | None = Field(None, description="Where a recurrence keeps its hour; absent: yours.")
    private: bool = Field(False, description="The calendar shows others no more than that the time is taken.")
    place: ShortText | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    mentions: Annotated[list[UUID], Field(max_length=50)] = Field(
        default_factory=list,
        description="Members to point it out to; `@[member id]` in the body does it too.",
    )
    recurrence: Recurrence | None = None
    remind_minutes: int | None = Field(
        None, ge=0, le=40_320, description="Remind owner and attendees so long before it starts or is due."
    )


class ActivityCreate(_ActivityFields):
    """A note, task, call, meeting or visit to write down."""

    kind: ActivityKind
    attendees: Attendees = Field(
        default_factory=list, description="Whom to invite to a call, meeting or visit."
    )

    @model_validator(mode="after")
    def _has_a_subject(self) -> ActivityCreate:
        if self.subject is None:
            first = next((line.strip() for line in (self.body or "").splitlines() if line.strip()), "")
            if not first or self.kind in (ActivityKind.TASK, ActivityKind.MEETING):
                raise PydanticCustomError("subject_required", "Say in a subject what this is")
            self.subject = first if len(first) <= SUBJECT_LENGTH else first[: SUBJECT_LENGTH - 1] + "…"
        return self


ActivityUpdate = patch_of(_ActivityFields, "ActivityUpdate")
ActivityUpdate.__doc__ = "Changes to an activity; absent fields stay as they are. Its kind stays."


class AboutRead(Output):
    object: str
    record_id: UUID


class ActivityRead(RecordOutput):
    """An activity."""

    kind: ActivityKind
    subject: str
    body: str | None
    about: list[AboutRead]
    status: ActivityStatus
    priority: Priority
    due_at: datetime | None
    happened_at: datetime
    completed_at: datetime | None
    duration_seconds: int | None
    direction: Direction | None
    outcome: str | None
    completion_note: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    time_zone: str | None
    private: bool
    place: str | None
    latitude: float | None
    longitude: float | None
    checked_in_at: datetime | None
    checked_in_latitude: float | None
    checked_in_longitude: float | None
    distance_metres: int | None = Field(description="From the planned place to where somebody checked in.")
    checked_out_at: datetime | None
    mentions: list[UUID]
    recurrence: str | None
    recurs_until: datetime | None = Field(description="When the last occurrence ends; null without an end.")
    excluded: list[datetime] = Field(description="Occurrences that were cancelled or changed on their own.")
    series_id: UUID | None = Field(description="The series whose occurrence this is, or whose next task.")
    occurrence_at: datetime | None = Field(description="When the occurrence would start by the rule.")
    sequence: int = Field(description="Grows with each change that attendees are told of.")
    attendee_count: int
    remind_minutes: int | None
    remind_at: datetime | None = Field(description="When the next reminder goes out.")


class Completion(Input):
    """How it ended."""

    outcome: ShortText | None = None
    note: LongText | None = Field(None, description="What came of it, at length.")


class TimelineItem(Output):
    """One line of a timeline."""

    id: UUID
    at: datetime
    kind: str = Field(
        description="note, task, call, meeting, visit, change, or a kind of another module.",
        examples=["note"],
    )
    title: str
    text: str | None
    actor_id: UUID | None
    actor_name: str | None
    object: str | None = Field(
        description="The record behind the line, where it is another than the subject."
    )
    record_id: UUID | None
    data: dict[str, Any] = Field(description="More of this kind: an activity's status, a change's fields.")


# -- attendees, visits, attachments ------------------------------------------------------------------------------


class AttendeeList(Input):
    """Everybody who is invited; whoever is not named any more is uninvited."""

    attendees: Attendees = Field(examples=[[{"email": "ada@example.com", "name": "Ada"}]])


class AttendeeRead(Output):
    """Somebody who is invited, and what they answered."""

    id: UUID
    member_id: UUID | None
    object: str | None
    record_id: UUID | None
    name: str
    email: str | None
    response: AttendeeResponse
    responded_at: datetime | None
    comment: str | None
    invited_at: datetime | None = Field(description="When the last invitation was mailed.")


class Answer(Input):
    """What you answer to an invitation."""

    response: Literal["accepted", "declined", "tentative"]
    comment: ShortText | None = None


class CheckIn(Input):
    """Where you are."""

    latitude: Latitude
    longitude: Longitude


class AttachmentInput(Input):
    """A file that you uploaded by `POST /v1/files`, or may open."""

    file_id: UUID


class AttachmentRead(Output):
    """A file on an activity."""

    id: UUID
    file_id: UUID
    name: str
    media_type: str
    size: int
    created_at: datetime
    created_by: UUID | None


# -- recurrence --------------------------------------------------------------------------------------------------


class OccurrenceScope(StrEnum):
    """How far a change of one occurrence goes."""

    THIS = "this"
    THIS_AND_FOLLOWING = "this_and_following"
    ALL = "all"


class OccurrenceCancel(Input):
    """An occurrence to cancel."""

    occurrence_at: Moment = Field(description="When it starts by the rule.")
    scope: OccurrenceScope = OccurrenceScope.THIS


class OccurrenceChange(OccurrenceCancel):
    """An occurrence to change; a new start is that of this occurrence."""

    changes: ActivityUpdate  # type: ignore[valid-type]


class Occurrence(Output):
    """One occurrence of a series."""

    activity_id: UUID = Field(
        description="The series, or the activity that stands for this occurrence alone."
    )
    occurrence_at: datetime
    starts_at: datetime
    ends_at: datetime
    status: ActivityStatus
    changed: bool


# -- calendar ----------------------------------------------------------------------------------------------------


class CalendarEntry(Output):
    """An occurrence in somebody's calendar. What you may not see is just busy: its activity is null."""

    member_id: UUID
    starts_at: datetime
    ends_at: datetime
    activity_id: UUID | None
    occurrence_at: datetime | None = Field(description="Of a series: when it starts by the rule.")
    kind: ActivityKind | None
    subject: str | None
    status: ActivityStatus | None
    place: str | None
    response: AttendeeResponse | None = Field(description="The member's answer, where they were invited.")


class Interval(Output):
    """From `starts_at` to, not including, `ends_at`."""

    starts_at: datetime
    ends_at: datetime


class BusyMember(Output):
    """When a member is taken; overlapping and touching times are one."""

    member_id: UUID
    busy: list[Interval]


class CalendarFeedRead(Output):
    """Whether you have a calendar address, and since when; the address itself is shown only when it is made."""

    active: bool
    created_at: datetime | None


class CalendarFeedMade(Output):
    """The address for your calendar program. Whoever knows it can read your calendar: keep it to yourself."""

    url: str


class CalendarSettingsInput(Input):
    """A merge patch."""

    time_zone: TimeZone | None = Field(None, description="null: the company's.")


class CalendarSettingsRead(Output):
    """How you see times."""

    version: int
    time_zone: str = Field(description="In force for you.")
    own_time_zone: str | None = Field(description="What you chose; null follows the company.")


# -- what waits ---------------------------------------------------------------------------------------------------


class ToDoItem(Output):
    """One thing that waits for you."""

    id: UUID
    kind: str = Field(description="task, call, meeting, visit, rsvp, mention, or a kind of another module.")
    title: str
    due_at: datetime | None
    since: datetime
    object: str
    record_id: UUID
    data: dict[str, Any]


class ToDoCount(Output):
    """How much of a kind waits for you."""

    kind: str
    count: int


class ToDoCounts(Output):
    """How much waits for you."""

    data: list[ToDoCount]
    total: int
