"""Requests about records that are merged, and taken apart again."""

from __future__ import annotations

from app.kernel.merging.ports import Merging, Moved
from app.kernel.merging.references import LinkColumn
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork


class ApprovalSubjects(LinkColumn):
    """`Merger`: requests go along with their record; of several that are pending, the one that was there first.

    The others stay with the record that is gone, where they are answered or recalled as before.
    """

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(
            uow,
            "automation.approvals",
            "record_id",
            kind="approvals",
            objects=[name for name, record in uow.kernel.registry.records.items() if record.merge],
            by_object=True,
        )

    async def move(self, merging: Merging) -> list[Moved]:
        rows = await self._uow.fetch(
            _MOVE, self._uow.tenant_id, merging.survivor_id, list(merging.merged_ids), merging.object
        )
        return [Moved(row["id"], row["former"]) for row in rows]


_MOVE = f"""
WITH moving AS (
  SELECT a.id, a.record_id AS former FROM automation.approvals a
  WHERE a.tenant_id = $1 AND a.object = $4 AND a.record_id = ANY($3::uuid[])
    AND (a.status <> 'pending' OR a.id = (
      SELECT p.id FROM automation.approvals p
      WHERE p.tenant_id = $1 AND p.object = $4 AND p.record_id = ANY($3::uuid[] || $2::uuid) AND p.status = 'pending'
      ORDER BY p.record_id <> $2, p.requested_at, p.id LIMIT 1))
)
UPDATE automation.approvals a SET record_id = $2 FROM {rows_of("moving", "id", "former")}
WHERE a.tenant_id = $1 AND a.id = moving.id RETURNING a.id, moving.former"""
