"""The arithmetic of promises against a slow reference that looks at every minute; and exact values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from uuid import uuid4
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.working_time import CalendarDefinition, Week, WorkingCalendar, calendar_of
from app.modules.after_sales.services.sla.engine import Hold, Promise, due, earliest, used
from app.modules.after_sales.services.sla.standing import ALWAYS_OPEN, Pledge, Standing, deadline

H = 3_600
MINUTE = timedelta(minutes=1)
WEEKS: dict[str, Week] = {
    "office": (((9 * H, 17 * H),),) * 5 + ((), ()),
    "lunch": (((8 * H, 12 * H), (13 * H, 17 * H + 1_800)),) * 6 + ((),),
    "nights": (((0, 6 * H), (22 * H, 24 * H)),) * 7,
    "always": (((0, 24 * H),),) * 7,
}
PLACES = {
    "America/New_York": ("US", (date(2026, 3, 6), date(2026, 10, 30), date(2026, 7, 1))),
    "Asia/Shanghai": ("CN", (date(2025, 9, 26), date(2025, 1, 24), date(2025, 5, 9))),
    "Asia/Kolkata": ("IN", (date(2026, 1, 23), date(2026, 8, 13))),
}
"""Days before clocks change, before holidays, and before weekend days that are worked for them."""


@lru_cache
def days_of(country: str, year: int) -> tuple[frozenset[date], frozenset[date]]:
    known = holidays.country_holidays(country, years=year)
    return frozenset(known), frozenset(known.weekend_workdays)


def open_at(zone: str, week: Week, moment: datetime) -> bool:
    """What a person sees who looks at the clock on the wall and at the calendar beside it."""
    local = moment.astimezone(ZoneInfo(zone))
    free, worked = days_of(PLACES[zone][0], local.year)
    hours = week[local.weekday()]
    if local.date() in worked:
        hours = next(day for day in week if day)
    elif local.date() in free:
        hours = ()
    shown = local.hour * H + local.minute * 60
    return any(start <= shown < end for start, end in hours)


def minute_by_minute(zone: str, week: Week, start: datetime, minutes: int, holds: Sequence[Hold]) -> datetime:
    """When so many open minutes have passed that were not held."""
    at, counted = start, 0
    while counted < minutes:
        held = any(a <= at < b for a, b in holds)
        counted += open_at(zone, week, at) and not held
        at += MINUTE
    return at


@st.composite
def promises(draw: st.DrawFn) -> tuple[str, Week, datetime, int, list[Hold]]:
    """A zone, a week, a minute before something odd, a goal in minutes, and times when it is held."""
    zone = draw(st.sampled_from(sorted(PLACES)))
    day = draw(st.sampled_from(PLACES[zone][1]))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + draw(st.integers(0, 4 * 1_440)) * MINUTE
    edges = sorted(draw(st.lists(st.integers(0, 6 * 1_440), max_size=6, unique=True)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    holds = [(start + a * MINUTE, start + b * MINUTE) for a, b in pairs]
    return zone, WEEKS[draw(st.sampled_from(sorted(WEEKS)))], start, draw(st.integers(1, 1_200)), holds


def calendar(zone: str, week: Week) -> WorkingCalendar:
    return calendar_of(CalendarDefinition(time_zone=zone, week=week, country=PLACES[zone][0]))


@given(promises())
@settings(max_examples=120, deadline=None)
def test_deadlines_agree_with_looking_at_the_clock_every_minute(
    case: tuple[str, Week, datetime, int, list[Hold]],
) -> None:
    zone, week, start, minutes, holds = case
    found = due(calendar(zone, week), Promise(start, minutes * 60, holds)).due_at
    assert found == minute_by_minute(zone, week, start, minutes, holds)


@given(promises(), st.integers(0, 59), st.integers(0, 59), st.integers(1, 99))
@settings(max_examples=200, deadline=None)
def test_deadlines_are_exact_to_the_second(
    case: tuple[str, Week, datetime, int, list[Hold]], seconds: int, more: int, percent: int
) -> None:
    zone, week, start, minutes, holds = case
    subject, goal = calendar(zone, week), minutes * 60 + more
    promise = Promise(start + timedelta(seconds=seconds), goal, holds)
    found = due(subject, promise, percent)
    assert used(subject, promise, found.due_at) == goal
    assert used(subject, promise, found.due_at - timedelta(seconds=1)) == goal - 1
    assert used(subject, promise, found.warn_at) == -(-goal * percent // 100)
    assert found.warn_at <= found.due_at


@given(promises())
@settings(max_examples=120, deadline=None)
def test_a_clock_that_is_held_and_resumed_fails_when_the_reference_says_so(
    case: tuple[str, Week, datetime, int, list[Hold]],
) -> None:
    zone, week, start, minutes, holds = case
    subject = calendar(zone, week)
    pledge = Pledge(uuid4(), None, subject, minutes * 60, 80)
    clock = Standing.begin(uuid4(), uuid4(), "resolution", pledge, start)
    failed = []
    for begin, end in holds:
        failed.append(clock.fail_if_late(subject, (), begin))
        clock.pause(begin)
        assert (clock.due_at is None) == (clock.breached_at is None)
        assert clock.fail_if_late(subject, (), end) is False  # what is held cannot fail
        clock.resume(subject, 80, end)
    expected = minute_by_minute(zone, week, start, minutes, holds)
    assert clock.due_at == expected
    failed.append(clock.fail_if_late(subject, (), expected))
    failed.append(clock.fail_if_late(subject, (), expected + MINUTE * 10_000))
    failed.append(clock.fail_if_late(subject, (), expected + MINUTE * 20_000))
    assert sum(failed) == 1
    assert clock.breached_at == expected
    again = Standing.of({**clock.stored()})
    assert again == clock


NEW_YORK = calendar_of(CalendarDefinition(time_zone="America/New_York", week=WEEKS["office"]))


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York"))


def test_the_hour_that_clocks_skip_does_not_count() -> None:
    always = calendar_of(CalendarDefinition(time_zone="America/New_York", week=WEEKS["always"]))
    found = due(always, Promise(new_york("2026-03-08T00:00"), 4 * H))
    assert found.due_at == new_york("2026-03-08T05:00")
    friday = Promise(new_york("2026-03-06T16:30:15"), H)
    assert due(NEW_YORK, friday).due_at == datetime(2026, 3, 9, 13, 30, 15, tzinfo=UTC)


def test_a_saturday_worked_for_a_holiday_counts_in_china() -> None:
    china = calendar("Asia/Shanghai", WEEKS["office"])
    zone = ZoneInfo("Asia/Shanghai")
    friday = datetime(2025, 10, 10, 16, tzinfo=zone)
    assert due(china, Promise(friday, 2 * H)).due_at == datetime(2025, 10, 11, 10, tzinfo=zone)
    golden_week = datetime(2025, 9, 30, 16, tzinfo=zone)
    assert due(china, Promise(golden_week, 2 * H)).due_at == datetime(2025, 10, 9, 10, tzinfo=zone)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ((), "2026-06-01T17:00"),
        ((("2026-06-01T10:00", "2026-06-01T12:00"),), "2026-06-02T11:00"),
        ((("2026-06-01T18:00", "2026-06-02T09:00"),), "2026-06-01T17:00"),  # it was due before that
        ((("2026-06-01T16:00", "2026-06-03T16:30"),), "2026-06-04T09:30"),
    ],
)
def test_the_working_time_held_is_added(held: Sequence[tuple[str, str]], expected: str) -> None:
    holds = [(new_york(start), new_york(end)) for start, end in held]
    found = due(NEW_YORK, Promise(new_york("2026-06-01T09:00"), 8 * H, holds))
    assert found.due_at == new_york(expected)


def test_what_no_working_time_reaches_counts_every_hour() -> None:
    never = WorkingCalendar(CalendarDefinition(time_zone="UTC", week=((),) * 7))
    start = datetime(2026, 6, 1, tzinfo=UTC)
    assert deadline(never, Promise(start, 3 * H), 80).due_at == start + timedelta(hours=3)
    assert due(ALWAYS_OPEN, Promise(start, 3 * H)).due_at == start + timedelta(hours=3)


def test_the_earliest_deadline_shows() -> None:
    late, soon = datetime(2026, 6, 2, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    assert earliest([(late, "resolution"), (soon, "first_response")]) == (soon, "first_response")
    assert earliest([]) == (None, None)
