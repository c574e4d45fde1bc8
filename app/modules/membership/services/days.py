"""Days that come back every year: birthdays, and the days on which members joined.

A member's day begins at midnight of their own time zone, or of the company's where theirs is not known. Who was born
or joined on the 29th of February has the 28th in years without it. A day that was missed is made up for within the
days that the programme says.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from app.kernel.uow import UnitOfWork
from app.modules.membership.models.rewards import Occasion
from app.modules.membership.schemas.rewards import OccasionRule

OLDEST: Final = 130
"""Nobody is older, in years."""


def day_in(year: int, of: date) -> date:
    """The day in a year on which something of `of` comes back; the 28th of February for a 29th that is not there."""
    try:
        return of.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def first_day(occasion: Occasion, since: date) -> date:
    """From when on the days of a member who joined on `since` count; the day of joining is no anniversary."""
    return since if occasion is Occasion.BIRTHDAY else since + timedelta(days=1)


def due_day(
    of: date, *, now: datetime, zone: ZoneInfo, catch_up_days: int, occasion: Occasion, since: date
) -> date | None:
    """The latest such day that has begun where the member is and may still be made up for; None where there is none.

    Of birthdays those count on which they were a member, of the joining those of the years after it.
    """
    today = now.astimezone(zone).date()
    first = first_day(occasion, since)
    for year in (today.year, today.year - 1):
        day = day_in(year, of)
        if today - timedelta(days=catch_up_days) <= day <= today:
            return day if day >= first else None
    return None


def candidates(now: datetime, catch_up_days: int) -> tuple[list[date], list[int]]:
    """Days of past years that come back about now anywhere on earth, each with the year in which it does."""
    today = now.astimezone(UTC).date()
    days, years = [], []
    for offset in range(-1 - catch_up_days, 2):
        day = today + timedelta(days=offset)
        for year in range(day.year - OLDEST, day.year + 1):
            for of in _comes_back_as(day, year):
                days.append(of)
                years.append(day.year)
    return days, years


def _comes_back_as(day: date, year: int) -> Iterable[date]:
    """The days of a year that come back on `day`."""
    if (day.month, day.day) != (2, 29) or calendar.isleap(year):
        yield day.replace(year=year)
    if (day.month, day.day) == (2, 28) and not calendar.isleap(day.year) and calendar.isleap(year):
        yield date(year, 2, 29)


async def day_factors(
    uow: UnitOfWork, member_days: Collection[tuple[UUID, date]]
) -> dict[tuple[UUID, date], Decimal]:
    """By what the points of orders of these days are multiplied, of members whose day it is; of several the highest.

    Whoever had the benefit of the year on another day has it no second time. One statement.
    """
    found: dict[tuple[UUID, date], Decimal] = {}
    members, days = [id for id, _ in member_days], [day for _, day in member_days]
    for row in await uow.fetch(_DAYS, uow.tenant_id, members, days):
        day: date = row["day"]
        for rule in map(OccasionRule.model_validate, row["occasions"]):
            of = row["birthday"] if rule.occasion is Occasion.BIRTHDAY else row["since"]
            first = first_day(rule.occasion, row["since"])
            if of is None or day_in(day.year, of) != day or day < first or rule.occasion in row["had"]:
                continue
            factors = [Decimal(one.factor) for one in rule.rewards if one.factor is not None]
            if factors:
                key = (row["id"], day)
                found[key] = max([*factors, found.get(key, Decimal(0))])
    return found


_DAYS: Final = """
SELECT m.id, m.birthday, m.since, w.day, s.occasions, ARRAY(
  SELECT g.occasion FROM membership.benefit_grants g
  WHERE g.tenant_id = $1 AND g.member_id = m.id AND g.year = extract(year FROM w.day)::int AND g.day <> w.day) AS had
FROM unnest($2::uuid[], $3::date[]) AS w(member_id, day)
JOIN membership.loyalty_members m ON m.tenant_id = $1 AND m.id = w.member_id
JOIN membership.reward_settings s ON s.tenant_id = m.tenant_id AND s.id = m.programme_id
WHERE s.occasions <> '[]'"""
