"""Days as the tenant counts them: by the clock on its wall, so that one with a change of time has 23 or 25 hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.kernel.uow import UnitOfWork


def local_day(uow: UnitOfWork) -> date:
    """The tenant's date at this moment: what limits per day count for."""
    return uow.actor.tenant.day_of(uow.now)


def days_before(moment: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The same time of day so many days earlier, in UTC."""
    return (moment.astimezone(zone) - timedelta(days=days)).astimezone(UTC)


def days_after(moment: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The same time of day so many days later, in UTC."""
    return days_before(moment, -days, zone)
