"""Reminders: whoever is concerned hears of what starts or is due soon, once, however many workers there are.

A due reminder is claimed by moving it on in the transaction that writes the notifications: a worker that is killed
leaves it as it was, and two never have the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from app.kernel.notifications import Notice, Notifications
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork
from app.modules.activities.services.people import OBJECT, zone_names
from app.modules.activities.services.planning import after_reminder, reminded_start

REMINDER: Final = "activity.reminder"
STEP: Final = 500
_TITLES: Final = {
    "en": {True: "{when}: {what}", False: "Due {when}: {what}"},
    "zh": {True: "{when} 开始：{what}", False: "{when} 到期：{what}"},
}


async def remind(run: ScheduledRun) -> None:
    """Send a tenant's reminders that are due."""
    more = True
    while more:
        async with run.transaction() as uow:
            more = await remind_step(uow) == STEP


async def remind_step(uow: UnitOfWork) -> int:
    """Send up to `STEP` due reminders in the transaction at hand; how many activities they were of."""
    rows = await uow.fetch(_DUE, uow.tenant_id, uow.now, STEP)
    if not rows:
        return 0
    values = [dict(row) for row in rows]
    await uow.fetch(
        "UPDATE activities.activities a SET remind_at = n.at FROM unnest($2::uuid[], $3::timestamptz[]) AS n(id, at)"
        " WHERE a.tenant_id = $1 AND a.id = n.id",
        uow.tenant_id,
        [row["id"] for row in values],
        [after_reminder(row, uow.now) for row in values],
    )
    await Notifications(uow).tell_each(await _notices(uow, values))
    return len(rows)


async def _notices(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[tuple[UUID, Notice]]:
    """A notice for the owner and each member who comes, with the time on their own clock."""
    concerned = {row["id"]: list(dict.fromkeys([row["owner_id"], *row["members"]])) for row in rows}
    members = {id for ids in concerned.values() for id in ids if id is not None}
    zones = await zone_names(uow, members)
    titles = _TITLES[uow.actor.tenant.language]
    found = []
    for row in rows:
        start = reminded_start(row)
        if start is None:
            continue
        for id in concerned[row["id"]]:
            if id is not None:
                when = _clock(start, uow.now, zones[id])
                title = titles[row["starts_at"] is not None].format(when=when, what=row["subject"])
                notice = Notice(REMINDER, title, body=row["place"], object=OBJECT, record_id=row["id"])
                found.append((id, notice))
    return found


def _clock(moment: datetime, now: datetime, zone: str) -> str:
    """`09:00` today, `2026-03-02 09:00` on another day."""
    local, today = moment.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone)).date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


_DUE = """
SELECT a.id, a.kind, a.subject, a.place, a.owner_id, a.starts_at, a.ends_at, a.due_at, a.status, a.time_zone,
  a.recurrence, a.excluded, a.remind_minutes, a.remind_at,
  ARRAY(SELECT t.member_id FROM activities.attendees t WHERE t.tenant_id = a.tenant_id AND t.activity_id = a.id
        AND t.member_id IS NOT NULL AND t.response <> 'declined' ORDER BY t.id) AS members
FROM activities.activities a
WHERE a.tenant_id = $1 AND a.remind_at <= $2 AND a.deleted_at IS NULL
ORDER BY a.remind_at, a.id LIMIT $3 FOR NO KEY UPDATE OF a SKIP LOCKED"""
