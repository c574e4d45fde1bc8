"""Recurrence rules (RFC 5545 §3.3.10), checked when they are written and expanded within a window when asked.

A rule repeats a local time: a meeting at 9:00 stays at 9:00 when clocks change. An occurrence in an hour that is
skipped is moved as §3.3.5 says (by the offset before the gap); in an hour that comes twice it is the first.
dateutil expands; what makes it run for ever (rules that never meet, hours and minutes) is refused before.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from dateutil import rrule

from app.kernel.errors import Invalid

MAX_COUNT: Final = 1_000
MAX_INTERVAL: Final = 400
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES: Final = {
    "DAILY": rrule.DAILY,
    "WEEKLY": rrule.WEEKLY,
    "MONTHLY": rrule.MONTHLY,
    "YEARLY": rrule.YEARLY,
}
_ALLOWED: Final = {
    "DAILY": frozenset({"BYDAY", "BYMONTH"}),
    "WEEKLY": frozenset({"BYDAY"}),
    "MONTHLY": frozenset({"BYDAY", "BYMONTHDAY", "BYSETPOS"}),
    "YEARLY": frozenset({"BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS"}),
}
_ORDER: Final = (
    "FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS",
)  # fmt: skip
_DAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_UNTIL = re.compile(r"([0-9]{8})(?:T([0-9]{6})(Z)?)?")


@dataclass(frozen=True)
class Rule:
    """A rule whose parts fit together; `until` is a local time."""

    frequency: str
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    week_start: str = "MO"
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    days: tuple[tuple[int | None, str], ...] = ()
    positions: tuple[int, ...] = ()

    def text(self, zone: ZoneInfo) -> str:
        """The rule as RFC 5545 writes it, its parts in one order; UNTIL in UTC."""
        parts: dict[str, Any] = {"FREQ": self.frequency}
        if self.interval > 1:
            parts["INTERVAL"] = self.interval
        if self.count is not None:
            parts["COUNT"] = self.count
        if self.until is not None:
            parts["UNTIL"] = to_utc(self.until, zone).strftime("%Y%m%dT%H%M%SZ")
        if self.week_start != "MO":
            parts["WKST"] = self.week_start
        for name, numbers in (("BYMONTH", self.months), ("BYMONTHDAY", self.month_days)):
            if numbers:
                parts[name] = ",".join(map(str, numbers))
        if self.days:
            parts["BYDAY"] = ",".join(f"{'' if n is None else n}{day}" for n, day in self.days)
        if self.positions:
            parts["BYSETPOS"] = ",".join(map(str, self.positions))
        return ";".join(f"{name}={parts[name]}" for name in _ORDER if name in parts)

    def meets(self, day: date) -> bool:
        """Whether a day fits the rule's filters (not its interval)."""
        if self.positions:
            return day in self._chosen(day)
        return self._fits(day)

    def _fits(self, day: date) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        if self.months and day.month not in self.months:
            return False
        if self.month_days and not {day.day, day.day - length - 1} & set(self.month_days):
            return False
        return not self.days or any(self._is(day, n, name) for n, name in self.days)

    def _is(self, day: date, number: int | None, name: str) -> bool:
        """Whether a day is, say, the second Tuesday of its month, or of its year where the rule is about years."""
        if WEEKDAYS[day.weekday()] != name:
            return False
        if number is None:
            return True
        if self.frequency == "YEARLY" and not self.months:
            first, length = day.timetuple().tm_yday, 366 if calendar.isleap(day.year) else 365
        else:
            first, length = day.day, calendar.monthrange(day.year, day.month)[1]
        return number in ((first - 1) // 7 + 1, -((length - first) // 7 + 1))

    def _chosen(self, day: date) -> set[date]:
        """The days that BYSETPOS picks from the day's month or year."""
        months = [day.month] if self.frequency == "MONTHLY" else range(1, 13)
        days = [
            found
            for month in months
            for number in range(1, calendar.monthrange(day.year, month)[1] + 1)
            if self._fits(found := date(day.year, month, number))
        ]
        picked = [p - 1 if p > 0 else p for p in self.positions]
        return {days[p] for p in picked if -len(days) <= p < len(days)}


def parse_rule(text: str, zone: ZoneInfo, *, pointer: str = "/recurrence") -> Rule:
    """A rule from its text. Raises `Invalid` at `pointer` for what is no rule, or none to keep a diary by."""
    parts: dict[str, str] = {}
    for part in text.upper().removeprefix("RRULE:").strip().rstrip(";").split(";"):
        name, found, value = part.partition("=")
        if not found or not value or name in parts:
            raise _wrong(pointer, f"{part!r} is no part of a recurrence rule.")
        parts[name] = value
    frequency = parts.pop("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise _wrong(pointer, f"FREQ is one of {', '.join(_FREQUENCIES)}.")
    unknown = parts.keys() - {"INTERVAL", "COUNT", "UNTIL", "WKST"} - _ALLOWED[frequency]
    if unknown:
        raise _wrong(pointer, f"{', '.join(sorted(unknown))} cannot go with FREQ={frequency}.")
    if "COUNT" in parts and "UNTIL" in parts:
        raise _wrong(pointer, "A rule ends by COUNT or by UNTIL, not by both.")
    week_start = parts.get("WKST", "MO")
    if week_start not in WEEKDAYS:
        raise _wrong(pointer, f"WKST is one of {', '.join(WEEKDAYS)}.")
    rule = Rule(
        frequency=frequency,
        interval=_numbers(parts, "INTERVAL", 1, MAX_INTERVAL, pointer, single=True)[0]
        if "INTERVAL" in parts
        else 1,
        count=_numbers(parts, "COUNT", 1, MAX_COUNT, pointer, single=True)[0] if "COUNT" in parts else None,
        until=_until(parts["UNTIL"], zone, pointer) if "UNTIL" in parts else None,
        week_start=week_start,
        months=_numbers(parts, "BYMONTH", 1, 12, pointer),
        month_days=_numbers(parts, "BYMONTHDAY", -31, 31, pointer),
        days=_days(parts.get("BYDAY"), frequency, pointer),
        positions=_numbers(parts, "BYSETPOS", -366, 366, pointer),
    )
    if rule.positions and not (rule.days or rule.month_days):
        raise _wrong(pointer, "BYSETPOS picks from BYDAY or BYMONTHDAY.")
    return rule


def _wrong(pointer: str, detail: str, code: str = "invalid_recurrence") -> Invalid:
    return Invalid.at(pointer, code, detail)


def _numbers(
    parts: Mapping[str, str], name: str, least: int, most: int, pointer: str, *, single: bool = False
) -> tuple[int, ...]:
    if name not in parts:
        return ()
    texts = parts[name].split(",")
    numbers = [int(text) for text in texts if _NUMBER.fullmatch(text)]
    fine = len(numbers) == len(texts) and all(n and least <= n <= most for n in numbers)
    if not fine or (single and len(numbers) > 1) or len(numbers) > 60:
        raise _wrong(pointer, f"{name} takes whole numbers from {least} to {most}, and not 0.")
    return tuple(dict.fromkeys(numbers))


def _days(text: str | None, frequency: str, pointer: str) -> tuple[tuple[int | None, str], ...]:
    if text is None:
        return ()
    found = []
    for part in text.split(","):
        match = _DAY.fullmatch(part)
        if match is None or (match[1] and frequency in ("DAILY", "WEEKLY")):
            raise _wrong(
                pointer, f"BYDAY takes days like MO, and 2MO or -1FR by months and years, not {part!r}."
            )
        found.append((int(match[1]) if match[1] else None, match[2]))
    if len({number is None for number, _ in found}) > 1:
        raise _wrong(pointer, "BYDAY takes days with a number or days without, not both.")
    return tuple(dict.fromkeys(found))


def _until(text: str, zone: ZoneInfo, pointer: str) -> datetime:
    """The local time until which a rule goes; a date means its whole day."""
    match = _UNTIL.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        moment = datetime.strptime(match[1] + (match[2] or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007 - local
        if match[3]:
            moment = to_local(moment.replace(tzinfo=UTC), zone)
        if not 1900 <= moment.year < 2200:
            raise ValueError
    except (ValueError, OverflowError):
        raise _wrong(pointer, f"UNTIL is a date or a time in UTC, 20270131T090000Z, not {text!r}.") from None
    return moment


def to_local(moment: datetime, zone: ZoneInfo) -> datetime:
    """The wall clock's time, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which the wall clock shows a time; the first of two, and past a gap as RFC 5545 §3.3.5 says."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


@dataclass(frozen=True)
class Series:
    """A rule with its first occurrence (in UTC) and zone, and the starts that are left out."""

    rule: Rule
    start: datetime
    zone: ZoneInfo
    excluded: frozenset[datetime] = frozenset()

    @classmethod
    def of(cls, row: Any, start: datetime) -> Series:
        """The series of a stored activity."""
        zone = ZoneInfo(row.time_zone)
        excluded = frozenset(datetime.fromisoformat(text) for text in row.excluded)
        return cls(parse_rule(row.recurrence, zone), start, zone, excluded)

    @cached_property
    def _local(self) -> datetime:
        return to_local(self.start, self.zone)

    def check(self, *, pointer: str = "/recurrence") -> None:
        """That the first occurrence is one by the rule (RFC 5545 leaves the others undefined), and that it may be.

        Raises: `Invalid` at `pointer`.
        """
        if not self.rule.meets(self._local.date()):
            raise _wrong(pointer, "The first occurrence must be one by the rule.", "start_off_rule")
        if self.rule.until is not None and self.rule.until < self._local:
            raise _wrong(pointer, "UNTIL lies before the first occurrence.", "until_before_start")

    def between(self, after: datetime, before: datetime, *, limit: int | None = None) -> list[datetime]:
        """The starts in [after, before), in order; `excluded` ones are left out."""
        found = (start for start in self._from(after) if start not in self.excluded)
        starts: list[datetime] = []
        for start in islice(found, limit):
            if start >= before:
                break
            starts.append(start)
        return starts

    def first_from(self, after: datetime) -> datetime | None:
        """The first start at or after a moment."""
        return next((start for start in self._from(after) if start not in self.excluded), None)

    def holds(self, start: datetime) -> bool:
        """Whether an occurrence begins then, left out or not."""
        return next(self._from(start), None) == start

    def number_before(self, start: datetime) -> int:
        """How many occurrences by the rule begin before a moment."""
        local = to_local(start, self.zone)
        return sum(1 for _ in iter_until(iter(self._rule(self._local)), local))

    def last(self) -> datetime | None:
        """The last start by the rule; None for a rule without an end."""
        if self.rule.count is None and self.rule.until is None:
            return None
        found = self.start
        for local in islice(self._rule(self._local), 20_000):
            found = to_utc(local, self.zone)
        return found

    def ended_before(self, start: datetime) -> Rule:
        """The rule, ending before the occurrence that begins then."""
        until = to_local(start, self.zone) - timedelta(seconds=1)
        return replace(self.rule, count=None, until=until)

    def _from(self, after: datetime) -> Iterator[datetime]:
        # An hour earlier: a start in a gap of the clock is shown after it.
        wanted = to_local(after, self.zone) - timedelta(hours=3)
        for local in self._rule(self._jumped(wanted)):
            start = to_utc(local, self.zone)
            if start >= after:
                yield start

    def _jumped(self, wanted: datetime) -> datetime:
        """A start of the rule from which nothing after `wanted` is missed: by days and weeks one can leap."""
        days = {"DAILY": 1, "WEEKLY": 7}.get(self.rule.frequency)
        if days is None or self.rule.count is not None or wanted <= self._local:
            return self._local
        step = days * self.rule.interval
        leaps = (wanted - self._local).days // step - 1
        return self._local + timedelta(days=step * leaps) if leaps > 0 else self._local

    def _rule(self, start: datetime) -> Any:
        rule = self.rule
        days = [
            getattr(rrule, name) if number is None else getattr(rrule, name)(number)
            for number, name in rule.days
        ]
        return rrule.rrule(
            _FREQUENCIES[rule.frequency],  # type: ignore[arg-type]
            dtstart=start,
            interval=rule.interval,
            wkst=getattr(rrule, rule.week_start),
            count=rule.count,
            until=rule.until,
            bysetpos=rule.positions or None,
            bymonth=rule.months or None,
            bymonthday=rule.month_days or None,
            byweekday=days or None,
        )


def iter_until(starts: Iterator[datetime], before: datetime) -> Iterator[datetime]:
    """Those before a time."""
    for start in starts:
        if start >= before:
            return
        yield start
