"""The wire shapes of activities and timelines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.activities.models import ActivityKind, ActivityStatus, Direction, Priority

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
SUBJECT_LENGTH = 200


def _plausible(moment: datetime) -> datetime:
    # Compared before converting: a year 9999 in a western zone cannot be converted to UTC.
    if not _EARLIEST.year <= moment.year < _LATEST.year:
        raise PydanticCustomError("implausible_time", "A time lies between the years 1900 and 2200")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
ObjectName = Annotated[str, Field(pattern="^[a-z][a-z_]{0,59}$", examples=["lead"])]


class About(Input):
    """A record that an activity is about."""

    object: ObjectName
    record_id: UUID


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


class ActivityCreate(_ActivityFields):
    """A note, task, call or meeting to write down."""

    kind: ActivityKind

    @model_validator(mode="after")
    def _has_a_subject(self) -> ActivityCreate:
        if self.subject is None:
            first = next((line.strip() for line in (self.body or "").splitlines() if line.strip()), "")
            if not first or self.kind in (ActivityKind.TASK, ActivityKind.MEETING):
                raise PydanticCustomError("subject_required", "Say in a subject what this is")
            self.subject = first if len(first) <= SUBJECT_LENGTH else first[: SUBJECT_LENGTH - 1] + "…"
        return self


ActivityUpdate = patch_of(_ActivityFields)
ActivityUpdate.__name__ = ActivityUpdate.__qualname__ = "ActivityUpdate"
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


class Completion(Input):
    """How it ended."""

    outcome: ShortText | None = None


class TimelineItem(Output):
    """One line of a timeline."""

    id: UUID
    at: datetime
    kind: str = Field(
        description="note, task, call, meeting, change, or a kind of another module.", examples=["note"]
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
