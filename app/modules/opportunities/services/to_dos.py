"""Opportunities that wait for their owner: past their close date, or with a next step written down."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace

OVERDUE: Final = "overdue_opportunity"
NEXT_STEP: Final = "next_step"


class OpportunityToDos:
    """`ToDoSource`: my open opportunities, each once: overdue ones, and the next steps of the others."""

    kinds = frozenset({OVERDUE, NEXT_STEP})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._me = uow.actor.member_id or NOBODY
        self._zone = uow.actor.tenant.zone
        self._today = uow.actor.tenant.day_of(uow.now)

    async def to_dos(self, *, kinds: Collection[str], after: ToDoPlace | None, limit: int) -> Sequence[ToDo]:
        if not self._uow.actor.may("opportunity:read"):
            return []
        rows = await self._uow.fetch(
            f"SELECT * FROM ({_WAITING}) w WHERE w.kind = ANY($5::text[])"
            " AND ($7::uuid IS NULL OR (w.due_at, w.id) > ($6::timestamptz, $7)"
            "  OR (w.due_at IS NULL AND $6 IS NOT NULL) OR (w.due_at IS NULL AND $6 IS NULL AND w.id > $7))"
            " ORDER BY w.due_at, w.id LIMIT $8",
            *self._arguments,
            sorted(kinds),
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        hidden = self._uow.actor.hidden("opportunity")
        shown = [name for name in ("stage", "next_step", "expected_close_on") if name not in hidden]
        return [
            ToDo(
                id=row["id"],
                kind=row["kind"],
                title="…" if "name" in hidden else row["name"],
                due_at=row["due_at"],
                since=row["created_at"],
                object="opportunity",
                record_id=row["id"],
                data={name: row[name] for name in shown},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        if not self._uow.actor.may("opportunity:read"):
            return {}
        rows = await self._uow.fetch(
            f"SELECT w.kind, count(*) AS count FROM ({_WAITING}) w GROUP BY w.kind", *self._arguments
        )
        return {row["kind"]: row["count"] for row in rows}

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return (self._uow.tenant_id, self._me, self._today, self._zone.key)


# $3 is today and $4 the zone: what is to close on a day is due when the day is over.
_WAITING = f"""
SELECT o.id, o.name, o.stage, o.next_step, o.expected_close_on, o.created_at,
  CASE WHEN o.expected_close_on < $3::date THEN '{OVERDUE}' ELSE '{NEXT_STEP}' END AS kind,
  ((o.expected_close_on + 1)::timestamp AT TIME ZONE $4::text) AS due_at
FROM opportunities.opportunities o
WHERE o.tenant_id = $1 AND o.owner_id = $2 AND o.deleted_at IS NULL AND o.status = 'open'
  AND (o.expected_close_on < $3::date OR o.next_step <> '')"""
