"""Business calendars and absences over HTTP."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import DuplicateValue, InvalidCursor, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.tenants.interface import CalendarInUse
from app.tenants.people.absences import AbsenceService
from app.tenants.people.calendar_schemas import (
    AbsenceCreate,
    AbsencePage,
    AbsenceRead,
    AbsenceUpdate,
    CalendarCreate,
    CalendarList,
    CalendarRead,
    CalendarUpdate,
    Moment,
)
from app.tenants.people.calendars import CalendarService
from app.tenants.people.wire import answer, changes_of

calendars_router = Router(prefix="/v1/calendars", tags=["working-time"])
absences_router = Router(prefix="/v1/absences", tags=["working-time"])


@calendars_router.get("", access="calendar:read", response_model=CalendarList)
async def list_calendars(uow: Uow) -> CalendarList:
    """All business calendars, the default first. Without a default, the company's settings say its hours."""
    return CalendarList(data=[answer(CalendarRead, row) for row in await CalendarService(uow).list()])


@calendars_router.post(
    "",
    access="calendar:manage",
    status_code=201,
    response_model=CalendarRead,
    responses=problems(DuplicateValue),
)
async def create_calendar(body: CalendarCreate, uow: Uow, response: Response) -> CalendarRead:
    """Business hours, with public holidays of a country if you name one."""
    values = {name: getattr(body, name) for name in CalendarCreate.model_fields}
    row = await CalendarService(uow).create(_plain(values))
    tag(response, row)
    return answer(CalendarRead, row)


@calendars_router.get("/{id}", access="calendar:read", response_model=CalendarRead)
async def get_calendar(id: UUID, uow: Uow, response: Response) -> CalendarRead:
    """One business calendar."""
    row = await CalendarService(uow).get(id)
    tag(response, row)
    return answer(CalendarRead, row)


@calendars_router.patch(
    "/{id}", access="calendar:manage", response_model=CalendarRead, responses=problems(DuplicateValue)
)
async def update_calendar(
    id: UUID, body: CalendarUpdate, uow: Uow, version: IfMatch, response: Response
) -> CalendarRead:
    """Change a business calendar. What is promised of open cases is worked out anew; other deadlines stay."""
    changes = _plain(changes_of(body, nullable=("country", "subdivision")))
    row = await CalendarService(uow).update(id, changes, expected_version=version)
    tag(response, row)
    return answer(CalendarRead, row)


@calendars_router.delete(
    "/{id}", access="calendar:manage", status_code=204, responses=problems(CalendarInUse)
)
async def delete_calendar(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Delete a calendar that nobody works by."""
    await CalendarService(uow).delete(id, expected_version=version)


@absences_router.get("", access="absence:read", response_model=AbsencePage, responses=problems(InvalidCursor))
async def list_absences(
    uow: Uow,
    member_id: Annotated[UUID | None, Query(description="Only this member's.")] = None,
    at: Annotated[Moment | None, Query(description="Only those who are away at this moment.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AbsencePage:
    """Who is away, in the order it was entered."""
    found = await AbsenceService(uow).list(member_id=member_id, at=at, limit=limit, cursor=cursor)
    return AbsencePage(data=[answer(AbsenceRead, row) for row in found.rows], **found.onward)


@absences_router.post("", access="absence:manage", status_code=201, response_model=AbsenceRead)
async def create_absence(body: AbsenceCreate, uow: Uow, response: Response) -> AbsenceRead:
    """Say that you, or somebody whom your role reaches, are away."""
    values = {name: getattr(body, name) for name in AbsenceCreate.model_fields}
    row = await AbsenceService(uow).create(values)
    tag(response, row)
    return answer(AbsenceRead, row)


@absences_router.get("/{id}", access="absence:read", response_model=AbsenceRead)
async def get_absence(id: UUID, uow: Uow, response: Response) -> AbsenceRead:
    """One absence."""
    row = await AbsenceService(uow).get(id)
    tag(response, row)
    return answer(AbsenceRead, row)


@absences_router.patch("/{id}", access="absence:manage", response_model=AbsenceRead)
async def update_absence(
    id: UUID, body: AbsenceUpdate, uow: Uow, version: IfMatch, response: Response
) -> AbsenceRead:
    """Change when somebody is away, or who stands in."""
    changes = changes_of(body, nullable=("reason", "stand_in_id"))
    row = await AbsenceService(uow).update(id, changes, expected_version=version)
    tag(response, row)
    return answer(AbsenceRead, row)


@absences_router.delete("/{id}", access="absence:manage", status_code=204)
async def delete_absence(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Somebody is not away after all."""
    await AbsenceService(uow).delete(id, expected_version=version)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Hours and days as they are stored."""
    if "days" in values:
        values["days"] = values["days"].model_dump(mode="json")
    for name in ("days_off", "work_days"):
        if name in values:
            values[name] = [day.model_dump(mode="json") for day in values[name]]
    return values
