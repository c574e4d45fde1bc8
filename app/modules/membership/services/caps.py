"""What caps leave members to earn, while orders earn in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any, Final
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.membership.services.earning import Room
from app.modules.membership.services.programmes import ProgrammeRules


def capped(programme: ProgrammeRules) -> bool:
    """Whether a programme caps what a member earns over several orders."""
    return programme.row.cap_day is not None or programme.row.cap_member is not None


class Rooms:
    """What caps leave held members, in memory; returns give no room back."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._ever: dict[UUID, int] = {}
        self._of_day: dict[tuple[UUID, date | None], int] = {}
        for row in rows:
            self.take(row["member_id"], row["day"], row["points"])

    @classmethod
    async def read(cls, uow: UnitOfWork, member_days: Collection[tuple[UUID, date]]) -> Rooms:
        """For these members on these days. One statement, none for nobody."""
        if not member_days:
            return cls(())
        members, days = {id for id, _ in member_days}, {day for _, day in member_days}
        return cls(await uow.fetch(_HAD, uow.tenant_id, list(members), list(days)))

    def left(self, programme: ProgrammeRules, member_id: UUID, day: date) -> Room:
        row = programme.row
        ever, of_day = self._ever.get(member_id, 0), self._of_day.get((member_id, day), 0)
        return Room(
            None if row.cap_day is None else max(row.cap_day - of_day, 0),
            None if row.cap_member is None else max(row.cap_member - ever, 0),
        )

    def take(self, member_id: UUID, day: date | None, points: int) -> None:
        """So many points were earned on a day, or on one that nobody asked for."""
        self._ever[member_id] = self._ever.get(member_id, 0) + points
        self._of_day[member_id, day] = self._of_day.get((member_id, day), 0) + points


_HAD: Final = """
SELECT member_id, CASE WHEN earned_on = ANY($3::date[]) THEN earned_on END AS day, sum(spendable)::bigint AS points
FROM membership.earnings WHERE tenant_id = $1 AND member_id = ANY($2::uuid[]) GROUP BY 1, 2"""
