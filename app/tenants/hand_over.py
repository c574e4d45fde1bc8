"""When somebody leaves, what they own goes to somebody else: every record type, in the same transaction."""

from __future__ import annotations

from typing import Any, Final, cast
from uuid import UUID

from app.kernel.models import RecordTable
from app.kernel.records import RecordType
from app.kernel.statements import columns_of, entity, rows_of
from app.kernel.uow import UnitOfWork

BATCH: Final = 1_000


async def hand_over(
    uow: UnitOfWork, from_member: UUID, to_member: UUID, to_team: UUID | None
) -> dict[str, int]:
    """Give all records of one member to another; how many, by object.

    Each change is audited and published like any transfer. One statement per thousand records; the modules' own
    rules about assigning are not asked, because leaving cannot wait for them. Deleted records stay as they were.
    """
    counts: dict[str, int] = {}
    for record in uow.kernel.registry.records.values():
        moved = await _hand_over_records(uow, record, from_member, to_member, to_team)
        if moved:
            counts[record.object] = moved
    return counts


async def _hand_over_records(
    uow: UnitOfWork, record: RecordType[Any], from_member: UUID, to_member: UUID, to_team: UUID | None
) -> int:
    columns = ", ".join(f"t.{name}" for name in columns_of(cast("type[RecordTable]", record.model)))
    held = ", former_owner_id = $2, received_at = $5, recycle_reminded_at = NULL" if record.held else ""
    total = 0
    while True:
        rows = await uow.fetch(
            f"WITH picked AS (SELECT id, team_id FROM {record.table} WHERE tenant_id = $1 AND owner_id = $2"
            f" AND deleted_at IS NULL ORDER BY id LIMIT {BATCH} FOR NO KEY UPDATE)"
            f" UPDATE {record.table} t SET owner_id = $3, team_id = $4{held},"
            " version = t.version + 1, updated_at = $5"
            f" FROM {rows_of('picked', 'id', 'team_id')} WHERE t.tenant_id = $1 AND t.id = picked.id"
            f" RETURNING picked.team_id AS team_before, {columns}",
            uow.tenant_id,
            from_member,
            to_member,
            to_team,
            uow.now,
        )
        for row in rows:
            values = dict(row)
            team_before = values.pop("team_before")
            after = entity(record.model, values)
            changes: dict[str, list[Any]] = {"owner_id": [from_member, to_member]}
            if team_before != to_team:
                changes["team_id"] = [team_before, to_team]
            uow.record_audit(record.object, after.id, "handed_over", changes)
            uow.publish(
                record.updated(
                    id=after.id, version=after.version, changed=sorted(changes), record=record.snapshot(after)
                )
            )
        await uow.flush()  # a thousand entries at a time, so that memory stays flat
        total += len(rows)
        if len(rows) < BATCH:
            return total
