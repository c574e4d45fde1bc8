"""Working time: when a business is open, and how much of that lies between two moments.

Hours are those that a clock on the wall shows, in the zone of the calendar: where clocks go forward, what they
leap over does not exist; where they go back, what they show twice counts twice. All arithmetic is on sorted
intervals of whole seconds, a year at a time with running totals, so that a span of years costs a few bisections.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_START = datetime(1970, 1, 1, tzinfo=UTC)
_SCAN = DAY // 4  # zones change their offset at most once in six hours
_SLACK = 2 * DAY  # a zone's day and the same day in UTC are less than this apart
_MEAN_YEAR = 31_556_952
_HORIZON = 50  # years after which a calendar is taken to be closed for good

Interval = tuple[int, int]
"""From and to in seconds since local midnight, at most 86,400; the end is not part of it."""
Week = tuple[tuple[Interval, ...], ...]


class NeverOpen(ValueError):
    """There is no working time within fifty years."""


@dataclass(frozen=True, slots=True)
class CalendarDefinition:
    """What makes up a calendar: hours by weekday from Monday, and the days that differ.

    `days_off` are free. `work_days` are worked whatever else is said of them: with hours of their own, or with
    those of the week's first working day (as on the weekends that are worked for a long holiday in China).
    Public holidays of `country` (ISO 3166) and `subdivision` are free, and the weekends its government moves
    them to are worked; both come from the `holidays` library. What the calendar itself says goes first.
    """

    time_zone: str
    week: Week
    country: str | None = None
    subdivision: str | None = None
    days_off: frozenset[date] = frozenset()
    work_days: tuple[tuple[date, tuple[Interval, ...] | None], ...] = ()


@dataclass(frozen=True, slots=True)
class _Year:
    """The open intervals of one local year in seconds since 1970, and the working time before each of them."""

    starts: list[int]
    ends: list[int]
    before: list[int]
    total: int

    def worked_until(self, moment: int) -> int:
        """Working seconds of this year before `moment`."""
        place = bisect_right(self.starts, moment) - 1
        if place < 0:
            return 0
        return self.before[place] + min(moment, self.ends[place]) - self.starts[place]


@dataclass(slots=True)
class WorkingCalendar:
    """One business calendar. Moments are aware datetimes, taken at their whole second; answers are in UTC."""

    definition: CalendarDefinition
    _years: dict[int, _Year] = field(default_factory=dict, repr=False)

    def is_open(self, at: datetime) -> bool:
        """Whether it is working time at this moment; the second at which hours end is not."""
        moment = _seconds(at)
        year = self._year(self._year_of(moment))
        place = bisect_right(year.starts, moment) - 1
        return place >= 0 and moment < year.ends[place]

    def between(self, start: datetime, end: datetime) -> int:
        """Working seconds from `start` to `end`; negative if `end` lies before."""
        first, last = _seconds(start), _seconds(end)
        if last < first:
            return -self.between(end, start)
        low, high = self._year_of(first), self._year_of(last)
        passed = sum(self._year(number).total for number in range(low, high))
        return passed + self._year(high).worked_until(last) - self._year(low).worked_until(first)

    def add(self, at: datetime, working_seconds: int) -> datetime:
        """The earliest moment by which so much working time has passed since `at`.

        Negative seconds go back: the latest moment from which so much passes until `at`. Eight hours from an
        opening at nine end at five, not at the next opening. Zero is `at` itself. Raises: NeverOpen.
        """
        moment = _seconds(at)
        if working_seconds == 0:
            return _moment(moment)
        number = self._year_of(moment)
        wanted = self._year(number).worked_until(moment) + working_seconds
        if working_seconds > 0:
            return _moment(self._forward(number, wanted))
        return _moment(self._back(number, wanted))

    def reach(
        self, at: datetime, wanted: Sequence[int], holds: Sequence[tuple[datetime, datetime]] = ()
    ) -> list[datetime]:
        """For each of `wanted` seconds, by when so much working time has passed since `at` outside of `holds`.

        As `add`; a hold, from and to, puts it off if it begins before so much has passed. Holds are in order and none
        overlaps another. Each moment is looked up once: on the scale of working time, a hold is a difference of two
        running totals, and only what comes of it is turned into a moment again. Raises: NeverOpen.
        """
        start = _seconds(at)
        first = self._year_of(start)
        passed = self._passed(first, start)
        held: list[tuple[int, int]] = []  # from which working second on how many are held
        for begins, ends in holds:
            low, high = _seconds(begins), _seconds(ends)
            if high > start:
                place = self._passed(first, low) if low > start else passed
                # One that has begun before puts everything off, even what is reached at once.
                held.append((place if low >= start else place - 1, self._passed(first, high) - place))
        found: list[datetime] = []
        for seconds in wanted:
            goal = passed + seconds
            for place, amount in held:
                if place >= goal:
                    break  # reached before this hold began
                goal += amount
            found.append(_moment(start if goal == passed else self._forward(first, goal)))
        return found

    def _passed(self, since: int, moment: int) -> int:
        """Working seconds from the beginning of the local year `since` to a moment that is not before it."""
        number = self._year_of(moment)
        passed = self._year(number).worked_until(moment)
        while number > since:
            number -= 1
            passed += self._year(number).total
        return passed

    def next_open(self, at: datetime) -> datetime:
        """`at` itself while it is working time, else when the next begins. Raises: NeverOpen."""
        moment = _seconds(at)
        first = self._year_of(moment)
        for number in range(first, first + _HORIZON):
            year = self._year(number)
            place = bisect_right(year.ends, moment)
            if place < len(year.starts):
                return _moment(max(moment, year.starts[place]))
        raise NeverOpen

    def _forward(self, number: int, wanted: int) -> int:
        for _ in range(_HORIZON):
            year = self._year(number)
            if wanted <= year.total:
                place = bisect_right(year.before, wanted - 1) - 1
                return year.starts[place] + wanted - year.before[place]
            wanted -= year.total
            number += 1
        raise NeverOpen

    def _back(self, number: int, wanted: int) -> int:
        for _ in range(_HORIZON):
            if wanted >= 0 and self._year(number).total > wanted:
                year = self._year(number)
                place = bisect_right(year.before, wanted) - 1
                return year.starts[place] + wanted - year.before[place]
            number -= 1
            wanted += self._year(number).total
        raise NeverOpen

    def _year_of(self, moment: int) -> int:
        number = 1970 + moment // _MEAN_YEAR
        low, high = _surely(number)
        if low <= moment < high:
            return number
        offset = _offset(self.definition.time_zone, moment)
        return date.fromordinal((moment + offset) // DAY + _EPOCH).year

    def _year(self, number: int) -> _Year:
        found = self._years.get(number)
        if found is None:
            found = self._years[number] = _build(self.definition, number)
        return found


@lru_cache(maxsize=1_000)
def _surely(number: int) -> tuple[int, int]:
    """From when to when it is this year in every zone: a day less at both ends."""
    first = (date(number, 1, 1).toordinal() - _EPOCH + 1) * DAY
    return first, (date(number + 1, 1, 1).toordinal() - _EPOCH - 1) * DAY


@lru_cache(maxsize=1_000)
def calendar_of(definition: CalendarDefinition) -> WorkingCalendar:
    """The calendar of a definition; equal definitions share one, and with it the years that are worked out."""
    return WorkingCalendar(definition)


def has_holidays(country: str, subdivision: str | None = None) -> bool:
    """Whether public holidays of this country, and subdivision of it, are known."""
    import holidays  # here, because it takes 3 MB

    known = holidays.list_supported_countries(include_aliases=False)
    return country in known and (subdivision is None or subdivision in known[country])


def _build(definition: CalendarDefinition, number: int) -> _Year:
    starts: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    total = 0
    for start, end in _open_intervals(definition, number):
        starts.append(start)
        ends.append(end)
        before.append(total)
        total += end - start
    return _Year(starts, ends, before, total)


def _open_intervals(definition: CalendarDefinition, number: int) -> Iterator[Interval]:
    """The year's open intervals in order: each day's hours, cut where the zone changes its offset."""
    spans = _spans(definition.time_zone, number)
    days = _days_that_differ(definition, number)
    first = date(number, 1, 1)
    for place in range((date(number + 1, 1, 1) - first).days):
        day = first + timedelta(days=place)
        hours = days.get(day, definition.week[day.weekday()])
        if not hours:
            continue
        midnight = (day.toordinal() - _EPOCH) * DAY
        for start, end, offset in spans:
            if start > midnight + _SLACK or end < midnight - _SLACK:
                continue
            for opens, closes in hours:
                low, high = max(midnight + opens - offset, start), min(midnight + closes - offset, end)
                if low < high:
                    yield low, high


def _days_that_differ(definition: CalendarDefinition, number: int) -> Mapping[date, tuple[Interval, ...]]:
    usual = next((hours for hours in definition.week if hours), ())
    found: dict[date, tuple[Interval, ...]] = {}
    if definition.country is not None:
        free, worked = _public_holidays(definition.country, definition.subdivision, number)
        found |= dict.fromkeys(free, ())
        found |= dict.fromkeys(worked, usual)
    found |= dict.fromkeys(definition.days_off, ())
    found |= {day: usual if hours is None else hours for day, hours in definition.work_days}
    return found


@lru_cache(maxsize=2_000)
def _public_holidays(
    country: str, subdivision: str | None, number: int
) -> tuple[frozenset[date], frozenset[date]]:
    """Public holidays of a year, and weekend days that are worked for them."""
    import holidays

    known = holidays.country_holidays(country, subdiv=subdivision, years=number)
    return frozenset(known), frozenset(day for day in known.weekend_workdays if day.year == number)


@lru_cache(maxsize=2_000)
def _spans(zone: str, number: int) -> tuple[tuple[int, int, int], ...]:
    """(from, to, offset in seconds) of the times of one offset that touch a local year."""
    low = (date(number, 1, 1).toordinal() - _EPOCH) * DAY - _SLACK
    high = (date(number + 1, 1, 1).toordinal() - _EPOCH) * DAY + _SLACK
    spans: list[tuple[int, int, int]] = []
    start, offset = low, _offset(zone, low)
    for moment in range(low + _SCAN, high + _SCAN, _SCAN):
        following = _offset(zone, moment)
        if following != offset:
            change = _change(zone, moment - _SCAN, moment)
            spans.append((start, change, offset))
            start, offset = change, following
    return (*spans, (start, high, offset))


def _change(zone: str, low: int, high: int) -> int:
    """The second at which the offset changes, after `low` and not after `high`."""
    before = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: str, moment: int) -> int:
    found = datetime.fromtimestamp(moment, ZoneInfo(zone)).utcoffset()
    return 0 if found is None else found.days * DAY + found.seconds


def _seconds(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError("working time needs an aware datetime")
    since = at - _START
    return since.days * DAY + since.seconds


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
