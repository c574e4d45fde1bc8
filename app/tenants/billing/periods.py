"""Billing periods: months or years from an anchor, and exact shares of them, to the second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from dateutil.relativedelta import relativedelta


class BillingInterval(StrEnum):
    MONTHLY = "monthly"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        return 12 if self is BillingInterval.YEARLY else 1


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until before `end`, both aware and at whole seconds."""

    start: datetime
    end: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    @property
    def seconds(self) -> int:
        return seconds_between(self.start, self.end)

    def share(self, start: datetime, end: datetime | None = None) -> Fraction:
        """How much of the period lies between two moments; without an end, until its own."""
        first = max(self.start, start)
        last = self.end if end is None else min(self.end, end)
        return Fraction(max(0, seconds_between(first, last)), self.seconds)


def whole_hour(moment: datetime) -> datetime:
    """The full hour that an aware moment lies in, in UTC: periods are counted from full hours."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds from one moment to another; parts of a second are left out of both."""
    return (end.replace(microsecond=0) - start.replace(microsecond=0)) // timedelta(seconds=1)


def nth_period(anchor: datetime, interval: BillingInterval, number: int) -> Period:
    """The period that begins `number` intervals after the anchor.

    Each start is counted from the anchor, so that an anchor on the 31st is on the last day of short months and on
    the 31st again after them.
    """
    months = interval.months
    return Period(
        anchor + relativedelta(months=months * number), anchor + relativedelta(months=months * (number + 1))
    )


def period_at(anchor: datetime, interval: BillingInterval, at: datetime) -> Period:
    """The period that a moment lies in, before or after the anchor."""
    months = (at.year - anchor.year) * 12 + at.month - anchor.month
    number = months // interval.months
    while at < nth_period(anchor, interval, number).start:
        number -= 1
    while at >= nth_period(anchor, interval, number).end:
        number += 1
    return nth_period(anchor, interval, number)
