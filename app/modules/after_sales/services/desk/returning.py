"""Work that agents were given and have not begun goes back to its queue when they are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseAssigned
from app.modules.after_sales.services.cases.cases import CASE


async def give_back(uow: UnitOfWork, agent_ids: Sequence[UUID]) -> int:
    """Cases that routing gave to these agents and that are still new are nobody's again; how many.

    One that somebody is acting on at the moment is passed over: it is being begun.
    """
    rows = await uow.fetch(_GIVE_BACK, uow.tenant_id, list(agent_ids), uow.now)
    for row in rows:
        former = row["former_owner_id"]
        uow.record_audit("case", row["id"], "given_back", {"owner_id": [str(former), None]})
        uow.publish_record(CASE.updated, row["id"], row["version"], changed=["owner_id", "routed_at"])
        uow.publish(
            CaseAssigned(id=row["id"], owner_id=None, former_owner_id=former, queue_id=row["queue_id"])
        )
    return len(rows)


_GIVE_BACK: Final = f"""
WITH kept AS (
  SELECT id, owner_id FROM after_sales.cases
  WHERE tenant_id = $1 AND owner_id = ANY($2::uuid[]) AND deleted_at IS NULL AND status = 'new'
    AND queue_id IS NOT NULL AND routed_at IS NOT NULL
  ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE after_sales.cases c SET owner_id = NULL, routed_at = NULL, version = c.version + 1, updated_at = $3
FROM {rows_of("kept", "id", "owner_id")} WHERE c.tenant_id = $1 AND c.id = kept.id
RETURNING c.id, c.version, c.queue_id, kept.owner_id AS former_owner_id"""
