"""How many activities were done, by whom, of which kind and in which month."""

from __future__ import annotations

from datetime import datetime

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import DoneCount


class DoneActivities:
    """Implements `ActivityCounts`: one statement over what the actor sees."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def done(self, since: datetime, before: datetime) -> list[DoneCount]:
        """See `ActivityCounts`."""
        actor = self._uow.actor
        if not actor.may("activity:read"):
            return []
        bind = Bindings(self._uow.tenant_id)
        visible = visible_rows(actor, "activity", "read", bind)
        zone = bind(actor.tenant.time_zone)
        rows = await self._uow.fetch(
            f"SELECT t.owner_id, date_trunc('month', t.completed_at AT TIME ZONE {zone})::date,"
            " t.kind, count(*) FROM activities.activities_read t WHERE t.tenant_id = $1 AND t.deleted_at IS NULL"
            f" AND t.status = 'done' AND t.completed_at >= {bind(since)} AND t.completed_at < {bind(before)}"
            f"{f' AND {visible}' if visible else ''} GROUP BY 1, 2, 3",
            *bind.values,
        )
        return [DoneCount(*row) for row in rows]
