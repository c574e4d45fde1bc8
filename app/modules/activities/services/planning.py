"""What follows from an activity's planned time: its end, its due time, its recurrence, its reminder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.kernel.errors import Invalid
from app.modules.activities.models import ActivityKind, ActivityStatus
from app.modules.activities.services.recurrence import Series, parse_rule

TIMED: Final = frozenset({ActivityKind.CALL, ActivityKind.MEETING, ActivityKind.VISIT})
LENGTHS: Final = {ActivityKind.CALL: timedelta(minutes=30)}
USUAL_LENGTH: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=31)
RESCHEDULED: Final = frozenset({"starts_at", "ends_at", "recurrence", "time_zone"})
"""Changes after which attendees have to answer again."""

TOLD: Final = RESCHEDULED | {"subject", "place"}
"""Changes that attendees are told of."""

_REMINDING: Final = frozenset(
    {"starts_at", "due_at", "remind_minutes", "status", "recurrence", "excluded", "time_zone"}
)


def anchor(values: Mapping[str, Any]) -> datetime | None:
    """What recurrence and reminders go by: when it starts, or when a task is due."""
    found: datetime | None = values.get("starts_at") or values.get("due_at")
    return found


def complete_new(values: dict[str, Any], *, zone: str, now: datetime) -> None:
    """Fill in the columns of a new activity that follow from those given. Raises `Invalid`."""
    _complete_end(values)
    if values.get("starts_at") is not None and values.get("due_at") is None:
        values["due_at"] = values["starts_at"]
    _complete_recurrence(values, zone)
    _check(values)
    for name, value in (("excluded", []), ("sequence", 0), ("attendee_count", 0)):
        values.setdefault(name, value)
    values["remind_at"] = next_reminder(values, now)


def complete_changes(row: Any, changes: dict[str, Any], *, zone: str, now: datetime) -> None:
    """Fill in what follows from changes of a stored activity. Raises `Invalid`."""
    before = row.__dict__
    if "starts_at" in changes and changes["starts_at"] != row.starts_at:
        _move(row, changes)
    after = {**before, **changes}
    _complete_end(after)
    changed = {name for name in changes if changes[name] != before[name]}
    if changed & {"recurrence", "time_zone", "starts_at", "due_at"}:
        if row.occurrence_at is not None and after["recurrence"] is not None:
            raise Invalid.at("/recurrence", "is_an_occurrence", "One occurrence does not recur by itself.")
        _complete_recurrence(after, zone)
        if after["recurrence"] is not None and changed & {"recurrence", "time_zone", "starts_at"}:
            after["excluded"] = []  # they were starts by the rule as it was
    _check(after)
    if changed & _REMINDING:
        after["remind_at"] = next_reminder(after, now)
    if row.attendee_count and (changed & TOLD or after["status"] == ActivityStatus.CANCELLED != row.status):
        after["sequence"] = row.sequence + 1
    changes |= {name: value for name, value in after.items() if value != before.get(name)}


def _move(row: Any, changes: dict[str, Any]) -> None:
    """A new start takes the end and the due time along, unless they are given too."""
    start = changes["starts_at"]
    if start is None:
        changes.setdefault("ends_at", None)
    elif row.starts_at is not None and "ends_at" not in changes:
        changes["ends_at"] = start + (row.ends_at - row.starts_at)
    if "due_at" not in changes and row.due_at == row.starts_at:
        changes["due_at"] = start


def _complete_end(values: dict[str, Any]) -> None:
    start, end = values.get("starts_at"), values.get("ends_at")
    if start is None:
        if end is not None:
            raise Invalid.at("/ends_at", "no_start", "What ends has a start: give starts_at too.")
        values["ends_at"] = None
        return
    if values["kind"] not in TIMED:
        raise Invalid.at("/starts_at", "not_timed", f"A {values['kind']} has no start; give it a due_at.")
    if end is None:
        end = values["ends_at"] = start + LENGTHS.get(values["kind"], USUAL_LENGTH)
    if not start <= end <= start + LONGEST:
        raise Invalid.at("/ends_at", "out_of_range", "It ends after it starts, within 31 days.")


def _complete_recurrence(values: dict[str, Any], zone: str) -> None:
    values.setdefault("recurrence", None)
    if values["recurrence"] is None:
        values["recurs_until"] = None
        return
    start = anchor(values)
    if start is None or values["kind"] == ActivityKind.NOTE:
        raise Invalid.at("/recurrence", "no_start", "What recurs has a starts_at, or, for a task, a due_at.")
    if values.get("time_zone") is None:
        values["time_zone"] = zone
    place = ZoneInfo(values["time_zone"])
    rule = parse_rule(values["recurrence"], place)
    series = Series(rule, start, place)
    series.check()
    values["recurrence"] = rule.text(place)
    last = series.last()
    values["recurs_until"] = None if last is None else last + length_of(values)


def _check(values: Mapping[str, Any]) -> None:
    if (values.get("latitude") is None) != (values.get("longitude") is None):
        raise Invalid.at("/longitude", "incomplete", "A place has both a latitude and a longitude.")
    if values.get("remind_minutes") is not None and anchor(values) is None:
        raise Invalid.at(
            "/remind_minutes", "no_start", "A reminder goes by starts_at or due_at; give one of them."
        )


def length_of(values: Mapping[str, Any]) -> timedelta:
    """How long one occurrence takes."""
    if values.get("starts_at") is None:
        return timedelta(0)
    length: timedelta = values["ends_at"] - values["starts_at"]
    return length


def next_reminder(values: Mapping[str, Any], now: datetime) -> datetime | None:
    """When to remind of what is still to come; None when nothing is, or nobody wants it. Late is better than not."""
    minutes, start = values.get("remind_minutes"), anchor(values)
    if minutes is None or start is None or values["status"] != ActivityStatus.OPEN:
        return None
    if values.get("recurrence") is not None and values["kind"] != ActivityKind.TASK:
        following = series_of(values).first_from(now + timedelta(seconds=1))
        if following is None:
            return None
        start = following
    return start - timedelta(minutes=minutes) if start > now else None


def reminded_start(values: Mapping[str, Any]) -> datetime | None:
    """The start that the pending reminder is about."""
    moment, minutes = values.get("remind_at"), values.get("remind_minutes")
    return None if moment is None or minutes is None else moment + timedelta(minutes=minutes)


def after_reminder(values: Mapping[str, Any], now: datetime) -> datetime | None:
    """When to remind again after the pending reminder has gone out: of the next occurrence of a series."""
    start = reminded_start(values)
    if start is None or values.get("recurrence") is None or values["kind"] == ActivityKind.TASK:
        return None
    following = series_of(values).first_from(max(start, now) + timedelta(seconds=1))
    return None if following is None else following - timedelta(minutes=values["remind_minutes"])


def series_of(values: Mapping[str, Any]) -> Series:
    """The series of an activity that recurs."""
    start = anchor(values)
    if start is None:
        raise ValueError("what recurs has a start")
    return Series.of(
        SimpleNamespace(**{n: values[n] for n in ("time_zone", "excluded", "recurrence")}), start
    )
