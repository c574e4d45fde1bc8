"""Recurrence rules: what is refused, and that expansion within a window is what dateutil gives over all time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.kernel.errors import Invalid
from app.modules.activities.services.recurrence import WEEKDAYS, Rule, Series, parse_rule, to_local, to_utc

BERLIN, NEW_YORK, SHANGHAI = (
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/New_York"),
    ZoneInfo("Asia/Shanghai"),
)
ZONES = st.sampled_from([BERLIN, NEW_YORK, SHANGHAI, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")])
STARTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 12, 31)).map(  # noqa: DTZ001 - wall clocks
    lambda at: at.replace(second=0, microsecond=0)
)


def series(text: str, start: str, zone: ZoneInfo) -> Series:
    return Series(parse_rule(text, zone), to_utc(datetime.fromisoformat(start), zone), zone)


def locals_of(found: Series, count: int) -> list[str]:
    starts = found.between(found.start, found.start + timedelta(days=4000), limit=count)
    return [to_local(start, found.zone).isoformat(" ", "minutes") for start in starts]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,WE;COUNT=3", "2026-03-23T09:00", ["2026-03-23 09:00", "2026-03-25 09:00", "2026-03-30 09:00"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30T16:00", ["2026-01-30 16:00", "2026-02-27 16:00", "2026-03-27 16:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "2026-01-31T08:00", ["2026-01-31 08:00", "2026-03-31 08:00", "2026-05-31 08:00"]),
        ("FREQ=YEARLY", "2024-02-29T08:00", ["2024-02-29 08:00", "2028-02-29 08:00", "2032-02-29 08:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-01-30T17:00", ["2026-01-30 17:00", "2026-02-27 17:00", "2026-03-31 17:00"]),
        ("FREQ=DAILY;UNTIL=20260329", "2026-03-28T02:30", ["2026-03-28 02:30", "2026-03-29 03:30"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", "2026-03-01T09:00", ["2026-03-01 09:00", "2026-03-03 09:00", "2026-03-15 09:00"]),
    ],
)  # fmt: skip
def test_rules_that_people_use(text, start, expected):
    assert locals_of(series(text, start, BERLIN), 3) == expected


def test_nine_stays_nine_when_clocks_change():
    found = series("FREQ=DAILY", "2026-03-28T09:00", BERLIN)
    starts = found.between(found.start, found.start + timedelta(days=2))
    assert [start.isoformat() for start in starts] == [
        "2026-03-28T08:00:00+00:00",
        "2026-03-29T07:00:00+00:00",
        "2026-03-30T07:00:00+00:00",
    ]


def test_an_hour_that_is_skipped_or_comes_twice():
    skipped = series("FREQ=DAILY;COUNT=2", "2026-03-28T02:30", BERLIN)
    assert [s.isoformat() for s in skipped.between(skipped.start, skipped.start + timedelta(days=5))] == [
        "2026-03-28T01:30:00+00:00",
        "2026-03-29T01:30:00+00:00",  # 02:30 does not exist; by the offset before the gap it is 03:30
    ]
    twice = series("FREQ=DAILY;COUNT=2", "2026-10-24T02:30", BERLIN)
    assert [s.isoformat() for s in twice.between(twice.start, twice.start + timedelta(days=5))] == [
        "2026-10-24T00:30:00+00:00",
        "2026-10-25T00:30:00+00:00",  # the first 02:30
    ]


@pytest.mark.parametrize(
    "text",
    [
        "", "FREQ=SECONDLY", "FREQ=HOURLY", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=1001", "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101", "FREQ=WEEKLY;BYDAY=1MO", "FREQ=MONTHLY;BYDAY=MO,1FR", "FREQ=DAILY;BYHOUR=3",
        "FREQ=MONTHLY;BYMONTHDAY=0", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=MONTHLY;BYSETPOS=1", "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;UNTIL=20271301", "FREQ=DAILY;UNTIL=x", "FREQ=YEARLY;BYYEARDAY=1", "FREQ=DAILY;COUNT=1,2", "COUNT=3",
        "FREQ=DAILY;UNTIL=99991231", "FREQ=DAILY;;COUNT=2", "FREQ=MONTHLY;BYDAY=6MO",
    ],
)  # fmt: skip
def test_what_nobody_keeps_a_diary_by_is_refused(text):
    with pytest.raises(Invalid):
        parse_rule(text, BERLIN)


@pytest.mark.parametrize(
    "text",
    ["FREQ=WEEKLY;BYDAY=TU", "FREQ=MONTHLY;BYMONTHDAY=2", "FREQ=MONTHLY;BYDAY=2MO", "FREQ=DAILY;BYMONTH=4", "FREQ=DAILY;UNTIL=20260301"],
)  # fmt: skip
def test_the_first_occurrence_is_one_by_the_rule(text):
    with pytest.raises(Invalid):
        series(text, "2026-03-23T09:00", BERLIN).check()


@st.composite
def rules(draw: st.DrawFn, start: datetime) -> str:
    """Rules of which `start` is the first occurrence."""
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}"]
    interval = draw(st.integers(1, 5))
    parts += [f"INTERVAL={interval}"] if interval > 1 else []
    day = WEEKDAYS[start.weekday()]
    days = sorted({day, *draw(st.lists(st.sampled_from(WEEKDAYS), max_size=3))}, key=WEEKDAYS.index)
    if frequency == "WEEKLY":
        parts += [f"WKST={draw(st.sampled_from(WEEKDAYS))}", f"BYDAY={','.join(days)}"]
    elif frequency == "DAILY" and interval == 1 and draw(st.booleans()):
        parts.append(f"BYDAY={','.join(days)}")
    elif frequency == "MONTHLY":
        nth = (start.day - 1) // 7 + 1
        parts.append(draw(st.sampled_from([f"BYMONTHDAY={start.day}", f"BYDAY={nth}{day}", f"BYDAY={day}"])))
    elif frequency == "YEARLY" and draw(st.booleans()):
        months = sorted({start.month, draw(st.integers(1, 12))})
        parts += [f"BYMONTH={','.join(map(str, months))}", f"BYMONTHDAY={start.day}"]
    end = draw(st.sampled_from(["", "COUNT", "UNTIL"]))
    if end == "COUNT":
        parts.append(f"COUNT={draw(st.integers(1, 40))}")
    elif end == "UNTIL":
        parts.append(f"UNTIL={(start + timedelta(days=draw(st.integers(0, 900)))):%Y%m%dT%H%M%S}")
    return ";".join(parts)


@settings(max_examples=150, deadline=None)
@given(st.data(), STARTS, ZONES)
def test_a_window_holds_just_what_dateutil_finds_there(data, start, zone):
    assume(to_local(to_utc(start, zone), zone) == start)
    text = data.draw(rules(start))
    found = Series(parse_rule(text, zone), to_utc(start, zone), zone)
    found.check()
    begin = found.start + timedelta(
        days=data.draw(st.integers(-30, 1200)), hours=data.draw(st.integers(0, 23))
    )
    end = begin + timedelta(days=data.draw(st.integers(1, 120)))
    everything = rrule.rrulestr(f"RRULE:{text}", dtstart=start)
    expected = []
    for local in everything:
        moment = to_utc(local, zone)
        if moment >= end + timedelta(days=2):
            break
        expected.append(moment)
    assert found.between(begin, end) == [moment for moment in expected if begin <= moment < end]
    assert found.number_before(begin) == sum(
        to_local(moment, zone) < to_local(begin, zone) for moment in expected
    )


@settings(max_examples=150, deadline=None)
@given(st.data(), STARTS, ZONES)
def test_a_rule_written_and_read_again_is_the_same(data, start, zone):
    assume(to_local(to_utc(start, zone), zone) == start)
    rule = parse_rule(data.draw(rules(start)), zone)
    if rule.until is not None:
        assume(to_local(to_utc(rule.until, zone), zone) == rule.until)
    assert parse_rule(rule.text(zone), zone) == rule


@settings(max_examples=100, deadline=None)
@given(st.data(), STARTS, ZONES)
def test_a_series_cut_in_two_has_the_same_occurrences(data, start, zone):
    assume(to_local(to_utc(start, zone), zone) == start)
    found = Series(parse_rule(data.draw(rules(start)), zone), to_utc(start, zone), zone)
    window = found.start, found.start + timedelta(days=700)
    starts = found.between(*window)
    cut = data.draw(st.sampled_from(starts))
    assume(cut != found.start)
    assume(to_utc(to_local(cut, zone), zone) == cut)
    head = Series(found.ended_before(cut), found.start, zone)
    rule = found.rule
    count = None if rule.count is None else rule.count - found.number_before(cut)
    tail = Series(Rule(**{**rule.__dict__, "count": count}), cut, zone)
    assume(rule.frequency != "WEEKLY" or rule.interval == 1 or rule.week_start == "MO")
    assert head.between(*window) + tail.between(*window) == starts


def test_what_is_left_out_is_left_out():
    found = series("FREQ=DAILY;COUNT=4", "2026-05-01T09:00", SHANGHAI)
    second = datetime(2026, 5, 2, 1, tzinfo=UTC)
    without = Series(found.rule, found.start, found.zone, frozenset({second}))
    assert len(without.between(found.start, found.start + timedelta(days=9))) == 3
    assert without.holds(second)
    assert without.last() == datetime(2026, 5, 4, 1, tzinfo=UTC)
    assert without.first_from(second) == datetime(2026, 5, 3, 1, tzinfo=UTC)
