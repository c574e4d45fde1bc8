"""Invoices of orders: what was shipped, everything, a part in advance, or quantities of lines.

Each order line counts what of it is invoiced, net of what was credited by quantity, and what that came to. An
invoice takes the difference between the line's amounts up to the new quantity and what has been invoiced so far:
however an order is invoiced in parts, the parts sum to the order, and never to more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.decimals import decimal_text
from app.kernel.errors import Invalid, InvalidTransition
from app.kernel.money import Money, half_up
from app.kernel.records import RecordService
from app.kernel.statements import entities
from app.kernel.totals import LineTotal
from app.kernel.uow import UnitOfWork
from app.modules.orders.models.orders import Order, OrderLine, OrderStatus
from app.modules.orders.models.receivables import Invoice
from app.modules.orders.schemas.receivables import (
    InvoicedAs,
    OrderInvoice,
    OrderInvoiceRead,
    OrderPaymentRead,
    OrderReceivables,
    PaymentState,
)
from app.modules.orders.services.orders import OrderService
from app.modules.orders.services.receivables.counters import BACK, TO_INVOICE, Counted, count
from app.modules.orders.services.receivables.errors import NothingToInvoice
from app.modules.orders.services.receivables.invoices import InvoiceService
from app.modules.orders.services.receivables.lines import DraftLine, summed
from app.modules.orders.services.receivables.payments import PaymentService
from app.modules.orders.services.receivables.shown import require_amounts

BILLABLE = (OrderStatus.CONFIRMED, OrderStatus.IN_FULFILMENT, OrderStatus.FULFILLED, OrderStatus.CLOSED)
Refunded = Mapping[UUID, Decimal]
"""How much of each line came back for its money; what was replaced or repaired is still paid for."""
_HEAD = ("account_id", "contract_id", "tax_included", "owner_id", "team_id")


class OrderBilling:
    """Drafts invoices of orders, and says how an order stands."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._orders = OrderService(uow)

    async def draft(self, given: OrderInvoice) -> Invoice:
        """A draft over parts of an order, which nobody else can invoice meanwhile.

        Raises: Invalid; InvalidTransition for an order that is not confirmed or was cancelled; NothingToInvoice.
        """
        uow = self._uow
        # The order is held first, as by everybody who acts on it.
        held = (
            await self._orders.get_many([given.order_id], lock="update")
            if uow.actor.may("order:read")
            else {}
        )
        if given.order_id not in held:
            raise Invalid.at("/order_id", "unknown_reference", "There is no order with this id.")
        order = held[given.order_id]
        if order.status not in BILLABLE:
            raise InvalidTransition(f"The order is {order.status}.", state=order.status, allowed=[])
        rows = await uow.fetch(_LINES, uow.tenant_id, order.id)
        lines = entities(OrderLine, rows)
        back = {row["id"]: row["quantity"] for row in await uow.fetch(_REFUNDED, uow.tenant_id, order.id)}
        parts = [(line, quantity) for line, quantity in _quantities(lines, given, back) if quantity > 0]
        if not parts:
            raise NothingToInvoice("Nothing of this order is left to invoice that way.")
        suffix = f" ({decimal_text(Decimal(given.percent))} %)" if given.percent else ""
        drafts = [_draft(order, line, quantity, suffix) for line, quantity in parts]
        sums = summed(drafts, order.currency)
        if sums.total < 0:
            raise Invalid.at("/lines", "negative", "An invoice does not come to less than nothing.")
        head = {name: getattr(order, name) for name in _HEAD}
        head |= {"order_id": order.id, "reference": order.customer_reference, "due_on": given.due_on}
        made = await InvoiceService(uow).draft(head, drafts, sums, explicit=())
        await count(
            uow,
            [
                Counted(line.id, quantity, draft.amounts.total, draft.amounts.tax)
                for (line, quantity), draft in zip(parts, drafts, strict=True)
            ],
        )
        return made

    async def of(self, order_id: UUID) -> OrderReceivables:
        """What of a visible order is invoiced and paid, by which of the invoices and payments that the actor sees.

        Raises: NotFound; Forbidden where amounts are hidden from the actor.
        """
        order = await self._orders.get(order_id)
        uow = self._uow
        require_amounts(uow.actor, "order")
        invoices = await uow.fetch(_INVOICES, uow.tenant_id, order_id)
        seen = await self._seen(InvoiceService(uow), [row["id"] for row in invoices])
        payments = await uow.fetch(_PAYMENTS, uow.tenant_id, order_id)
        received = await self._seen(PaymentService(uow), [row["id"] for row in payments])
        counted = await uow.fetchrow(_COUNTED, uow.tenant_id, order_id)
        assert counted is not None  # noqa: S101 - an aggregate always answers

        def money(amount: int) -> Money:
            return Money(amount, order.currency)

        issued = [row for row in invoices if row["kind"] == "invoice" and row["number"] is not None]
        paid = sum(row["paid"] for row in issued)
        still_open = sum(row["open_amount"] for row in issued)
        to_invoice = int(counted["to_invoice"])
        return OrderReceivables(
            order_id=order_id,
            total=money(order.total),
            invoiced=money(sum(row["total"] - row["credited"] for row in issued)),
            to_invoice=money(to_invoice),
            paid=money(paid),
            open=money(still_open),
            payment_status=_state(paid=paid, settled=bool(issued) and not still_open and not to_invoice),
            invoices=[_invoice(row, order.currency) for row in invoices if row["id"] in seen],
            payments=[_payment(row, order.currency) for row in payments if row["id"] in received],
        )

    async def _seen(self, service: RecordService[Any], ids: Sequence[UUID]) -> Collection[UUID]:
        """Those of these records that the actor sees, with their amounts."""
        name = service.record.object
        if not ids or not self._uow.actor.may(f"{name}:read"):
            return ()
        hidden = self._uow.actor.hidden(name) & {"total", "open_amount", "amount"}
        return () if hidden else (await service.get_many(ids)).keys()


def _invoice(row: Any, currency: str) -> OrderInvoiceRead:
    return OrderInvoiceRead(
        id=row["id"],
        number=row["number"],
        kind=row["kind"],
        status=row["status"],
        total=Money(row["total"], currency),
        open_amount=Money(row["open_amount"], currency),
        due_on=row["due_on"],
    )


def _payment(row: Any, currency: str) -> OrderPaymentRead:
    return OrderPaymentRead(
        id=row["id"],
        number=row["number"],
        received_on=row["received_on"],
        amount=Money(int(row["amount"]), currency),
    )


def _state(*, paid: int, settled: bool) -> PaymentState:
    """Nothing is owed for what was invoiced and credited again, whoever paid for it."""
    if settled:
        return "paid"
    return "partly_paid" if paid else "unpaid"


def _left(line: OrderLine, refunded: Refunded) -> Decimal:
    return line.quantity - line.cancelled - refunded.get(line.id, Decimal(0)) - line.invoiced


def _quantities(
    lines: Sequence[OrderLine], given: OrderInvoice, refunded: Refunded
) -> Iterable[tuple[OrderLine, Decimal]]:
    """How much of each line is invoiced now."""
    if given.lines is not None:
        return _named({line.id: line for line in lines}, given, refunded)
    if given.percent is not None:
        share = Decimal(given.percent) / 100
        return [
            (line, min(_left(line, refunded), (line.quantity - line.cancelled) * share)) for line in lines
        ]
    if given.what is InvoicedAs.SHIPPED:
        return [(line, _left(line, refunded) - line.open) for line in lines]
    return [(line, _left(line, refunded)) for line in lines]


def _named(
    lines: Mapping[UUID, OrderLine], given: OrderInvoice, refunded: Refunded
) -> list[tuple[OrderLine, Decimal]]:
    found: dict[UUID, tuple[OrderLine, Decimal]] = {}
    for place, one in enumerate(given.lines or ()):
        pointer = f"/lines/{place}"
        line = lines.get(one.order_line_id)
        if line is None:
            raise Invalid.at(f"{pointer}/order_line_id", "unknown_reference", "The order has no such line.")
        if line.id in found:
            raise Invalid.at(f"{pointer}/order_line_id", "twice", "Name each line once.")
        quantity, left = Decimal(one.quantity), max(Decimal(0), _left(line, refunded))
        if quantity > left:
            raise NothingToInvoice(
                f"Only {decimal_text(left)} of {line.description!r} is left to invoice.",
                order_line_id=str(line.id),
                left=decimal_text(left),
            )
        found[line.id] = (line, quantity)
    return list(found.values())


def _draft(order: Order, line: OrderLine, quantity: Decimal, suffix: str) -> DraftLine:
    return DraftLine(
        description=(line.description + suffix)[:400],
        quantity=quantity,
        unit_price=line.unit_price,
        tax_rate=line.tax_rate,
        amounts=_part(line, quantity, tax_included=order.tax_included),
        unit=line.unit,
        product_id=line.product_id,
        order_line_id=line.id,
    )


def _part(line: OrderLine, quantity: Decimal, *, tax_included: bool) -> LineTotal:
    """The line up to the new quantity, less what has been invoiced of it."""
    ordered = Fraction(line.quantity - line.cancelled)
    before, after = Fraction(line.invoiced) / ordered, Fraction(line.invoiced + quantity) / ordered
    amount = half_up(line.total * after) - line.invoiced_total
    tax = half_up(line.tax * after) - line.invoiced_tax
    header, discount = (
        half_up(whole * after) - half_up(whole * before) for whole in (line.header_discount, line.discount)
    )
    net = amount - tax
    subtotal = (amount if tax_included else net) + header
    return LineTotal(subtotal + discount, discount, subtotal, header, net, tax, amount)


_LINES = """
SELECT * FROM orders.order_lines WHERE tenant_id = $1 AND order_id = $2 ORDER BY position FOR NO KEY UPDATE"""

_REFUNDED = """
SELECT l.order_line_id AS id, sum(l.quantity) AS quantity FROM orders.returns r
JOIN orders.return_lines l ON l.tenant_id = r.tenant_id AND l.return_id = r.id
WHERE r.tenant_id = $1 AND r.order_id = $2 AND r.status = 'refunded' AND r.deleted_at IS NULL
  AND l.order_line_id IS NOT NULL
GROUP BY l.order_line_id"""

_INVOICES = """
SELECT id, number, kind, status, total, credited, paid, open_amount, due_on FROM orders.invoices
WHERE tenant_id = $1 AND order_id = $2 AND deleted_at IS NULL ORDER BY id"""

_PAYMENTS = """
SELECT p.id, p.number, p.received_on, sum(a.amount) AS amount
FROM orders.invoices i
JOIN orders.allocations a ON a.tenant_id = i.tenant_id AND a.invoice_id = i.id
JOIN orders.payments p ON p.tenant_id = a.tenant_id AND p.id = a.payment_id
WHERE i.tenant_id = $1 AND i.order_id = $2 AND i.deleted_at IS NULL
GROUP BY p.id, p.number, p.received_on HAVING sum(a.amount) <> 0 ORDER BY p.received_on, p.id"""

_COUNTED = f"""
SELECT {TO_INVOICE} AS to_invoice FROM orders.order_lines l{BACK}
WHERE l.tenant_id = $1 AND l.order_id = $2"""
