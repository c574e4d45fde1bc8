"""Quotes that wait for their owner: prices that changed, an approval that is there, an offer that soon runs out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.kernel.access import NOBODY
from app.kernel.listing import Bindings
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Waiting

PRICE_CHANGED: Final = "quote_price_changed"
TO_SEND: Final = "quote_to_send"
EXPIRING: Final = "quote_expiring"
DAYS_BEFORE: Final = 7


class QuoteToDos:
    """`ToDoSource`: my open quotes, each once, by what is most pressing; an offer is over when its last day is."""

    kinds = frozenset({PRICE_CHANGED, TO_SEND, EXPIRING})

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def waiting(self, bind: Bindings) -> Sequence[Waiting]:
        actor = self._uow.actor
        if not actor.may("quote:read"):
            return []
        hidden = actor.hidden("quote")
        shown = [name for name in ("number", "revision", "status", "valid_until") if name not in hidden]
        return [
            Waiting(
                rows=_ROWS.format(
                    tenant=bind(actor.tenant.id),
                    me=bind(actor.member_id or NOBODY),
                    today=bind(actor.tenant.day_of(self._uow.now)),
                ),
                id="q.id",
                kind=f"CASE WHEN n.changed_at IS NOT NULL THEN '{PRICE_CHANGED}'"
                f" WHEN q.status = 'approved' THEN '{TO_SEND}' ELSE '{EXPIRING}' END",
                title="'…'" if "name" in hidden else "q.name",
                due_at=f"(q.valid_until + 1)::timestamp AT TIME ZONE {bind(actor.tenant.zone.key)}::text",
                since="coalesce(n.changed_at, q.updated_at)",
                object="'quote'",
                record_id="q.id",
                data={name: f"q.{name}" for name in shown},
            )
        ]


_ROWS: Final = f"""quotes.quotes q
LEFT JOIN LATERAL (
  SELECT min(p.changed_at) AS changed_at FROM quotes.price_notices p
  WHERE p.tenant_id = q.tenant_id AND p.quote_id = q.id
) n ON true
WHERE q.tenant_id = {{tenant}} AND q.owner_id = {{me}} AND q.deleted_at IS NULL
  AND q.status IN ('draft', 'in_approval', 'approved', 'sent', 'viewed')
  AND (n.changed_at IS NOT NULL OR q.status = 'approved'
    OR (q.status IN ('sent', 'viewed') AND q.valid_until <= {{today}}::date + {DAYS_BEFORE}))"""
