"""What returned goods were invoiced at is credited, exactly what the return says, and paid back if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from app.kernel.money import Money
from app.kernel.statements import entities, entity
from app.kernel.uow import UnitOfWork
from app.modules.orders.models.receivables import Invoice, InvoiceLine, PaymentMethod
from app.modules.orders.models.returns import Return, ReturnLine
from app.modules.orders.schemas.receivables import RefundCreate
from app.modules.orders.services.receivables.credit_notes import Credit, CreditNoteService, credit_of
from app.modules.orders.services.receivables.settling import SettlingService
from app.modules.orders.services.receivables.tenders import Tenders


async def credit_returned(
    uow: UnitOfWork, row: Return, lines: Sequence[ReturnLine], *, method: PaymentMethod | None
) -> list[Invoice]:
    """A credit note for each invoice on which returned lines stand, the oldest first; the last of a transaction.

    The order is held by the caller. Goods that were not invoiced yet need no credit: they are not invoiced any
    more. With a `method`, what was paid already is paid back that way; what stored value paid of it goes back there,
    unless the actor may pay it out.
    Raises: Forbidden for paying back without the right to.
    """
    if row.order_id is None:
        return []
    if method is not None:
        uow.actor.require("payment:create")
    invoiced = await _invoiced(uow, row.order_id)
    of_invoices = _credits(invoiced, lines)
    notes = []
    for invoice_id, parts in of_invoices.items():
        invoice = await uow.get(Invoice, invoice_id, lock="update")
        note = await CreditNoteService(uow).credit(invoice, parts, f"{row.number}: {row.reason}"[:200])
        if method is not None:
            await _pay_back(uow, note, method)
        notes.append(note)
    return notes


async def _pay_back(uow: UnitOfWork, note: Invoice, method: PaymentMethod) -> None:
    tenders = Tenders(uow)
    left = note.open_amount if tenders.free else await tenders.cash_of_note(note)
    if left:
        given = RefundCreate(method=method, amount=Money(left, note.currency))
        await SettlingService(uow).pay_back(note, left, given)


async def _invoiced(uow: UnitOfWork, order_id: UUID) -> list[InvoiceLine]:
    """Lines of the order's issued invoices, the oldest first, with those invoices held."""
    rows = await uow.fetch(_HOLD, uow.tenant_id, order_id)
    found = await uow.fetch(_LINES, uow.tenant_id, [row["id"] for row in rows])
    return entities(InvoiceLine, found)


def _credits(invoiced: Sequence[InvoiceLine], lines: Sequence[ReturnLine]) -> dict[UUID, list[Credit]]:
    """Which parts of which invoices' lines the returned lines are, by invoice."""
    left = {line.id: line for line in invoiced}
    found: dict[UUID, dict[UUID, Credit]] = {}
    for returned in lines:
        quantity, amount = returned.quantity, returned.total
        for id in [one.id for one in invoiced if one.order_line_id == returned.order_line_id]:
            line = left[id]
            taken = min(quantity, line.quantity - line.credited_quantity)
            if taken <= 0:
                continue
            part = credit_of(line, taken)
            # The last of it takes what the return's amount has left, as far as the invoice's line goes.
            rest = line.total - line.credited_total
            total = min(amount, rest) if taken == quantity else min(amount, part.total)
            quantity, amount = quantity - taken, amount - total
            _add(found.setdefault(line.invoice_id, {}), replace(part, total=total))
            left[id] = _after(line, taken, total)
    return {id: list(parts.values()) for id, parts in found.items()}


def _add(parts: dict[UUID, Credit], one: Credit) -> None:
    """Two returned lines of one invoice's line are credited as one."""
    before = parts.get(one.line.id)
    parts[one.line.id] = (
        one
        if before is None
        else Credit(before.line, before.quantity + one.quantity, before.total + one.total)
    )


def _after(line: InvoiceLine, quantity: Decimal, total: int) -> InvoiceLine:
    counted = {
        "credited_quantity": line.credited_quantity + quantity,
        "credited_total": line.credited_total + total,
    }
    return entity(InvoiceLine, {**line.__dict__, **counted})


_HOLD = """
SELECT id FROM orders.invoices
WHERE tenant_id = $1 AND order_id = $2 AND kind = 'invoice' AND number IS NOT NULL
ORDER BY id FOR NO KEY UPDATE"""

_LINES = """
SELECT * FROM orders.invoice_lines
WHERE tenant_id = $1 AND invoice_id = ANY($2::uuid[]) AND order_line_id IS NOT NULL
ORDER BY invoice_id, position"""
