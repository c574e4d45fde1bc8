"""Agents who fall silent are away: a browser that was closed, a train in a tunnel.

An agent is heard of by saying that they are there, by asking for a case, by a call, and by what they write about
cases. Routing looks at that itself, so that nothing goes to somebody who is gone before the schedule has said so.
"""

from __future__ import annotations

from typing import Final

from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.desk import AgentStatus
from app.modules.after_sales.services.desk.agents import AgentPresenceChanged
from app.modules.after_sales.services.desk.queues import bearing
from app.modules.after_sales.services.desk.returning import give_back
from app.modules.after_sales.services.desk.taking import CALL_COUNTS_FOR_HOURS

SILENT: Final = f"""coalesce(a.heard_at, a.status_since) <= {{since}}::timestamptz
  AND NOT EXISTS (SELECT 1 FROM after_sales.calls l WHERE l.tenant_id = a.tenant_id AND l.agent_id = a.id
    AND l.started_at > {{now}}::timestamptz - make_interval(hours => {CALL_COUNTS_FOR_HOURS})
    AND (l.ended_at IS NULL OR l.ended_at > {{since}}::timestamptz))
  AND NOT EXISTS (SELECT 1 FROM after_sales.case_comments m WHERE m.tenant_id = a.tenant_id
    AND m.member_id = a.id AND m.at > {{since}}::timestamptz)"""
"""SQL over agents as `a`: whether nothing was heard of one since a moment."""


async def expire(uow: UnitOfWork) -> int:
    """Whoever has been silent for as long as the company says is away, and gives back; how many agents."""
    after = (await bearing(uow)).away_after
    if after is None:
        return 0
    rows = await uow.fetch(_EXPIRE, uow.tenant_id, uow.now - after, uow.now)
    for row in rows:
        uow.record_audit("agent", row["id"], "expired", {"status": ["online", "away"]})
        uow.publish(
            AgentPresenceChanged(
                id=row["id"], status=AgentStatus.AWAY.value, former_status=AgentStatus.ONLINE.value
            )
        )
    if rows:
        await give_back(uow, [row["id"] for row in rows])
    return len(rows)


_EXPIRE: Final = f"""
WITH silent AS (
  SELECT a.id FROM after_sales.agents a
  WHERE a.tenant_id = $1 AND a.status = 'online' AND {SILENT.format(since="$2", now="$3")}
  ORDER BY a.id FOR NO KEY UPDATE
)
UPDATE after_sales.agents a SET status = 'away', status_since = $3, version = a.version + 1, updated_at = $3
FROM {rows_of("silent", "id")} WHERE a.tenant_id = $1 AND a.id = silent.id AND a.status = 'online'
  AND coalesce(a.heard_at, a.status_since) <= $2::timestamptz
RETURNING a.id"""
