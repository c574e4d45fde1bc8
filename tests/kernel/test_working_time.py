"""Working time against a slow reference that looks at every minute, across changes of clocks; and exact values."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.working_time import (
    CalendarDefinition,
    Interval,
    NeverOpen,
    Week,
    WorkingCalendar,
    calendar_of,
    has_holidays,
)

H = 3_600
NINE_TO_FIVE: Week = (((9 * H, 17 * H),),) * 5 + ((), ())
ZONES = ("America/New_York", "Asia/Shanghai", "Asia/Kolkata", "Australia/Lord_Howe")
CLOCKS_CHANGE = {  # local days around which clocks change, or an ordinary week where they never do
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Asia/Shanghai": (date(1991, 4, 14), date(1991, 9, 15), date(2026, 5, 1)),
    "Asia/Kolkata": (date(2026, 1, 1), date(2026, 8, 15)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
}


def calendar(zone: str = "UTC", week: Week = NINE_TO_FIVE, **more: object) -> WorkingCalendar:
    return WorkingCalendar(CalendarDefinition(time_zone=zone, week=week, **more))  # type: ignore[arg-type]


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def open_at(zone: str, week: Week, moment: datetime) -> bool:
    """What a person sees who looks at the clock on the wall."""
    local = moment.astimezone(ZoneInfo(zone))
    shown = local.hour * H + local.minute * 60
    return any(start <= shown < end for start, end in week[local.weekday()])


@st.composite
def weeks(draw: st.DrawFn) -> Week:
    """Hours to the minute, up to three intervals a day, nights and whole days among them."""
    days = []
    for _ in range(7):
        times = draw(st.lists(st.integers(0, 1_440), max_size=6, unique=True))
        edges = sorted(times)[: len(times) // 2 * 2]
        days.append(tuple((a * 60, b * 60) for a, b in zip(edges[::2], edges[1::2], strict=True)))
    return tuple(days)


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, Week, datetime, int]:
    """A zone, a week, a minute near a change of clocks, and some minutes that follow."""
    zone = draw(st.sampled_from(ZONES))
    day = draw(st.sampled_from(CLOCKS_CHANGE[zone]))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(
        minutes=draw(st.integers(-3 * 1_440, 2 * 1_440))
    )
    return zone, draw(weeks()), start, draw(st.integers(0, 4 * 1_440))


@given(spans())
@settings(max_examples=150, deadline=None)
def test_it_agrees_with_looking_at_the_clock_every_minute(case: tuple[str, Week, datetime, int]) -> None:
    zone, week, start, minutes = case
    subject = calendar(zone, week)
    seen = [open_at(zone, week, start + timedelta(minutes=n)) for n in range(minutes + 1)]
    end = start + timedelta(minutes=minutes)
    worked = sum(seen[:minutes]) * 60
    assert subject.between(start, end) == worked
    assert subject.between(end, start) == -worked
    assert subject.is_open(start) == seen[0]
    assert subject.is_open(end) == seen[minutes]
    if any(seen):
        assert subject.next_open(start) == start + timedelta(minutes=seen.index(True))
    if worked:
        last = max(n for n in range(minutes) if seen[n]) + 1
        assert subject.add(start, worked) == start + timedelta(minutes=last)
        first = seen.index(True)
        assert subject.add(end, -worked) == start + timedelta(minutes=first)


@given(
    st.sampled_from(ZONES),
    weeks().filter(lambda week: sum(end - start for day in week for start, end in day) >= H),
    st.integers(0, 11 * 365 * 24 * H).map(lambda n: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=n)),
    st.integers(1, 2_000_000),
)
@settings(max_examples=150, deadline=None)
def test_adding_and_measuring_undo_each_other(zone: str, week: Week, start: datetime, seconds: int) -> None:
    subject = calendar(zone, week, country="US")
    end = subject.add(start, seconds)
    assert subject.between(start, end) == seconds
    assert subject.between(start, end - timedelta(seconds=1)) == seconds - 1
    back = subject.add(end, -seconds)
    assert subject.between(back, end) == seconds
    assert start <= back
    middle = start + (end - start) / 3
    assert subject.between(start, middle) + subject.between(middle, end) == seconds


@given(
    st.integers(0, 365 * 24 * H).map(lambda n: datetime(2025, 9, 1, tzinfo=UTC) + timedelta(seconds=n)),
    st.lists(st.integers(0, 2_000_000), max_size=3),
    st.lists(st.integers(-400_000, 9_000_000), max_size=10, unique=True).map(sorted),
)
@settings(max_examples=200, deadline=None)
def test_what_is_held_is_put_off_hold_by_hold(start: datetime, wanted: list[int], edges: list[int]) -> None:
    subject = calendar("America/New_York", country="US")
    moments = [start + timedelta(seconds=edge) for edge in edges]
    holds = list(zip(moments[::2], moments[1::2], strict=False))
    assert subject.reach(start, wanted, holds) == [put_off(subject, start, goal, holds) for goal in wanted]


def put_off(
    subject: WorkingCalendar, start: datetime, goal: int, holds: list[tuple[datetime, datetime]]
) -> datetime:
    """When it is reached, looked up anew after each hold that comes before."""
    reached = subject.add(start, goal)
    for begins, ends in holds:
        if ends <= start:
            continue
        if reached <= begins:
            break
        held = subject.between(max(begins, start), ends)
        goal += held
        if held:
            reached = subject.add(start, goal)
    return reached


def test_eight_hours_from_an_opening_end_the_same_day() -> None:
    subject = calendar("America/New_York")
    assert subject.add(at("2026-06-01 09:00", "America/New_York"), 8 * H) == at("2026-06-01 21:00")
    assert subject.add(at("2026-06-05 16:30", "America/New_York"), H) == at(
        "2026-06-08 09:30", "America/New_York"
    )
    assert subject.add(at("2026-06-06 12:00", "America/New_York"), 1) == at(
        "2026-06-08 09:00:01", "America/New_York"
    )
    assert subject.add(at("2026-06-06 12:00"), 0) == at("2026-06-06 12:00")
    assert subject.add(at("2026-06-08 09:30", "America/New_York"), -H) == at(
        "2026-06-05 16:30", "America/New_York"
    )


def test_the_second_that_hours_end_is_closed() -> None:
    subject = calendar()
    assert subject.is_open(at("2026-06-01 16:59:59.999999"))
    assert not subject.is_open(at("2026-06-01 17:00"))
    assert not subject.is_open(at("2026-06-01 08:59:59"))
    assert subject.next_open(at("2026-06-05 17:00")) == at("2026-06-08 09:00")
    assert subject.next_open(at("2026-06-05 16:59:59")) == at("2026-06-05 16:59:59")


def test_what_clocks_leap_over_is_not_worked_and_what_they_repeat_is_worked_twice() -> None:
    nights: Week = (((H, 4 * H),),) * 7
    york = calendar("America/New_York", nights)
    assert york.between(at("2026-03-08 00:00"), at("2026-03-09 00:00")) == 2 * H
    assert york.between(at("2026-11-01 00:00"), at("2026-11-02 00:00")) == 4 * H
    howe = calendar("Australia/Lord_Howe", nights)
    assert howe.between(at("2026-04-04 12:00"), at("2026-04-05 12:00")) == 3 * H + 1_800
    assert howe.between(at("2026-10-03 12:00"), at("2026-10-04 12:00")) == 3 * H - 1_800


def test_a_day_that_a_zone_left_out_has_no_working_time() -> None:
    # Samoa crossed the date line: 30 December 2011, a Friday, did not exist there.
    samoa = calendar("Pacific/Apia")
    start = at("2011-12-29 09:00", "Pacific/Apia")
    assert samoa.add(start, 8 * H + 1) == at("2012-01-02 09:00:01", "Pacific/Apia")


def test_days_off_go_before_hours_and_work_days_before_everything() -> None:
    subject = calendar(
        days_off=frozenset({date(2026, 6, 1), date(2026, 6, 6)}),
        work_days=((date(2026, 6, 6), None), (date(2026, 6, 7), ((10 * H, 12 * H),))),
    )
    assert not subject.is_open(at("2026-06-01 10:00"))
    assert subject.between(at("2026-06-06 00:00"), at("2026-06-07 00:00")) == 8 * H
    assert subject.between(at("2026-06-07 00:00"), at("2026-06-08 00:00")) == 2 * H


def test_public_holidays_are_free_and_weekends_worked_for_them_are_worked() -> None:
    china = calendar("Asia/Shanghai", country="CN")
    zone = "Asia/Shanghai"
    assert not china.is_open(at("2026-02-17 10:00", zone))  # spring festival
    assert china.is_open(at("2026-02-14 10:00", zone))  # a Saturday worked for it
    assert not china.is_open(at("2026-02-21 10:00", zone))
    assert china.between(at("2026-02-14 00:00", zone), at("2026-03-01 00:00", zone)) == 6 * 8 * H
    bavaria = calendar("Europe/Berlin", country="DE", subdivision="BY")
    assert not bavaria.is_open(at("2026-01-06 10:00", "Europe/Berlin"))
    assert calendar("Europe/Berlin", country="DE").is_open(at("2026-01-06 10:00", "Europe/Berlin"))


@pytest.mark.parametrize(
    ("country", "subdivision", "known"),
    [("CN", None, True), ("DE", "BY", True), ("DE", "XX", False), ("XX", None, False)],
)
def test_it_says_which_holidays_are_known(country: str, subdivision: str | None, known: bool) -> None:
    assert has_holidays(country, subdivision) is known


def test_a_span_of_years_is_exact() -> None:
    subject = calendar("Asia/Kolkata")
    start = at("2020-01-01 00:00", "Asia/Kolkata")
    working_days = sum(1 for n in range(3_653) if (start + timedelta(days=n)).weekday() < 5)
    assert subject.between(start, at("2030-01-01 00:00", "Asia/Kolkata")) == working_days * 8 * H
    assert subject.add(start, working_days * 8 * H) == at("2029-12-31 17:00", "Asia/Kolkata")


def test_a_calendar_without_hours_is_never_open() -> None:
    empty: tuple[tuple[Interval, ...], ...] = ((),) * 7
    subject = calendar(week=empty)
    now = at("2026-06-01 10:00")
    assert not subject.is_open(now)
    assert subject.between(now, at("2036-06-01 10:00")) == 0
    with pytest.raises(NeverOpen):
        subject.next_open(now)
    for seconds in (1, -1):
        with pytest.raises(NeverOpen):
            subject.add(now, seconds)


def test_equal_definitions_share_their_years() -> None:
    one = CalendarDefinition("UTC", NINE_TO_FIVE)
    assert calendar_of(one) is calendar_of(CalendarDefinition("UTC", NINE_TO_FIVE))


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        calendar().is_open(datetime(2026, 6, 1))  # noqa: DTZ001
