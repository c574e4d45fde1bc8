"""Calendars of members and teams, busy and free time, the calendar address, and one's own time zone."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime

from app.kernel.errors import Forbidden, InvalidFilter, StaleVersion, VersionRequired, problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Output
from app.modules.activities.router.planning import check_window
from app.modules.activities.schemas import (
    BusyMember,
    CalendarEntry,
    CalendarFeedMade,
    CalendarFeedRead,
    CalendarSettingsInput,
    CalendarSettingsRead,
    Interval,
)
from app.modules.activities.services.calendar import Calendars, Window
from app.modules.activities.services.calendar_settings import MyCalendarSettings
from app.modules.activities.services.feeds import CalendarFeeds

router = Router(tags=["calendar"])

Members = Annotated[
    str | None,
    Query(max_length=2_000, description="Members by comma, at most 50; without a team, absent means you."),
]
Team = Annotated[UUID | None, Query(description="All active members of this team.")]
Start = Annotated[AwareDatetime, Query(alias="from", description="RFC 3339.")]
End = Annotated[AwareDatetime, Query(alias="to", description="At most 93 days later.")]


class CalendarAnswer(Output):
    """Entries by start."""

    data: list[CalendarEntry]


class BusyAnswer(Output):
    """Busy times of each member."""

    data: list[BusyMember]


class FreeAnswer(Output):
    """Times at which all are free, the earliest first."""

    data: list[Interval]


@router.get("/v1/calendar", access="activity:read")
async def get_team_calendar(
    uow: Uow, start: Start, end: End, members: Members = None, team: Team = None
) -> CalendarAnswer:
    """Calls, meetings and visits of members, what recurs expanded. What you may not read is only busy."""
    calendars = Calendars(uow)
    window = await _window(calendars, members, team, start, end)
    return CalendarAnswer(data=await calendars.entries(window))


@router.get("/v1/calendar/free-busy", access="activity:read")
async def get_free_busy(
    uow: Uow, start: Start, end: End, members: Members = None, team: Team = None
) -> BusyAnswer:
    """When members are taken, whatever by."""
    calendars = Calendars(uow)
    window = await _window(calendars, members, team, start, end)
    return BusyAnswer(data=await calendars.busy(window))


@router.get("/v1/calendar/free-slots", access="activity:read")
async def list_free_slots(
    uow: Uow,
    start: Start,
    end: End,
    members: Members = None,
    team: Team = None,
    minutes: Annotated[int, Query(ge=1, le=1_440, description="How long it should be at least.")] = 30,
    business_hours: Annotated[bool, Query(description="Only when the company is open.")] = True,
    limit: Annotated[int, Query(ge=1, le=200, description="At most this many.")] = 50,
) -> FreeAnswer:
    """Times at which all these members are free."""
    calendars = Calendars(uow)
    window = await _window(calendars, members, team, start, end)
    found = await calendars.free(
        window, length=timedelta(minutes=minutes), in_business_hours=business_hours, limit=limit
    )
    return FreeAnswer(data=found)


async def _window(
    calendars: Calendars, members: str | None, team: UUID | None, start: Start, end: End
) -> Window:
    check_window(start, end)
    try:
        ids = [UUID(part) for part in members.split(",")] if members else []
    except ValueError:
        raise InvalidFilter("members are ids, by comma.", parameter="members") from None
    return await calendars.window(ids, team, start, end)


# -- the address for other programs ------------------------------------------------------------------------------


@router.get("/v1/me/calendar-feed", access="activity:read")
async def get_team_calendar_feed(uow: Uow) -> CalendarFeedRead:
    """Whether you have a calendar address for other programs."""
    found = await CalendarFeeds(uow).mine()
    return CalendarFeedRead(active=found is not None, created_at=found.created_at if found else None)


@router.post(
    "/v1/me/calendar-feed",
    access="activity:read",
    status_code=201,
    shown_once=True,
    responses=problems(Forbidden),
)
async def create_calendar_feed(uow: Uow) -> CalendarFeedMade:
    """Make a secret calendar address, or a new one: the one before stops working at once."""
    return CalendarFeedMade(url=await CalendarFeeds(uow).make())


@router.delete("/v1/me/calendar-feed", access="activity:read", status_code=204)
async def delete_calendar_feed(uow: Uow) -> None:
    """Take your calendar address out of use."""
    await CalendarFeeds(uow).revoke()


# -- my time zone ------------------------------------------------------------------------------------------------


@router.get("/v1/me/calendar-settings", access="activity:read")
async def get_team_calendar_settings(uow: Uow, response: Response) -> CalendarSettingsRead:
    """How you see times."""
    found = await MyCalendarSettings(uow).read()
    tag(response, found)
    return found


@router.patch(
    "/v1/me/calendar-settings", access="activity:read", responses=problems(StaleVersion, VersionRequired)
)
async def update_calendar_settings(
    body: CalendarSettingsInput, version: IfMatch, uow: Uow, response: Response
) -> CalendarSettingsRead:
    """Choose your time zone: reminders say times in it, and what you plan keeps its hour there."""
    settings = MyCalendarSettings(uow)
    found = await settings.change(
        {name: getattr(body, name) for name in body.model_fields_set}, expected_version=version
    )
    tag(response, found)
    return found
