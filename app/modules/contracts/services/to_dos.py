"""What waits for the owner of contracts: terms that are about to end, and payments that are overdue."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace

RENEWAL: Final = "contract_renewal"
OVERDUE: Final = "overdue_instalment"


class ContractToDos:
    """`ToDoSource`: my contracts whose reminder has begun and that have no successor; my overdue instalments."""

    kinds = frozenset({RENEWAL, OVERDUE})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._me = uow.actor.member_id or NOBODY
        self._zone = uow.actor.tenant.zone
        self._today = uow.actor.tenant.day_of(uow.now)

    async def to_dos(self, *, kinds: Collection[str], after: ToDoPlace | None, limit: int) -> Sequence[ToDo]:
        if not self._uow.actor.may("contract:read"):
            return []
        rows = await self._uow.fetch(
            f"SELECT * FROM ({_WAITING}) w WHERE w.kind = ANY($5::text[])"
            " AND ($7::uuid IS NULL OR (w.due_at, w.id) > ($6::timestamptz, $7))"
            " AND ($7::uuid IS NULL OR $6::timestamptz IS NOT NULL)"
            " ORDER BY w.due_at, w.id LIMIT $8",
            *self._arguments,
            sorted(kinds),
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        hidden = self._uow.actor.hidden("contract")
        return [
            ToDo(
                id=row["id"],
                kind=row["kind"],
                title=row["number"] if "title" in hidden else f"{row['number']} {row['title']}",
                due_at=row["due_at"],
                since=row["since"],
                object="contract",
                record_id=row["contract_id"],
                data={"label": row["label"], "auto_renew": row["auto_renew"]},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        if not self._uow.actor.may("contract:read"):
            return {}
        rows = await self._uow.fetch(
            f"SELECT w.kind, count(*) AS count FROM ({_WAITING}) w GROUP BY w.kind", *self._arguments
        )
        return {row["kind"]: row["count"] for row in rows}

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return (self._uow.tenant_id, self._me, self._today, self._zone.key)


# $3 is today and $4 the zone: what is to be done on a day is due when the day is over.
_WAITING: Final = f"""
SELECT c.id, c.id AS contract_id, c.number, c.title, NULL::text AS label, c.auto_renew, '{RENEWAL}' AS kind,
  c.activated_at AS since, ((c.ends_on + 1)::timestamp AT TIME ZONE $4::text) AS due_at
FROM contracts.contracts c
WHERE c.tenant_id = $1 AND c.owner_id = $2 AND c.deleted_at IS NULL AND c.status = 'active'
  AND c.successor_id IS NULL AND c.terminates_on IS NULL AND c.ends_on IS NOT NULL
  AND c.ends_on - c.renewal_reminder_days::int <= $3::date
UNION ALL
SELECT i.id, c.id, c.number, c.title, i.label, c.auto_renew, '{OVERDUE}',
  c.activated_at, ((i.due_on + 1)::timestamp AT TIME ZONE $4::text)
FROM contracts.contracts c
JOIN contracts.instalments i ON i.tenant_id = c.tenant_id AND i.contract_id = c.id AND i.status = 'overdue'
WHERE c.tenant_id = $1 AND c.owner_id = $2 AND c.deleted_at IS NULL AND $3::date IS NOT NULL"""
