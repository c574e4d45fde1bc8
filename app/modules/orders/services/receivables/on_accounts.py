"""What receivables add to accounts: a panel, and a guard against deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.money import money_dict
from app.kernel.uow import UnitOfWork


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


class ReceivableUses:
    """`AccountUser`: an account with invoices or payments is not deleted."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def uses(self, object_name: str, id: UUID) -> Mapping[str, int]:
        """How many live invoices and payments name the account."""
        if object_name != "account":
            return {}
        row = await self._uow.fetchrow(_USES, self._uow.tenant_id, id)
        return {name: count for name, count in row.items() if count} if row else {}


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

_USES = """
SELECT
  (SELECT count(*) FROM orders.invoices t
   WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.deleted_at IS NULL) AS invoices,
  (SELECT count(*) FROM orders.payments t
   WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.deleted_at IS NULL) AS payments"""
