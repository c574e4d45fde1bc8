"""Opportunities that nobody has touched for as long as their stage allows.

`rots_at` moves on with each change by somebody and each activity about the opportunity; a schedule marks what is
past it. The moment itself is not shown, so that a call that is logged does not spoil the version that others read.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from app.kernel.schedules import ScheduledRun
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.interface import OpportunityRotting
from app.modules.opportunities.services.opportunities import OPPORTUNITY

EVERY = timedelta(minutes=5)
BATCH = 500


async def mark_rotting(run: ScheduledRun) -> None:
    """Mark what has begun to rot since, a batch per transaction; the event goes out once per visit of a stage."""
    while True:
        async with run.transaction() as uow:
            rows = await uow.fetch(_MARK, uow.tenant_id, uow.now, BATCH)
            for row in rows:
                uow.record_audit(
                    "opportunity", row["id"], "rotting", {"rotting_since": [None, row["rotting_since"]]}
                )
                uow.publish_record(
                    OPPORTUNITY.updated,
                    row["id"],
                    row["version"],
                    changed=["is_rotting", "rotting_since"],
                )
                if row["first"]:
                    uow.publish(
                        OpportunityRotting(
                            id=row["id"],
                            owner_id=row["owner_id"],
                            pipeline_id=row["pipeline_id"],
                            stage=row["stage"],
                            rotting_since=row["rotting_since"],
                        )
                    )
        if len(rows) < BATCH:
            return


async def touched(uow: UnitOfWork, ids: Collection[UUID]) -> None:
    """Somebody did something about these: the open ones are fresh again."""
    rows = await uow.fetch(_TOUCH, uow.tenant_id, sorted(set(ids)), uow.now)
    for row in rows:
        if row["was_rotting"]:
            uow.record_audit(
                "opportunity", row["id"], "refreshed", {"rotting_since": [row["rotting_since"], None]}
            )
            uow.publish_record(
                OPPORTUNITY.updated, row["id"], row["version"], changed=["is_rotting", "rotting_since"]
            )


_MARK = f"""
WITH due AS (
  SELECT id FROM opportunities.opportunities
  WHERE tenant_id = $1 AND deleted_at IS NULL AND rots_at IS NOT NULL AND NOT is_rotting AND rots_at <= $2
  ORDER BY rots_at, id LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
  UPDATE opportunities.opportunities o
  SET is_rotting = true, rotting_since = o.rots_at, version = o.version + 1, updated_at = $2
  FROM {rows_of("due", "id")} WHERE o.tenant_id = $1 AND o.id = due.id
  RETURNING o.id, o.version, o.owner_id, o.pipeline_id, o.stage, o.rotting_since
), told AS (
  UPDATE opportunities.stage_history h SET rotted_at = marked.rotting_since
  FROM {rows_of("marked", "id", "rotting_since")}
  WHERE h.tenant_id = $1 AND h.opportunity_id = marked.id AND h.left_at IS NULL AND h.rotted_at IS NULL
  RETURNING h.opportunity_id
)
SELECT m.*, EXISTS (SELECT 1 FROM told WHERE told.opportunity_id = m.id) AS first FROM marked m ORDER BY m.id"""

_TOUCH = f"""
WITH found AS (
  SELECT o.id, o.is_rotting, o.rotting_since, s.rotting_days
  FROM opportunities.opportunities o
  JOIN opportunities.stages s ON s.tenant_id = o.tenant_id AND s.pipeline_id = o.pipeline_id AND s.key = o.stage
  WHERE o.tenant_id = $1 AND o.id = ANY($2::uuid[]) AND o.status = 'open' AND o.deleted_at IS NULL
    AND s.rotting_days IS NOT NULL
  ORDER BY o.id FOR NO KEY UPDATE OF o
)
UPDATE opportunities.opportunities o SET
  rots_at = $3::timestamptz + make_interval(days => found.rotting_days::int),
  is_rotting = false, rotting_since = NULL, version = o.version + found.is_rotting::int,
  updated_at = CASE WHEN found.is_rotting THEN $3::timestamptz ELSE o.updated_at END
FROM {rows_of("found", "id", "is_rotting", "rotting_since", "rotting_days")}
WHERE o.tenant_id = $1 AND o.id = found.id
RETURNING o.id, o.version, found.is_rotting AS was_rotting, found.rotting_since"""
