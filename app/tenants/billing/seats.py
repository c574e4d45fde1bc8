"""Seats: how many were occupied when. A trigger writes the history as members come, change roles and go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.tenants.billing.periods import Period


@dataclass(frozen=True, slots=True)
class SeatChange:
    """From `at` on `occupied` seats were taken, because a member took one (+1) or left it (-1)."""

    at: datetime
    member_id: UUID
    change: int
    occupied: int


@dataclass(frozen=True, slots=True)
class SeatHistory:
    """The seats taken when a period begins, and each change within it."""

    opening: int
    changes: tuple[SeatChange, ...]


class Seats:
    """Seats of the tenant at hand."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def history(self, period: Period) -> SeatHistory:
        """What happened within a period, in order; one statement."""
        rows = await self._uow.fetch(
            "SELECT at, member_id, change, sum(change) OVER (ORDER BY at, id)::bigint AS occupied"
            " FROM tenants.seat_changes WHERE tenant_id = $1 AND at < $2 ORDER BY at, id",
            self._uow.tenant_id,
            period.end,
        )
        before = [row["change"] for row in rows if row["at"] < period.start]
        return SeatHistory(
            opening=sum(before), changes=tuple(SeatChange(*row) for row in rows[len(before) :])
        )

    async def through(self, period: Period) -> list[tuple[datetime, int]]:
        """When seats changed up to a period's end, with it, and how many were occupied from then on; one statement.

        Of what was before the period, only how it stood when it began.
        """
        rows = await self._uow.fetch(
            "SELECT greatest(at, $2) AS at, sum(sum(change)) OVER (ORDER BY greatest(at, $2))::bigint AS occupied"
            " FROM tenants.seat_changes WHERE tenant_id = $1 AND at <= $3"
            " GROUP BY greatest(at, $2) ORDER BY 1",
            self._uow.tenant_id,
            period.start,
            period.end,
        )
        return [(row["at"], row["occupied"]) for row in rows]
