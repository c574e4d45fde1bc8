"""A member's own time zone."""

from __future__ import annotations

from typing import Any

import asyncpg

from app.kernel.errors import Forbidden, StaleVersion
from app.kernel.uow import UnitOfWork
from app.modules.activities.models import CalendarSettings
from app.modules.activities.schemas import CalendarSettingsRead


class MyCalendarSettings:
    """How whoever acts sees times; version 0 before anything was chosen."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    async def read(self) -> CalendarSettingsRead:
        """What is in force."""
        member_id = self.uow.actor.member_id
        row = await self.uow.find(CalendarSettings, member_id) if member_id else None
        return self._answer(row)

    async def change(self, changes: dict[str, Any], *, expected_version: int) -> CalendarSettingsRead:
        """Choose. Raises `StaleVersion`."""
        member_id = self.uow.actor.member_id
        if member_id is None:
            raise Forbidden("Only a member has a calendar.")
        row = await self.uow.find(CalendarSettings, member_id, lock="update")
        if expected_version != (row.version if row else 0):
            raise StaleVersion(current_version=row.version if row else 0)
        if row is not None:
            return self._answer(
                await self.uow.update(row, audit="member", action="calendar_changed", **changes)
            )
        try:
            return self._answer(
                await self.uow.insert(CalendarSettings, audit="member", id=member_id, **changes)
            )
        except asyncpg.UniqueViolationError:
            raise StaleVersion from None

    def _answer(self, row: CalendarSettings | None) -> CalendarSettingsRead:
        own = row.time_zone if row else None
        return CalendarSettingsRead(
            version=row.version if row else 0,
            time_zone=own or self.uow.actor.tenant.time_zone,
            own_time_zone=own,
        )
