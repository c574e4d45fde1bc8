"""Dates in filters: ISO dates and moments, and relative ones in the tenant's time zone.

`now` for a moment; `today`, `yesterday`, `tomorrow`, `-30d`, `+2w`, `-3m`, `-1y`, and the first day of `this_`,
`last_` or `next_` `week`, `month`, `quarter`, `year` (fiscal quarters and years, weeks from Monday).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from app.kernel.access import TenantProfile
from app.kernel.periods import PERIOD_MONTHS, add_months, period_start

_OFFSET = re.compile(r"([+-])(\d{1,4})([dwmy])$")
_PERIOD = re.compile(r"(this|last|next)_(week|month|quarter|year)$")
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}


def resolve_date(value: object, now: datetime, tenant: TenantProfile) -> date:
    """A date from `2026-01-31` or a relative name. Raises ValueError, TypeError."""
    if not isinstance(value, str):
        raise TypeError("a date is text")
    today = tenant.day_of(now)
    if value in _DAYS:
        return today + timedelta(days=_DAYS[value])
    offset = _OFFSET.fullmatch(value)
    if offset:
        return _shift(today, int(offset[1] + offset[2]), offset[3])
    period = _PERIOD.fullmatch(value)
    if period:
        return _period(today, period[2], {"this": 0, "last": -1, "next": 1}[period[1]], tenant)
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
    return tenant.midnight(day)


def _shift(day: date, amount: int, unit: str) -> date:
    if unit in "dw":
        return day + timedelta(days=amount * (7 if unit == "w" else 1))
    return add_months(day, amount * (12 if unit == "y" else 1))


def _period(today: date, period: str, steps: int, tenant: TenantProfile) -> date:
    if period == "week":
        return today - timedelta(days=today.weekday()) + timedelta(weeks=steps)
    start = period_start(today, period, tenant.fiscal_year_start_month)
    return add_months(start, steps * PERIOD_MONTHS[period])
