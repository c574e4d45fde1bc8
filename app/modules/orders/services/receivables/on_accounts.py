"""What receivables add to accounts: a panel, timeline entries, and a guard against deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.listing import Bindings
from app.kernel.money import money_dict
from app.kernel.uow import UnitOfWork
from app.kernel.uses import live_uses
from app.modules.activities.interface import Position, Subject, TimelineEntry


class ReceivablesPanel:
    """`AccountPanel`: what is open and overdue, and what lies unallocated, per currency."""

    name = "receivables"

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def panel(self, account_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        """Sums per currency of all that visible accounts owe; those that owe nothing and have nothing are absent."""
        actor = self._uow.actor
        if not account_ids or not (actor.may("invoice:read") and actor.may("payment:read")):
            return {}
        if actor.hidden("invoice") & {"total", "open_amount"} or "unallocated" in actor.hidden("payment"):
            return {}
        today = actor.tenant.day_of(self._uow.now)
        rows = await self._uow.fetch(_PANEL, self._uow.tenant_id, list(account_ids), today)
        found: dict[UUID, dict[str, Any]] = {}
        for row in rows:
            panel = found.setdefault(
                row["account_id"],
                {"open": [], "overdue": [], "unallocated": [], "open_invoices": 0, "overdue_invoices": 0},
            )
            panel["open_invoices"] += row["open_invoices"]
            panel["overdue_invoices"] += row["overdue_invoices"]
            for name in ("open", "overdue", "unallocated"):
                if row[name]:
                    panel[name].append(money_dict(int(row[name]), row["currency"]))
        return found


class _ReceivablesTimeline:
    """`TimelineSource` of one kind, so that a page of that kind alone is as full as it can be."""

    _object: ClassVar[str]
    _sql: ClassVar[str]

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def entries(
        self, subject: Subject, *, before: Position | None, limit: int
    ) -> Sequence[TimelineEntry]:
        """At most `limit` entries older than `before`, newest first; nothing for other subjects. One statement."""
        actor, name = self._uow.actor, self._object
        hidden = actor.hidden(name)
        if subject.object != "account" or not actor.may(f"{name}:read") or hidden & {"number", "kind"}:
            return []
        bind = Bindings(
            self._uow.tenant_id,
            subject.record_id,
            before.at if before else None,
            before.id if before else None,
            limit,
        )
        visible = visible_rows(actor, name, "read", bind)
        rows = await self._uow.fetch(
            self._sql.format(visible=f" AND {visible}" if visible else ""), *bind.values
        )
        return [_entry(row, hidden) for row in rows]


def _entry(row: Any, hidden: frozenset[str]) -> TimelineEntry:
    data = {name: row[name] for name in ("status", "method") if row[name] and name not in hidden}
    if not hidden & {"total", "amount"}:
        data["total"] = money_dict(row["total"], row["currency"])
    return TimelineEntry(
        id=row["id"],
        at=row["at"],
        kind=row["object"],
        title=f"{_TITLES[row['kind']]}: {row['number']}",
        actor_id=row["actor_id"],
        object=row["object"],
        record_id=row["id"],
        data=data,
    )


_INVOICED: Final = """
SELECT t.id, t.created_at AS at, t.kind, t.number, t.status, NULL AS method, t.total, t.currency,
  t.created_by AS actor_id, 'invoice' AS object
FROM orders.invoices t
WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.deleted_at IS NULL AND t.number IS NOT NULL
  AND ($3::timestamptz IS NULL OR (t.created_at, t.id) < ($3, $4::uuid)){visible}
ORDER BY t.created_at DESC, t.id DESC LIMIT $5"""

_RECEIVED: Final = """
SELECT t.id, t.created_at AS at, t.kind, t.number, NULL AS status, t.method, t.amount AS total, t.currency,
  t.created_by AS actor_id, 'payment' AS object
FROM orders.payments t
WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.deleted_at IS NULL
  AND ($3::timestamptz IS NULL OR (t.created_at, t.id) < ($3, $4::uuid)){visible}
ORDER BY t.created_at DESC, t.id DESC LIMIT $5"""


class InvoicesTimeline(_ReceivablesTimeline):
    """What an account was invoiced and credited."""

    kinds = frozenset({"invoice"})
    _object = "invoice"
    _sql = _INVOICED


class PaymentsTimeline(_ReceivablesTimeline):
    """What an account paid and got back."""

    kinds = frozenset({"payment"})
    _object = "payment"
    _sql = _RECEIVED


class ReceivableUses:
    """`AccountUser`: an account with invoices or payments is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, object_name: str, id: UUID) -> Mapping[str, int]:
        """How many live invoices and payments name the account."""
        if object_name != "account":
            return {}
        rows = {name: f"orders.{name} t WHERE t.account_id = $2" for name in ("invoices", "payments")}
        return await live_uses(self._uow, id, rows)


_TITLES: Final = {
    "invoice": "Invoice",
    "credit_note": "Credit note",
    "payment": "Payment",
    "refund": "Refund",
}

_PANEL = """
SELECT account_id, currency, sum(open) AS open, sum(overdue) AS overdue, sum(unallocated) AS unallocated,
  count(*) FILTER (WHERE open > 0) AS open_invoices, count(*) FILTER (WHERE overdue > 0) AS overdue_invoices
FROM (
  SELECT t.account_id, t.currency,
    CASE WHEN t.kind = 'invoice' THEN t.open_amount ELSE 0 END AS open,
    CASE WHEN t.kind = 'invoice' AND t.due_on < $3::date THEN t.open_amount ELSE 0 END AS overdue,
    CASE WHEN t.kind = 'credit_note' THEN t.open_amount ELSE 0 END AS unallocated
  FROM orders.invoices t
  WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.status IN ('open', 'partly_paid')
  UNION ALL
  SELECT t.account_id, t.currency, 0, 0, t.unallocated FROM orders.payments t
  WHERE t.tenant_id = $1 AND t.account_id = ANY($2::uuid[]) AND t.unallocated > 0 AND t.deleted_at IS NULL
) parts GROUP BY account_id, currency ORDER BY account_id, currency"""
