"""Dates in filters: ISO dates and moments, and relative ones in the tenant's time zone.

`now` for a moment; `today`, `yesterday`, `tomorrow`, `-30d`, `+2w`, `-3m`, `-1y`, and the first day of `this_`,
`last_` or `next_` `week`, `month`, `quarter`, `year` (fiscal quarters and years, weeks from Monday).
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, time, timedelta

from app.kernel.access import TenantProfile

_OFFSET = re.compile(r"([+-])(\d{1,4})([dwmy])$")
_PERIOD = re.compile(r"(this|last|next)_(week|month|quarter|year)$")
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}


def resolve_date(value: object, now: datetime, tenant: TenantProfile) -> date:
    """A date from `2026-01-31` or a relative name. Raises ValueError, TypeError."""
    if not isinstance(value, str):
        raise TypeError("a date is text")
    today = now.astimezone(tenant.zone).date()
    if value in _DAYS:
        return today + timedelta(days=_DAYS[value])
    offset = _OFFSET.fullmatch(value)
    if offset:
        return _shift(today, int(offset[1] + offset[2]), offset[3])
    period = _PERIOD.fullmatch(value)
    if period:
        return _period_start(today, period[2], {"this": 0, "last": -1, "next": 1}[period[1]], tenant)
    found = date.fromisoformat(value)
    if not 1000 <= found.year <= 9998:
        raise ValueError("out of range")
    return found


def resolve_datetime(value: object, now: datetime, tenant: TenantProfile) -> datetime:
    """A moment in UTC from RFC 3339, or the start of a (relative) date in the tenant's zone."""
    if not isinstance(value, str):
        raise TypeError("a moment is text")
    if value == "now":
        return now
    if len(value) > 10 and value[10] in "Tt ":
        # A plus sign in a query string arrives as a blank.
        found = datetime.fromisoformat(value.replace(" ", "+") if value[10] != " " else value)
        if found.tzinfo is None or not 1000 <= found.year <= 9998:
            raise ValueError("a moment needs an offset and a year from 1000 to 9998")
        return found.astimezone(UTC)
    day = resolve_date(value, now, tenant)
    return datetime.combine(day, time(), tenant.zone).astimezone(UTC)


def _shift(day: date, amount: int, unit: str) -> date:
    if unit in "dw":
        return day + timedelta(days=amount * (7 if unit == "w" else 1))
    return add_months(day, amount * (12 if unit == "y" else 1))


def add_months(day: date, months: int) -> date:
    """The same day `months` later, or the last day of that month where it is shorter."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _period_start(today: date, period: str, steps: int, tenant: TenantProfile) -> date:
    if period == "week":
        return today - timedelta(days=today.weekday()) + timedelta(weeks=steps)
    length = _MONTHS[period]
    first = tenant.fiscal_year_start_month - 1 if length > 1 else 0
    offset = (today.month - 1 - first) % 12 % length
    return add_months(today.replace(day=1), -offset + steps * length)
