"""Activities as iCalendar objects (RFC 5545), for invitations (RFC 5546) and calendar feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, Todo, vCalAddress, vRecur, vText

from app.modules.activities.models import Activity, ActivityKind, ActivityStatus, Attendee, AttendeeResponse

PRODUCT: Final = "-//Rapport//Rapport CRM//EN"
_ANSWERS: Final = {
    AttendeeResponse.NEEDS_ACTION: "NEEDS-ACTION",
    AttendeeResponse.ACCEPTED: "ACCEPTED",
    AttendeeResponse.DECLINED: "DECLINED",
    AttendeeResponse.TENTATIVE: "TENTATIVE",
}
_PRIORITIES: Final = {"high": 1, "normal": 5, "low": 9}  # RFC 5545 §3.8.1.9


def calendar_of(
    components: Sequence[Event | Todo], *, method: str | None = None, name: str | None = None
) -> bytes:
    """A VCALENDAR with the time zones that its parts name."""
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    if method is not None:
        calendar.add("method", method)
    if name is not None:
        calendar.add("x-wr-calname", name)
    for component in components:
        calendar.add_component(component)
    calendar.add_missing_timezones()
    content: bytes = calendar.to_ical()
    return content


def uid_of(row: Activity, public_url: str) -> str:
    """One UID for a series and for those of its occurrences that were changed."""
    host = urlsplit(public_url).hostname or "localhost"
    id: UUID = row.series_id if row.occurrence_at is not None and row.series_id else row.id
    return f"{id}@{host}"


def event_of(
    row: Activity,
    *,
    public_url: str,
    attendees: Sequence[Attendee] = (),
    organiser: tuple[str, str] | None = None,
    description: str | None = None,
    kept_out: Sequence[datetime] = (),
    series_zone: str | None = None,
) -> Event:
    """A VEVENT of a call, meeting or visit. `kept_out` are the starts that are cancelled (EXDATE)."""
    if row.starts_at is None or row.ends_at is None:
        raise ValueError("an event has a start")
    zone = ZoneInfo(row.time_zone) if row.recurrence and row.time_zone else UTC
    event = Event()
    event.add("uid", uid_of(row, public_url))
    event.add("dtstamp", row.updated_at)
    event.add("sequence", row.sequence)
    event.add("dtstart", row.starts_at.astimezone(zone))
    event.add("dtend", row.ends_at.astimezone(zone))
    event.add("summary", row.subject)
    if row.recurrence:
        event.add("rrule", vRecur.from_ical(row.recurrence))
        for start in kept_out:
            event.add("exdate", start.astimezone(zone))
    if row.occurrence_at is not None:
        event.add("recurrence-id", row.occurrence_at.astimezone(ZoneInfo(series_zone or "UTC")))
    if row.place:
        event.add("location", row.place)
    if row.latitude is not None and row.longitude is not None:
        event.add("geo", (row.latitude, row.longitude))
    if description:
        event.add("description", description)
    event.add("class", "PRIVATE" if row.private else "PUBLIC")
    cancelled = row.status == ActivityStatus.CANCELLED or row.deleted_at is not None
    event.add("status", "CANCELLED" if cancelled else "CONFIRMED")
    if organiser is not None:
        event.add("organizer", _address(*organiser), encode=False)
    for one in attendees:
        if one.email:
            event.add("attendee", _attendee(one), encode=False)
    return event


def todo_of(row: Activity, *, public_url: str) -> Todo:
    """A VTODO of a task."""
    todo = Todo()
    todo.add("uid", uid_of(row, public_url))
    todo.add("dtstamp", row.updated_at)
    todo.add("sequence", row.sequence)
    todo.add("summary", row.subject)
    if row.due_at is not None:
        todo.add("due", row.due_at.astimezone(UTC))
    if row.body:
        todo.add("description", row.body)
    todo.add("priority", _PRIORITIES[row.priority])
    done = row.status == ActivityStatus.DONE
    todo.add("status", "COMPLETED" if done else "NEEDS-ACTION")
    if done and row.completed_at is not None:
        todo.add("completed", row.completed_at.astimezone(UTC))
    return todo


def component_of(row: Activity, **options: Any) -> Event | Todo | None:
    """How a calendar shows an activity; None for what has no place in one."""
    if row.starts_at is not None:
        return event_of(row, **options)
    if row.kind == ActivityKind.TASK and row.due_at is not None:
        return todo_of(row, public_url=options["public_url"])
    return None


def _address(name: str, email: str) -> vCalAddress:
    address = vCalAddress(f"mailto:{email}")
    address.params["cn"] = vText(name)
    return address


def _attendee(one: Attendee) -> vCalAddress:
    address = _address(one.name, one.email or "")
    parameters: Mapping[str, str] = {
        "cutype": "INDIVIDUAL",
        "role": "REQ-PARTICIPANT",
        "partstat": _ANSWERS[AttendeeResponse(one.response)],
        "rsvp": "TRUE",
    }
    for name, value in parameters.items():
        address.params[name] = vText(value)
    return address
