"""Months, fiscal quarters and fiscal years: every figure's time axis, as the tenant counts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from app.kernel.access import TenantProfile
from app.kernel.errors import Invalid
from app.kernel.periods import PERIOD_MONTHS, add_months, period_start

PeriodKind = Literal["month", "quarter", "year"]


@dataclass(frozen=True, slots=True)
class Period:
    """A month, fiscal quarter or fiscal year; `ends_on` is its last day."""

    kind: PeriodKind
    starts_on: date

    @property
    def before(self) -> date:
        """The day after the last."""
        return add_months(self.starts_on, PERIOD_MONTHS[self.kind])

    @property
    def ends_on(self) -> date:
        return self.before - timedelta(days=1)


def plausible(day: date) -> bool:
    """Within the years that opportunities may be dated in."""
    return 1900 <= day.year < 2200


def week_start(day: date) -> date:
    """Its Monday."""
    return day - timedelta(days=day.weekday())


def period_of(
    kind: PeriodKind, starts_on: date | None, now: datetime, tenant: TenantProfile, pointer: str
) -> Period:
    """The period that begins on a day; the present one when None. Raises `Invalid` where none begins."""
    first = tenant.fiscal_year_start_month
    if starts_on is None:
        return Period(kind, period_start(tenant.day_of(now), kind, first))
    if not plausible(starts_on):
        raise Invalid.at(pointer, "implausible_date", "A period lies between the years 1900 and 2200.")
    begins = period_start(starts_on, kind, first)
    if begins != starts_on:
        raise Invalid.at(pointer, "no_period", f"No {kind} begins on {starts_on}; one begins on {begins}.")
    return Period(kind, starts_on)
