"""What of order lines is invoiced: counted up by drafts of invoices, down by drafts given up and by credit notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.money import half_up
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.modules.orders.models.orders import OrderLine
from app.modules.orders.models.receivables import Invoice, InvoiceLine
from app.modules.orders.services.receivables.errors import OrderInvoiced


@dataclass(frozen=True, slots=True)
class Counted:
    """What an order line's counters change by."""

    order_line_id: UUID
    quantity: Decimal
    total: int
    tax: int


async def count(uow: UnitOfWork, parts: Sequence[Counted]) -> None:
    """Add to what is invoiced of order lines, or, negative, take from it."""
    if parts:
        await uow.fetch(
            _COUNT,
            uow.tenant_id,
            [one.order_line_id for one in parts],
            [one.quantity for one in parts],
            [one.total for one in parts],
            [one.tax for one in parts],
        )


async def release(uow: UnitOfWork, invoice: Invoice) -> None:
    """A draft is given up: what it was made of may be invoiced again."""
    if invoice.order_id is not None:
        await uow.fetch(_RELEASE, uow.tenant_id, invoice.id)


def credited(line: InvoiceLine, quantity: Decimal) -> Counted | None:
    """What a credit of so much of an invoice's line gives back to the order, at the price it was invoiced at.

    What is credited by amount alone lowers the price, and is not invoiced again.
    """
    if line.order_line_id is None or not quantity:
        return None
    before = Fraction(line.credited_quantity) / Fraction(line.quantity)
    after = Fraction(line.credited_quantity + quantity) / Fraction(line.quantity)
    total, tax = (half_up(whole * after) - half_up(whole * before) for whole in (line.total, line.tax))
    return Counted(line.order_line_id, -quantity, -total, -tax)


def require_uninvoiced(lines: Iterable[OrderLine], cancelled: Mapping[UUID, Decimal]) -> None:
    """What is invoiced is credited before it is cancelled. Raises `OrderInvoiced`."""
    for line in lines:
        left = line.quantity - line.cancelled - cancelled.get(line.id, Decimal(0))
        if line.invoiced > left:
            raise OrderInvoiced(
                f"{decimal_text(line.invoiced)} of {line.description!r} is invoiced.",
                order_line_id=str(line.id),
            )


BACK = """
LEFT JOIN LATERAL (
  SELECT coalesce(sum(b.quantity), 0) AS quantity FROM orders.returns r
  JOIN orders.return_lines b ON b.tenant_id = r.tenant_id AND b.return_id = r.id
  WHERE r.tenant_id = $1 AND r.order_id = l.order_id AND r.status = 'refunded' AND r.deleted_at IS NULL
    AND b.order_line_id = l.id
) back ON true"""
"""Joins to an order line `l` how much of it came back for its money."""

TO_INVOICE = """
greatest(0, coalesce(sum(
  round(l.total * (l.quantity - l.cancelled - back.quantity) / (l.quantity - l.cancelled)) - l.invoiced_total
) FILTER (WHERE l.quantity - l.cancelled - back.quantity > l.invoiced), 0))::bigint"""
"""What of order lines is still to be invoiced, minor units: what was returned for its money is not."""

_COUNT = """
UPDATE orders.order_lines l SET invoiced = l.invoiced + n.quantity, invoiced_total = l.invoiced_total + n.total,
  invoiced_tax = l.invoiced_tax + n.tax
FROM unnest($2::uuid[], $3::numeric[], $4::bigint[], $5::bigint[]) AS n(id, quantity, total, tax)
WHERE l.tenant_id = $1 AND l.id = n.id"""

_RELEASE = f"""
WITH line AS (
  SELECT order_line_id AS id, quantity, total, tax FROM orders.invoice_lines WHERE tenant_id = $1 AND invoice_id = $2
)
UPDATE orders.order_lines l SET invoiced = l.invoiced - line.quantity, invoiced_total = l.invoiced_total - line.total,
  invoiced_tax = l.invoiced_tax - line.tax
FROM {rows_of("line", "id", "quantity", "total", "tax")}
WHERE l.tenant_id = $1 AND l.id = line.id"""
