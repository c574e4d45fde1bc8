"""Business calendars: a tenant's own hours, of which one set may be the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.kernel.working_time import CalendarDefinition, Interval, WorkingCalendar, calendar_of, has_holidays
from app.tenants.interface import CalendarChanged, CalendarInUse, CalendarUser
from app.tenants.models import Calendar

OBJECT: Final = "calendar"
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class CalendarService:
    """The calendars of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def list(self) -> list[Calendar]:
        """All calendars, the default first, then by name."""
        statement = self.uow.select(Calendar)
        return await self.uow.all(statement.order_by(Calendar.is_default.desc(), Calendar.name, Calendar.id))

    async def get(self, id: UUID) -> Calendar:
        """Raises: NotFound."""
        return await self.uow.get(Calendar, id)

    async def create(self, values: dict[str, Any]) -> Calendar:
        """A calendar from its columns. Raises: Invalid; DuplicateValue for a name that is taken."""
        _check_holidays(values.get("country"), values.get("subdivision"))
        if values["is_default"]:
            await self._unset_default()
        made = await self.uow.insert(Calendar, audit=OBJECT, **values)
        if made.is_default:
            self.uow.publish(CalendarChanged(id=made.id, is_default=True))
        return made

    async def update(self, id: UUID, changes: dict[str, Any], *, expected_version: int) -> Calendar:
        """Raises: NotFound; StaleVersion; Invalid; DuplicateValue."""
        row = await self.uow.get(Calendar, id, lock="update")
        require_version(row.version, expected=expected_version)
        after = {**row.__dict__, **changes}
        if {"country", "subdivision"} & changes.keys():
            _check_holidays(after["country"], after["subdivision"])
        if changes.get("is_default") and not row.is_default:
            await self._unset_default()
        changed = await self.uow.update(row, audit=OBJECT, **changes)
        if changed.version != row.version:
            self.uow.publish(CalendarChanged(id=row.id, is_default=row.is_default or changed.is_default))
        return changed

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises: NotFound; StaleVersion; CalendarInUse while somebody works by it or it is the default."""
        uow = self.uow
        await uow.fetch(
            "SELECT 1 FROM tenants.calendars WHERE tenant_id = $1 AND id = $2 FOR UPDATE", uow.tenant_id, id
        )
        row = await uow.get(Calendar, id)
        require_version(row.version, expected=expected_version)
        used = await uow.fetchrow(
            "SELECT (SELECT count(*) FROM tenants.members WHERE tenant_id = $1 AND calendar_id = $2) AS members,"
            " (SELECT count(*) FROM tenants.teams WHERE tenant_id = $1 AND calendar_id = $2) AS teams",
            uow.tenant_id,
            id,
        )
        counts = dict(used or {})
        for port in uow.ports(CalendarUser):
            counts |= await port.uses(id)
        if row.is_default or any(counts.values()):
            raise CalendarInUse(is_default=row.is_default, **counts)
        await uow.delete(row, audit=OBJECT)

    async def _unset_default(self) -> None:
        """One after the other: whoever comes second sees the first one's default."""
        uow = self.uow
        await lock_name(uow, "default_calendar")
        former = await uow.first(uow.select(Calendar).where(Calendar.is_default))
        if former is not None:
            await uow.update(former, audit=OBJECT, is_default=False)


async def require_calendar(uow: UnitOfWork, id: UUID | None) -> None:
    """Raises: Invalid at `/calendar_id` for an unknown one; it stays until the transaction ends."""
    if id is not None and await uow.find(Calendar, id, lock="share") is None:
        raise Invalid.at("/calendar_id", "unknown_reference", "There is no calendar with this id.")


def working_calendar(row: Calendar) -> WorkingCalendar:
    """The arithmetic of a stored calendar."""
    return calendar_of(
        CalendarDefinition(
            time_zone=row.time_zone,
            week=_week(row.days),
            country=row.country,
            subdivision=row.subdivision,
            days_off=frozenset(date.fromisoformat(day["date"]) for day in row.days_off),
            work_days=tuple(
                (date.fromisoformat(day["date"]), None if day["hours"] is None else _hours(day["hours"]))
                for day in row.work_days
            ),
        )
    )


def calendar_of_settings(time_zone: str, settings: Mapping[str, Any]) -> WorkingCalendar:
    """The arithmetic of a tenant's `business_calendar`, for those who keep no calendars."""
    free = frozenset(date.fromisoformat(day["date"]) for day in settings.get("holidays", ()))
    return calendar_of(
        CalendarDefinition(time_zone=time_zone, week=_week(settings.get("days", {})), days_off=free)
    )


def _week(days: Mapping[str, Any]) -> tuple[tuple[Interval, ...], ...]:
    return tuple(_hours(days.get(name, ())) for name in _WEEKDAYS)


def _hours(intervals: Sequence[Sequence[str]]) -> tuple[Interval, ...]:
    return tuple((_seconds(start), _seconds(end)) for start, end in intervals)


def _seconds(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 3_600 + int(minutes) * 60


def _check_holidays(country: str | None, subdivision: str | None) -> None:
    if country is None:
        if subdivision is not None:
            raise Invalid.at("/subdivision", "country_missing", "Name the country of the subdivision too.")
    elif not has_holidays(country):
        raise Invalid.at("/country", "unknown_holidays", f"The holidays of {country} are not known.")
    elif not has_holidays(country, subdivision):
        raise Invalid.at(
            "/subdivision", "unknown_holidays", f"{country} has no {subdivision} with holidays of its own."
        )
