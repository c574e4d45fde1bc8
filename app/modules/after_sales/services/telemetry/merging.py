"""What a rule has opened moves along when cases become one: it is quiet while the surviving one is not resolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.kernel.merging.ports import Merging, Moved
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork


class WatchedCases:
    """`Merger`: the cases of states, whose rows are known by rule and meter."""

    name = "after_sales.telemetry_states.case_id"
    kind = "telemetry_states"
    objects = frozenset({"case"})
    columns = frozenset({name})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def present(self, merging: Merging) -> str:  # noqa: ARG002 - the column is the same for all
        return (
            "EXISTS (SELECT 1 FROM after_sales.telemetry_states t"
            " WHERE t.tenant_id = $1 AND t.case_id = ANY($2::uuid[]))"
        )

    async def move(self, merging: Merging) -> list[Moved]:
        rows = await self._uow.fetch(
            _MOVE, self._uow.tenant_id, merging.survivor_id, list(merging.merged_ids)
        )
        return [Moved(row["meter_id"], row["former"], {"rule_id": str(row["rule_id"])}) for row in rows]

    async def restore(self, merging: Merging, moved: Sequence[Moved]) -> int:
        rows = await self._uow.fetch(
            _RESTORE,
            self._uow.tenant_id,
            merging.survivor_id,
            [one.row_id for one in moved],
            [UUID((one.detail or {})["rule_id"]) for one in moved],
            [one.former_id for one in moved],
        )
        return len(rows)


_MOVE: Final = f"""
WITH moving AS (
  SELECT t.rule_id, t.meter_id, t.case_id AS former FROM after_sales.telemetry_states t
  WHERE t.tenant_id = $1 AND t.case_id = ANY($3::uuid[]) ORDER BY t.rule_id, t.meter_id FOR NO KEY UPDATE
)
UPDATE after_sales.telemetry_states t SET case_id = $2
FROM {rows_of("moving", "rule_id", "meter_id", "former")}
WHERE t.tenant_id = $1 AND t.rule_id = moving.rule_id AND t.meter_id = moving.meter_id
RETURNING t.rule_id, t.meter_id, moving.former"""
_RESTORE: Final = """
UPDATE after_sales.telemetry_states t SET case_id = m.former
FROM unnest($3::uuid[], $4::uuid[], $5::uuid[]) AS m(meter_id, rule_id, former)
WHERE t.tenant_id = $1 AND t.rule_id = m.rule_id AND t.meter_id = m.meter_id AND t.case_id = $2
RETURNING t.meter_id"""
