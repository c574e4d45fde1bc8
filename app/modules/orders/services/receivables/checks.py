"""Recomputes what orders, invoices and payments come to from what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.kernel.money_checks import Difference
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import Contracts

_BATCH = 1_000


class ReceivablesCheck:
    """`MoneyCheck` of this module."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def differences(self) -> Sequence[Difference]:
        found: list[Difference] = []
        for rule, (object_name, sql) in _RULES.items():
            rows = await self._uow.fetch(sql, self._uow.tenant_id)
            found += [
                Difference(rule, object_name, row["id"], str(row["stored"]), str(row["computed"]))
                for row in rows
            ]
        return found + await self._instalments()

    async def _instalments(self) -> list[Difference]:
        """What contracts count as invoiced and paid of their plans is what their invoices say."""
        rows = await self._uow.fetch(_INSTALMENTS, self._uow.tenant_id)
        sums = {row["instalment_id"]: (int(row["invoiced"]), int(row["paid"])) for row in rows}
        ids = list(sums)
        found: list[Difference] = []
        for start in range(0, len(ids), _BATCH):
            known = await self._uow.of(Contracts).instalments(ids[start : start + _BATCH])
            for id, one in known.items():
                stored = (one.invoiced.amount_minor, one.paid.amount_minor)
                found += _compared(id, ("invoiced", "paid"), stored, sums[id])
        return found


def _compared(
    id: UUID, names: tuple[str, ...], stored: tuple[int, ...], computed: tuple[int, ...]
) -> list[Difference]:
    return [
        Difference(
            f"what is {name} of an instalment is what its invoices say", "instalment", id, str(a), str(b)
        )
        for name, a, b in zip(names, stored, computed, strict=True)
        if a != b
    ]


_RULES: dict[str, tuple[str, str]] = {
    "allocations and what is unallocated are the payment": (
        "payment",
        """
SELECT p.id, CASE WHEN p.deleted_at IS NULL OR p.kind = 'payment' THEN p.amount ELSE 0 END AS stored,
  coalesce(a.amount, 0) + p.unallocated AS computed
FROM orders.payments p
LEFT JOIN (
  SELECT id, sum(amount) AS amount FROM (
    SELECT payment_id AS id, amount FROM orders.allocations WHERE tenant_id = $1 AND payment_id IS NOT NULL
    UNION ALL SELECT refund_id, amount FROM orders.allocations WHERE tenant_id = $1 AND refund_id IS NOT NULL
  ) s GROUP BY id
) a ON a.id = p.id
WHERE p.tenant_id = $1 AND coalesce(a.amount, 0) + p.unallocated
  <> CASE WHEN p.deleted_at IS NULL OR p.kind = 'payment' THEN p.amount ELSE 0 END
ORDER BY p.id""",
    ),
    "allocations are what is settled of the invoice, and the rest is open": (
        "invoice",
        """
SELECT i.id, i.settled || ' settled, ' || i.open_amount || ' open' AS stored,
  coalesce(a.amount, 0) || ' settled, ' || i.total - coalesce(a.amount, 0) || ' open' AS computed
FROM orders.invoices i
LEFT JOIN (
  SELECT id, sum(amount) AS amount FROM (
    SELECT invoice_id AS id, amount FROM orders.allocations WHERE tenant_id = $1 AND invoice_id IS NOT NULL
    UNION ALL SELECT credit_note_id, amount FROM orders.allocations
    WHERE tenant_id = $1 AND credit_note_id IS NOT NULL
  ) s GROUP BY id
) a ON a.id = i.id
WHERE i.tenant_id = $1
  AND (i.settled <> coalesce(a.amount, 0) OR i.open_amount <> i.total - coalesce(a.amount, 0))
ORDER BY i.id""",
    ),
    "lines are the invoice": (
        "invoice",
        """
SELECT i.id, i.net || ' + ' || i.tax || ' = ' || i.total AS stored,
  coalesce(sum(l.net), 0) || ' + ' || coalesce(sum(l.tax), 0) || ' = ' || coalesce(sum(l.total), 0) AS computed
FROM orders.invoices i
LEFT JOIN orders.invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
WHERE i.tenant_id = $1 AND i.deleted_at IS NULL GROUP BY i.id, i.net, i.tax, i.total
HAVING (i.net, i.tax, i.total) IS DISTINCT FROM
  (coalesce(sum(l.net), 0), coalesce(sum(l.tax), 0), coalesce(sum(l.total), 0))
ORDER BY i.id""",
    ),
    "credit notes are what is credited of the invoice": (
        "invoice",
        """
SELECT i.id, i.credited AS stored, coalesce(sum(c.total), 0) AS computed FROM orders.invoices i
LEFT JOIN orders.invoices c ON c.tenant_id = i.tenant_id AND c.corrects_id = i.id AND c.number IS NOT NULL
WHERE i.tenant_id = $1 AND i.kind = 'invoice' GROUP BY i.id, i.credited
HAVING i.credited <> coalesce(sum(c.total), 0) ORDER BY i.id""",
    ),
    "lines of credit notes are what is credited of the line": (
        "invoice_line",
        """
SELECT l.id, l.credited_total AS stored, coalesce(sum(c.total), 0) AS computed FROM orders.invoice_lines l
LEFT JOIN orders.invoice_lines c ON c.tenant_id = l.tenant_id AND c.corrects_line_id = l.id
WHERE l.tenant_id = $1 GROUP BY l.id, l.credited_total
HAVING l.credited_total <> coalesce(sum(c.total), 0) ORDER BY l.id""",
    ),
    "lines are the order": (
        "order",
        """
SELECT o.id, o.net || ' + ' || o.tax || ' = ' || o.total AS stored,
  coalesce(sum(l.net), 0) || ' + ' || coalesce(sum(l.tax), 0) || ' = ' || coalesce(sum(l.total), 0) AS computed
FROM orders.orders o
LEFT JOIN orders.order_lines l ON l.tenant_id = o.tenant_id AND l.order_id = o.id
WHERE o.tenant_id = $1 AND o.deleted_at IS NULL
GROUP BY o.id, o.gross, o.discount, o.subtotal, o.header_discount, o.net, o.tax, o.total
HAVING (o.gross, o.discount, o.subtotal, o.header_discount, o.net, o.tax, o.total) IS DISTINCT FROM
  (coalesce(sum(l.gross), 0), coalesce(sum(l.discount), 0), coalesce(sum(l.subtotal), 0),
   coalesce(sum(l.header_discount), 0), coalesce(sum(l.net), 0), coalesce(sum(l.tax), 0), coalesce(sum(l.total), 0))
ORDER BY o.id""",
    ),
    "benefits are what they take off lines and the order": (
        "order",
        """
SELECT o.id, concat_ws(' ', o.benefit_discount, l.lines) AS stored, b.steps::text AS computed
FROM orders.orders o
CROSS JOIN LATERAL (
  SELECT coalesce(sum((step ->> 'discount')::bigint), 0)::bigint AS steps FROM jsonb_array_elements(o.benefits) step
) b
CROSS JOIN LATERAL (
  SELECT coalesce(sum(benefit_discount), 0)::bigint AS lines FROM orders.order_lines
  WHERE tenant_id = $1 AND order_id = o.id
) l
WHERE o.tenant_id = $1 AND o.deleted_at IS NULL AND (o.benefit_discount <> l.lines OR o.benefit_discount <> b.steps)
ORDER BY o.id""",
    ),
    "invoices less what was credited are what is invoiced of the order's line": (
        "order_line",
        """
SELECT l.id, l.invoiced AS stored, coalesce(i.quantity, 0) AS computed FROM orders.order_lines l
LEFT JOIN (
  SELECT x.order_line_id, sum(x.quantity - x.credited_quantity) AS quantity FROM orders.invoice_lines x
  JOIN orders.invoices i ON i.tenant_id = x.tenant_id AND i.id = x.invoice_id
  WHERE x.tenant_id = $1 AND x.order_line_id IS NOT NULL AND i.kind = 'invoice' AND i.status <> 'void'
    AND i.deleted_at IS NULL
  GROUP BY x.order_line_id
) i ON i.order_line_id = l.id
WHERE l.tenant_id = $1 AND l.invoiced <> coalesce(i.quantity, 0) ORDER BY l.id""",
    ),
}

_INSTALMENTS = """
SELECT instalment_id, sum(total - credited) AS invoiced, sum(paid) AS paid FROM orders.invoices
WHERE tenant_id = $1 AND instalment_id IS NOT NULL AND kind = 'invoice' AND number IS NOT NULL
GROUP BY instalment_id"""
