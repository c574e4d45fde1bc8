"""Wire schemas of business calendars and absences."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import Input, Output, ShortText
from app.tenants.models import DEFAULT_CALENDAR
from app.tenants.people.schemas import BusinessDays, Holiday, Hours
from app.tenants.schemas import Country, TimeZone

Subdivision = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 .'-]{1,60}$"), Field(examples=["BY"])]
_USUAL = BusinessDays.model_validate(DEFAULT_CALENDAR["days"])


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise PydanticCustomError("timezone_aware", "A time needs its offset, such as Z or +08:00")
    if not 1900 <= moment.year < 2200:
        raise PydanticCustomError("implausible_time", "A time lies between the years 1900 and 2200")
    return moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_aware)]


class WorkDay(Input):
    """A day that is worked although it would be free, as weekends are for a long holiday in China."""

    date: date
    name: ShortText
    hours: Annotated[Hours, Field(min_length=1)] | None = Field(
        None, description="Absent: those of the week's first working day."
    )

    @model_validator(mode="after")
    def _in_order(self) -> WorkDay:
        times = [time for interval in self.hours or () for time in interval]
        if any(left >= right for left, right in pairwise(times)):
            raise PydanticCustomError("not_in_order", "Working hours are in order and do not overlap")
        return self


DaysOff = Annotated[list[Holiday], Field(max_length=500, description="Free days besides public holidays.")]
WorkDays = Annotated[list[WorkDay], Field(max_length=500)]


def _some_hours(days: BusinessDays) -> BusinessDays:
    if not any(getattr(days, name) for name in BusinessDays.model_fields):
        raise PydanticCustomError("no_hours", "A business calendar has hours on some day of the week")
    return days


Days = Annotated[
    BusinessDays,
    AfterValidator(_some_hours),
    Field(description='`{"mon": [["09:00", "12:00"], ["13:00", "18:00"]]}`; a day that is absent is free.'),
]


class CalendarCreate(Input):
    """Business hours in a time zone, and the days that differ."""

    name: ShortText
    time_zone: TimeZone
    days: Days = _USUAL
    country: Country | None = Field(None, description="Its public holidays are free.")
    subdivision: Subdivision | None = Field(None, description="State or province with holidays of its own.")
    days_off: DaysOff = Field(default_factory=list)
    work_days: WorkDays = Field(default_factory=list)
    is_default: bool = Field(False, description="The company's; the former default steps back.")


class CalendarUpdate(Input):
    """Changes to a calendar; lists are replaced whole."""

    name: ShortText | None = None
    time_zone: TimeZone | None = None
    days: Days | None = None
    country: Country | None = None
    subdivision: Subdivision | None = None
    days_off: DaysOff | None = None
    work_days: WorkDays | None = None
    is_default: bool | None = None


class WorkDayRead(Output):
    date: date
    name: str
    hours: Hours | None


class CalendarRead(Output):
    """A business calendar."""

    id: UUID
    version: int
    name: str
    time_zone: str
    days: BusinessDays
    country: str | None
    subdivision: str | None
    days_off: list[Holiday]
    work_days: list[WorkDayRead]
    is_default: bool
    created_at: datetime
    updated_at: datetime


class CalendarList(Output):
    data: list[CalendarRead]


class AbsenceCreate(Input):
    """A member is away from `starts_at` until `ends_at`."""

    member_id: UUID | None = Field(None, description="Absent: you.")
    starts_at: Moment
    ends_at: Moment
    reason: ShortText | None = Field(None, examples=["Annual leave"])
    stand_in_id: UUID | None = Field(None, description="Who gets what would go to them meanwhile.")


class AbsenceUpdate(Input):
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    reason: ShortText | None = None
    stand_in_id: UUID | None = None


class AbsenceRead(Output):
    id: UUID
    version: int
    member_id: UUID
    starts_at: datetime
    ends_at: datetime
    reason: str | None
    stand_in_id: UUID | None
    created_at: datetime
    updated_at: datetime


class AbsencePage(Output):
    data: list[AbsenceRead]
    next_cursor: str | None
    has_more: bool
