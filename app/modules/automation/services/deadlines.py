"""When an approver is reminded, and when their decision goes on to somebody else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.kernel.working_time import NeverOpen, WorkingCalendar
from app.modules.automation.schemas import TimeUnit
from app.tenants.interface import WorkingTime

HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Deadlines:
    """None where a step has no such time."""

    remind_at: datetime | None
    escalate_at: datetime | None


async def deadlines(
    uow: UnitOfWork, step: Mapping[str, Any], members: Collection[UUID]
) -> dict[UUID, Deadlines]:
    """The times of a step that begins at this moment, for each of the members it asks."""
    patience = (step["remind_after"], step["escalate_after"])
    calendars: Mapping[UUID, WorkingCalendar] = {}
    if any(span is not None and span["unit"] == TimeUnit.WORKING_HOURS for span in patience):
        calendars = await uow.of(WorkingTime).calendars_of(members)
    return {id: Deadlines(*(_after(span, uow.now, calendars.get(id)) for span in patience)) for id in members}


def _after(
    span: Mapping[str, Any] | None, start: datetime, calendar: WorkingCalendar | None
) -> datetime | None:
    if span is None:
        return None
    if span["unit"] == TimeUnit.DAYS or calendar is None:
        return start + timedelta(days=span["amount"])
    try:
        return calendar.add(start, span["amount"] * HOUR)
    except NeverOpen:  # who never works is given as many hours by the clock
        return start + timedelta(hours=span["amount"])
