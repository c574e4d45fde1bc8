"""Activities and the records that they are about."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Float, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.attachments.models import AttachedFile
from app.kernel.models import RecordTable, TenantOwned, Versioned, one_of


class ActivityKind(StrEnum):
    NOTE = "note"
    TASK = "task"
    CALL = "call"
    MEETING = "meeting"
    VISIT = "visit"


class ActivityStatus(StrEnum):
    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class AttendeeResponse(StrEnum):
    """What somebody answered to an invitation (RFC 5545 §3.2.12 PARTSTAT)."""

    NEEDS_ACTION = "needs_action"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    TENTATIVE = "tentative"


class Activity(RecordTable):
    """One touch with a customer, past or planned. `about` repeats its links, so that one read answers it all.

    A row with a `recurrence` (an RRULE of RFC 5545) stands for all its occurrences, expanded in `time_zone` when
    they are asked for; `excluded` holds the starts that are left out. A row with `occurrence_at` is the single
    occurrence of the series `series_id` that began at that time by the rule, and was changed.
    """

    __tablename__ = "activities"
    __table_args__ = (
        one_of("kind", ActivityKind),
        one_of("status", ActivityStatus),
        one_of("priority", Priority),
        one_of("direction", Direction, nullable=True),
        {"schema": "activities"},
    )

    kind: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str | None]
    about: Mapped[list[Any]]  # [{"object": "lead", "record_id": "…"}]
    status: Mapped[str]
    priority: Mapped[str]
    due_at: Mapped[datetime | None]
    happened_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    duration_seconds: Mapped[int | None]
    direction: Mapped[str | None]
    outcome: Mapped[str | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    time_zone: Mapped[str | None]  # IANA; where a recurrence keeps its hour
    private: Mapped[bool]
    place: Mapped[str | None]
    latitude: Mapped[float | None] = mapped_column(Float())
    longitude: Mapped[float | None] = mapped_column(Float())
    checked_in_at: Mapped[datetime | None]
    checked_in_latitude: Mapped[float | None] = mapped_column(Float())
    checked_in_longitude: Mapped[float | None] = mapped_column(Float())
    distance_metres: Mapped[int | None]  # from the planned place to where somebody checked in
    checked_out_at: Mapped[datetime | None]
    completion_note: Mapped[str | None]
    mentions: Mapped[list[UUID]]
    recurrence: Mapped[str | None]
    recurs_until: Mapped[datetime | None]  # when the last occurrence ends; none for a rule without an end
    excluded: Mapped[list[Any]]  # starts in RFC 3339, UTC
    series_id: Mapped[UUID | None]
    occurrence_at: Mapped[datetime | None]
    sequence: Mapped[int]  # RFC 5546 §2.1.4: grows with each change that attendees must know
    attendee_count: Mapped[int]
    remind_minutes: Mapped[int | None]
    remind_at: Mapped[datetime | None]


class Link(TenantOwned):
    """An activity stands on a record's timeline, at `at` (the activity's `happened_at`)."""

    __tablename__ = "links"
    __table_args__ = ({"schema": "activities"},)

    activity_id: Mapped[UUID]
    object: Mapped[str]
    record_id: Mapped[UUID]
    at: Mapped[datetime]


class Attendee(TenantOwned):
    """Somebody who is invited: a member, a record with an address (a contact, a lead), or an address alone.

    `name` and `email` are copies from when they were invited. The token of the mailed link is kept as its hash.
    """

    __tablename__ = "attendees"
    __table_args__ = (one_of("response", AttendeeResponse), {"schema": "activities"})

    activity_id: Mapped[UUID]
    member_id: Mapped[UUID | None]
    object: Mapped[str | None]
    record_id: Mapped[UUID | None]
    name: Mapped[str]
    email: Mapped[str | None]
    response: Mapped[str]
    responded_at: Mapped[datetime | None]
    comment: Mapped[str | None]
    token_hash: Mapped[bytes | None] = mapped_column(LargeBinary(), info={"secret": True})
    invited_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Attachment(AttachedFile):
    """A file that hangs on an activity; whoever may read the activity may read it."""

    __tablename__ = "attachments"
    __table_args__ = ({"schema": "activities"},)

    activity_id: Mapped[UUID]


class CalendarFeed(TenantOwned):
    """A member's secret calendar address; making a new one ends the old."""

    __tablename__ = "calendar_feeds"
    __table_args__ = ({"schema": "activities"},)

    member_id: Mapped[UUID]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(), info={"secret": True})
    created_at: Mapped[datetime]


class CalendarSettings(Versioned):
    """How a member sees times; the row's id is the member's."""

    __tablename__ = "calendar_settings"
    __table_args__ = ({"schema": "activities"},)

    time_zone: Mapped[str | None]  # IANA; none means the company's
