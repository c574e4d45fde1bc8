"""`WorkingTime` and `Colleagues` for the modules: set-based look-ups of hours, absences and skills."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from app.kernel.memory import Remembered
from app.kernel.uow import UnitOfWork
from app.kernel.working_time import WorkingCalendar
from app.tenants.interface import Colleague, CompanyCalendars
from app.tenants.models import Calendar, Tenant
from app.tenants.people.calendars import calendar_of_settings, working_calendar
from app.tenants.people.lookups import any_of


async def _company_calendars(uow: UnitOfWork) -> CompanyCalendars:
    rows = await uow.all(uow.select(Calendar))
    default = next((row for row in rows if row.is_default), None)
    if default is not None:
        company = working_calendar(default)
    else:
        tenant = await uow.get(Tenant, uow.tenant_id)
        company = calendar_of_settings(tenant.time_zone, tenant.business_calendar)
    return CompanyCalendars(company, {row.id: working_calendar(row) for row in rows})


class WorkingTimeOfTenant:
    """Implements `WorkingTime`; calendars are read once per transaction."""

    remembered: ClassVar[Remembered[CompanyCalendars]] = Remembered(
        "tenants.calendars",
        _company_calendars,
        empty=CompanyCalendars(calendar_of_settings("UTC", {}), {}),  # of a tenant that has no row
        also=("tenants.tenants",),
    )

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self._default: WorkingCalendar | None = None

    async def default(self) -> WorkingCalendar:
        """The company's calendar: the default one, else the one of its settings."""
        if self._default is None:
            row = await self.uow.first(self.uow.select(Calendar).where(Calendar.is_default))
            if row is not None:
                self._default = working_calendar(row)
            else:
                tenant = await self.uow.get(Tenant, self.uow.tenant_id)
                self._default = calendar_of_settings(tenant.time_zone, tenant.business_calendar)
        return self._default

    async def calendars(self, ids: Collection[UUID]) -> Mapping[UUID, WorkingCalendar]:
        if not ids:
            return {}
        found = await self.uow.all(self.uow.select(Calendar).where(Calendar.id == any_of(ids)))
        return {row.id: working_calendar(row) for row in found}

    async def calendars_of(self, member_ids: Collection[UUID]) -> Mapping[UUID, WorkingCalendar]:
        """Each member's calendar, in two statements at most, and one for the default."""
        if not member_ids:
            return {}
        rows = await self.uow.fetch(_CALENDARS, self.uow.tenant_id, list(set(member_ids)))
        wanted = {row["calendar_id"] for row in rows} - {None}
        known: dict[UUID, WorkingCalendar] = {}
        if wanted:
            found = await self.uow.all(self.uow.select(Calendar).where(Calendar.id == any_of(wanted)))
            known = {row.id: working_calendar(row) for row in found}
        default = await self.default()
        return {row["id"]: known.get(row["calendar_id"], default) for row in rows}

    async def absent(self, member_ids: Collection[UUID], at: datetime) -> Mapping[UUID, UUID | None]:
        """Those who are away; of several absences at once the one that ends last says who stands in."""
        if not member_ids:
            return {}
        rows = await self.uow.fetch(
            "SELECT DISTINCT ON (member_id) member_id, stand_in_id FROM tenants.absences"
            " WHERE tenant_id = $1 AND member_id = ANY($2::uuid[]) AND starts_at <= $3 AND ends_at > $3"
            " ORDER BY member_id, (stand_in_id IS NULL), ends_at DESC, id",
            self.uow.tenant_id,
            list(set(member_ids)),
            at,
        )
        return {row["member_id"]: row["stand_in_id"] for row in rows}

    async def present(self, member_ids: Collection[UUID], at: datetime) -> frozenset[UUID]:
        """Those who work at this moment and are not away."""
        calendars = await self.calendars_of(member_ids)
        away = await self.absent(member_ids, at)
        return frozenset(id for id, calendar in calendars.items() if id not in away and calendar.is_open(at))


class ColleagueLookups:
    """Implements `Colleagues`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def among(
        self, members: Collection[UUID], teams: Collection[UUID] = (), *, hold: bool = True
    ) -> Mapping[UUID, Colleague]:
        """The active ones, by name and id, in one statement."""
        if not members and not teams:
            return {}
        # Deactivation takes a stronger lock on the row, so that it either sees our rows or is seen by us.
        lock = " FOR SHARE" if hold and not self.uow.read_only else ""
        rows = await self.uow.fetch(
            "SELECT id, name, team_ids, manager_id, skills FROM tenants.members WHERE tenant_id = $1"
            " AND status = 'active' AND (id = ANY($2::uuid[]) OR team_ids && $3::uuid[])"
            f" ORDER BY id{lock}",
            self.uow.tenant_id,
            list(set(members)),
            list(set(teams)),
        )
        return {
            row["id"]: Colleague(
                row["id"],
                row["name"],
                tuple(row["team_ids"]),
                row["manager_id"],
                {skill["skill"].casefold(): skill["level"] for skill in row["skills"]},
            )
            for row in sorted(rows, key=lambda row: (row["name"], row["id"]))
        }


_CALENDARS = """
WITH RECURSIVE up AS (
  SELECT m.id AS member_id, t.parent_id, t.calendar_id, 1 AS depth
  FROM tenants.members m JOIN tenants.teams t ON t.tenant_id = m.tenant_id AND t.id = m.team_ids[1]
  WHERE m.tenant_id = $1 AND m.id = ANY($2::uuid[]) AND m.calendar_id IS NULL
  UNION ALL
  SELECT up.member_id, t.parent_id, t.calendar_id, up.depth + 1
  FROM up JOIN tenants.teams t ON t.tenant_id = $1 AND t.id = up.parent_id
  WHERE up.calendar_id IS NULL AND up.depth < 100
)
SELECT m.id, coalesce(m.calendar_id, up.calendar_id) AS calendar_id FROM tenants.members m
LEFT JOIN up ON up.member_id = m.id AND up.calendar_id IS NOT NULL
WHERE m.tenant_id = $1 AND m.id = ANY($2::uuid[])"""
