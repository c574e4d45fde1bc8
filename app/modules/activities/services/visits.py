"""Visits: being there, how far from the planned place, and how long."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import AlreadyCheckedIn, NotCheckedIn, VisitEnded, VisitStarted
from app.modules.activities.models import Activity, ActivityKind, ActivityStatus
from app.modules.activities.schemas import CheckIn
from app.modules.activities.services.activities import ActivityService, require_open

EARTH_RADIUS_METRES: Final = 6_371_008.8  # mean radius R1 of the GRS 80 ellipsoid (IUGG)


def distance_metres(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> int:
    """The great-circle distance between two places in whole metres, by the haversine formula."""
    phi, other_phi = math.radians(latitude), math.radians(other_latitude)
    half = math.sin((other_phi - phi) / 2) ** 2 + (
        math.cos(phi) * math.cos(other_phi) * math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    )
    return round(2 * EARTH_RADIUS_METRES * math.asin(math.sqrt(min(1.0, half))))


class Visits:
    """Checking in and out of visits, each once."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.service = ActivityService(uow)

    async def check_in(self, id: UUID, where: CheckIn, *, expected_version: int) -> Activity:
        """Somebody has arrived. Raises `Invalid` for no visit, `AlreadyCheckedIn`, `InvalidTransition`."""
        row = await self._visit(id, expected_version)
        if row.checked_in_at is not None:
            raise AlreadyCheckedIn(checked_in_at=row.checked_in_at.isoformat())
        require_open(row)
        distance = None
        if row.latitude is not None and row.longitude is not None:
            distance = distance_metres(row.latitude, row.longitude, where.latitude, where.longitude)
        changes: dict[str, Any] = {
            "checked_in_at": self.uow.now,
            "checked_in_latitude": where.latitude,
            "checked_in_longitude": where.longitude,
            "distance_metres": distance,
            "happened_at": self.uow.now,
            "remind_at": None,
        }
        after = await self.service.write(row, changes, action="checked_in")
        self.uow.publish(VisitStarted(id=id, member_id=self.uow.actor.member_id, distance_metres=distance))
        return after

    async def check_out(
        self, id: UUID, *, outcome: str | None, note: str | None, expected_version: int
    ) -> Activity:
        """Somebody has left: the visit is done, and took as long as they were there. Raises `NotCheckedIn`."""
        row = await self._visit(id, expected_version)
        if row.checked_in_at is None or row.checked_out_at is not None:
            raise NotCheckedIn
        seconds = (self.uow.now - row.checked_in_at) // timedelta(seconds=1)
        changes: dict[str, Any] = {
            "checked_out_at": self.uow.now,
            "duration_seconds": max(0, seconds),
            "status": ActivityStatus.DONE,
            "completed_at": self.uow.now,
        }
        changes |= {n: v for n, v in (("outcome", outcome), ("completion_note", note)) if v}
        after = await self.service.write(row, changes, action="checked_out")
        self.uow.publish(
            VisitEnded(id=id, member_id=self.uow.actor.member_id, duration_seconds=max(0, seconds))
        )
        return after

    async def _visit(self, id: UUID, expected_version: int) -> Activity:
        row = await self.service.locked(id, expected_version)
        if row.kind != ActivityKind.VISIT:
            raise Invalid.at("/kind", "not_a_visit", f"Nobody checks in on a {row.kind}.")
        if row.recurrence is not None:
            raise Invalid.at(
                "/recurrence", "is_a_series", "Check in on one occurrence: change it first, by its start."
            )
        return row
