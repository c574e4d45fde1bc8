"""Quotes that wait for their owner: prices that changed, an approval that is there, an offer that soon runs out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from app.kernel.access import NOBODY
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import ToDo, ToDoPlace

PRICE_CHANGED: Final = "quote_price_changed"
TO_SEND: Final = "quote_to_send"
EXPIRING: Final = "quote_expiring"
DAYS_BEFORE: Final = 7


class QuoteToDos:
    """`ToDoSource`: my open quotes, each once, by what is most pressing."""

    kinds = frozenset({PRICE_CHANGED, TO_SEND, EXPIRING})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._me = uow.actor.member_id or NOBODY
        self._zone = uow.actor.tenant.zone
        self._today = uow.actor.tenant.day_of(uow.now)

    async def to_dos(self, *, kinds: Collection[str], after: ToDoPlace | None, limit: int) -> Sequence[ToDo]:
        if not self._uow.actor.may("quote:read"):
            return []
        rows = await self._uow.fetch(
            f"SELECT w.* FROM ({_WAITING}) w WHERE w.kind = ANY($5::text[])"
            " AND ($7::uuid IS NULL OR (coalesce(w.due_at, 'infinity'), w.id)"
            " > (coalesce($6::timestamptz, 'infinity'), $7)) ORDER BY w.due_at, w.id LIMIT $8",
            *self._arguments,
            sorted(kinds),
            after.due_at if after else None,
            after.id if after else None,
            limit,
        )
        hidden = self._uow.actor.hidden("quote")
        shown = [name for name in ("number", "revision", "status", "valid_until") if name not in hidden]
        return [
            ToDo(
                id=row["id"],
                kind=row["kind"],
                title="…" if "name" in hidden else row["name"],
                due_at=row["due_at"],
                since=row["since"],
                object="quote",
                record_id=row["id"],
                data={name: row[name] for name in shown},
            )
            for row in rows
        ]

    async def counts(self) -> Mapping[str, int]:
        if not self._uow.actor.may("quote:read"):
            return {}
        rows = await self._uow.fetch(
            f"SELECT w.kind, count(*) AS count FROM ({_WAITING}) w GROUP BY w.kind", *self._arguments
        )
        return {row["kind"]: row["count"] for row in rows}

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return (self._uow.tenant_id, self._me, self._today, self._zone.key)


# $3 is today and $4 the zone: an offer is over when its last day is.
_WAITING = f"""
SELECT q.id, q.name, q.number, q.revision, q.status, q.valid_until,
  CASE WHEN n.changed_at IS NOT NULL THEN '{PRICE_CHANGED}' WHEN q.status = 'approved' THEN '{TO_SEND}'
    ELSE '{EXPIRING}' END AS kind,
  coalesce(n.changed_at, q.updated_at) AS since,
  ((q.valid_until + 1)::timestamp AT TIME ZONE $4::text) AS due_at
FROM quotes.quotes q
LEFT JOIN LATERAL (
  SELECT min(p.changed_at) AS changed_at FROM quotes.price_notices p
  WHERE p.tenant_id = q.tenant_id AND p.quote_id = q.id
) n ON true
WHERE q.tenant_id = $1 AND q.owner_id = $2 AND q.deleted_at IS NULL
  AND q.status IN ('draft', 'in_approval', 'approved', 'sent', 'viewed')
  AND (n.changed_at IS NOT NULL OR q.status = 'approved'
    OR (q.status IN ('sent', 'viewed') AND q.valid_until <= $3::date + {DAYS_BEFORE}))"""
