"""Where a merged record went: looked up only when a record is not found, so that reading costs nothing more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.kernel.errors import Conflict, NotFound
from app.kernel.uow import UnitOfWork

if TYPE_CHECKING:
    from app.kernel.records import RecordService


class RecordMerged(Conflict):
    """Carries `id` and the `survivor_id` to write to instead."""

    code = "record_merged"
    title = "This record was merged into another one"


# A record that took others in may have been merged itself: the way is followed to its end.
_WAY = """
WITH RECURSIVE way AS (
  SELECT record_id AS start, survivor_id, 1 AS step FROM kernel.merged_records
  WHERE tenant_id = $1 AND object = $2 AND record_id = ANY($3::uuid[])
  UNION ALL
  SELECT way.start, m.survivor_id, way.step + 1 FROM way JOIN kernel.merged_records m
    ON m.tenant_id = $1 AND m.object = $2 AND m.record_id = way.survivor_id
)
SELECT DISTINCT ON (start) start, survivor_id FROM way ORDER BY start, step DESC"""


async def survivors_of(uow: UnitOfWork, object_name: str, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Into which record each of these was merged in the end; those that were not are absent."""
    if not ids:
        return {}
    rows = await uow.fetch(_WAY, uow.tenant_id, object_name, list(ids))
    return {row["start"]: row["survivor_id"] for row in rows}


async def get_current(service: RecordService[Any], ids: Collection[UUID]) -> Mapping[UUID, Any]:
    """Visible rows by the id asked for; an id that was merged away answers with the row that survived."""
    found: dict[UUID, Any] = await service.get_many(list(ids))
    missing = [id for id in ids if id not in found]
    if not missing:
        return found
    survivors = await survivors_of(service.uow, service.record.object, missing)
    if survivors:
        rows = await service.get_many(sorted(set(survivors.values())))
        found |= {id: rows[survivor] for id, survivor in survivors.items() if survivor in rows}
    return found


async def refuse_absent(
    service: RecordService[Any], ids: Collection[UUID], *, writing: bool, listed: bool = False
) -> None:
    """Say why records are not there for the actor; `listed` names them all.

    Raises: `RecordMerged` for a write to one that was merged into a record that the actor sees; else `NotFound`.
    """
    record = service.record
    survivors = await survivors_of(service.uow, record.object, ids) if record.merge is not None else {}
    seen = await service.get_many(sorted(set(survivors.values()))) if survivors else {}
    for id, survivor in survivors.items():
        if survivor in seen:
            detail = f"It was merged into {survivor}."
            if writing:
                raise RecordMerged(detail, id=str(id), survivor_id=str(survivor))
            raise NotFound(detail, merged_into=str(survivor))
    if listed:
        missing = [str(id) for id in ids]
        raise NotFound(f"Not found: {', '.join(missing[:10])}.", missing=missing)
    raise NotFound
