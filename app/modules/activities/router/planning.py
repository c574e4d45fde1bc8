"""Attendees and their answers, visits, and the occurrences of what recurs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime

from app.kernel.errors import InvalidFilter, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.record_router import record_response, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Output
from app.kernel.uow import UnitOfWork
from app.kernel.validation import set_fields_of
from app.modules.activities.interface import AlreadyCheckedIn, InvitationClosed, NotCheckedIn
from app.modules.activities.models import Attendee
from app.modules.activities.schemas import (
    ActivityRead,
    Answer,
    AttendeeList,
    AttendeeRead,
    CheckIn,
    Completion,
    Occurrence,
    OccurrenceCancel,
    OccurrenceChange,
)
from app.modules.activities.services.activities import ACTIVITY, ActivityService
from app.modules.activities.services.invitations import Invitations
from app.modules.activities.services.occurrences import NotRecurring, Occurrences
from app.modules.activities.services.visits import Visits

router = Router(tags=["activities"])
_STEP = problems(StaleVersion, VersionRequired, InvalidTransition)


class AttendeePage(Output):
    """Everybody who is invited, as they were added."""

    data: list[AttendeeRead]


class OccurrencePage(Output):
    """Occurrences by start, at most 1,000."""

    data: list[Occurrence]


# -- attendees ---------------------------------------------------------------------------------------------------


@router.get("/v1/activities/{id}/attendees", access="activity:read")
async def list_activity_attendees(id: UUID, uow: Uow) -> AttendeePage:
    """Who is invited, and what they answered."""
    await ActivityService(uow).get(id)
    return AttendeePage(data=[_attendee(uow, one) for one in await Invitations(uow).attendees_of(id)])


@router.put(
    "/v1/activities/{id}/attendees",
    access="activity:update",
    responses=problems(StaleVersion, VersionRequired),
)
async def set_activity_attendees(
    id: UUID, body: AttendeeList, version: IfMatch, uow: Uow, response: Response
) -> AttendeePage:
    """Say who is invited: new ones are mailed an invitation, those left out that there is none any more."""
    row = await ActivityService(uow).set_attendees(id, body.attendees, expected_version=version)
    tag(response, row)
    return AttendeePage(data=[_attendee(uow, one) for one in await Invitations(uow).attendees_of(id)])


@router.post("/v1/activities/{id}/rsvp", access="activity:read", responses=problems(InvitationClosed))
async def answer_activity_invitation(id: UUID, body: Answer, uow: Uow) -> AttendeeRead:
    """Answer your invitation, or change your answer; the organiser is told."""
    service = ActivityService(uow)
    return _attendee(uow, await service.attendees.answer(await service.get(id), body))


def _attendee(uow: UnitOfWork, row: Attendee) -> AttendeeRead:
    values = {name: row.__dict__[name] for name in AttendeeRead.model_fields}
    if row.object is not None and "email" in uow.actor.hidden(row.object):
        values["email"] = None
    return AttendeeRead.model_validate(values)


# -- visits ------------------------------------------------------------------------------------------------------


@router.post(
    "/v1/activities/{id}/check-in",
    access="activity:update",
    response_model=ActivityRead,
    responses=problems(StaleVersion, VersionRequired, InvalidTransition, AlreadyCheckedIn),
)
async def check_in_activity(id: UUID, body: CheckIn, version: IfMatch, uow: Uow) -> Response:
    """Say that you have arrived at a visit, and where you are: once."""
    return record_response(uow, ACTIVITY, await Visits(uow).check_in(id, body, expected_version=version))


@router.post(
    "/v1/activities/{id}/check-out",
    access="activity:update",
    response_model=ActivityRead,
    responses=problems(StaleVersion, VersionRequired, NotCheckedIn),
)
async def check_out_activity(id: UUID, version: IfMatch, uow: Uow, how: Completion | None = None) -> Response:
    """Say that you have left: the visit is done, and its duration known."""
    how = how or Completion()
    row = await Visits(uow).check_out(id, outcome=how.outcome, note=how.note, expected_version=version)
    return record_response(uow, ACTIVITY, row)


# -- occurrences -------------------------------------------------------------------------------------------------


@router.get("/v1/activities/{id}/occurrences", access="activity:read", responses=problems(NotRecurring))
async def list_activity_occurrences(
    id: UUID,
    uow: Uow,
    start: Annotated[AwareDatetime, Query(alias="from", description="Those that start then or later.")],
    end: Annotated[AwareDatetime, Query(alias="to", description="Those that start before.")],
) -> OccurrencePage:
    """The occurrences of a series within a window, changed ones too."""
    check_window(start, end)
    return OccurrencePage(data=await Occurrences(uow).list(id, start, end))


@router.post(
    "/v1/activities/{id}/occurrences/change",
    access="activity:update",
    response_model=ActivityRead,
    responses=_STEP | problems(NotRecurring),
)
async def change_activity_occurrence(
    id: UUID, body: OccurrenceChange, version: IfMatch, uow: Uow
) -> Response:
    """Change one occurrence, it and those that follow, or all. Answers the activity that stands for it then.

    The version is that of the series. A changed series of other times drops what was changed of single occurrences.
    """
    row = await Occurrences(uow).change(
        id, body.occurrence_at, body.scope, set_fields_of(body.changes), expected_version=version
    )
    return record_response(uow, ACTIVITY, row)


@router.post(
    "/v1/activities/{id}/occurrences/cancel",
    access="activity:update",
    response_model=ActivityRead,
    responses=_STEP | problems(NotRecurring),
)
async def cancel_activity_occurrence(
    id: UUID, body: OccurrenceCancel, version: IfMatch, uow: Uow
) -> Response:
    """Cancel one occurrence, it and those that follow, or all. Answers the series."""
    row = await Occurrences(uow).cancel(id, body.occurrence_at, body.scope, expected_version=version)
    return record_response(uow, ACTIVITY, row)


def check_window(start: datetime, end: datetime) -> None:
    """Raises `InvalidFilter` for years that no calendar goes to, or an end that is not after the start."""
    if not (1900 <= start.year < 2200 and 1900 <= end.year < 2200):
        raise InvalidFilter("Times lie between the years 1900 and 2200.", parameter="from")
    if not start < end:
        raise InvalidFilter("`to` lies after `from`.", parameter="to")
