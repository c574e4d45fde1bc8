"""Months, fiscal quarters and fiscal years: how figures, filters and reports divide time, in Python and in SQL."""

from __future__ import annotations

import calendar
from datetime import date
from typing import Final

PERIOD_MONTHS: Final[dict[str, int]] = {"month": 1, "quarter": 3, "year": 12}


def add_months(day: date, months: int) -> date:
    """The same day `months` later, or the last day of that month where it is shorter."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def period_start(day: date, period: str, fiscal_year_start_month: int) -> date:
    """The first day of the month, fiscal quarter or fiscal year in which `day` lies."""
    first = 0 if period == "month" else fiscal_year_start_month - 1
    return add_months(day.replace(day=1), -((day.month - 1 - first) % 12 % PERIOD_MONTHS[period]))


def period_start_sql(column: str, period: str, fiscal_year_start_month: int) -> str:
    """SQL of `period_start` for a date, or for a moment without zone as the tenant's clock shows it."""
    shift = 0 if period == "month" else fiscal_year_start_month - 1
    months = f"make_interval(months => {int(shift)})"
    return f"(date_trunc('{period}', {column} - {months}) + {months})::date"
