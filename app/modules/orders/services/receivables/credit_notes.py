"""Credit notes: what corrects an issued invoice, whole or in part, and never by more than is left of it.

A credit note is made and issued in one step. It first takes off what is still open on its invoice; what is more
than that the customer has paid already, and it stays on the account to be used for other invoices or paid back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, InvalidTransition, require_version
from app.kernel.money import Money, half_up
from app.kernel.totals import part
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import Contracts
from app.modules.orders.models.receivables import Invoice, InvoiceKind, InvoiceLine
from app.modules.orders.schemas.receivables import CreditLine, CreditNoteCreate
from app.modules.orders.services.receivables import counters
from app.modules.orders.services.receivables import lines as invoice_lines
from app.modules.orders.services.receivables.errors import NothingToCredit
from app.modules.orders.services.receivables.invoices import ISSUED, InvoiceService
from app.modules.orders.services.receivables.ledger import Ledger
from app.modules.orders.services.receivables.lines import DraftLine


@dataclass(frozen=True, slots=True)
class Credit:
    """So much of a line of an invoice: of its quantity, and of its total in minor units."""

    line: InvoiceLine
    quantity: Decimal
    total: int


class CreditNoteService:
    """Corrects invoices."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._invoices = InvoiceService(uow)
        self._ledger = Ledger(uow)

    async def correct(self, id: UUID, given: CreditNoteCreate, *, expected_version: int) -> Invoice:
        """Credit an invoice: these quantities, this amount, or all that is left.

        Raises: InvalidTransition unless it is an issued invoice; NothingToCredit; StaleVersion; Invalid.
        """
        row = await self._invoices.get(id, action="issue", lock="update")
        require_version(row.version, expected=expected_version)
        lines = await invoice_lines.lines_of(self._uow, id)
        if given.lines is not None:
            parts = _by_quantity(lines, given.lines)
        elif given.amount is not None:
            parts = _by_amount(row, lines, given.amount)
        else:
            parts = [Credit(line, _left(line), line.total - line.credited_total) for line in lines]
        return await self.credit(row, parts, given.reason)

    async def credit(self, row: Invoice, parts: Sequence[Credit], reason: str) -> Invoice:
        """Make and issue a credit note over parts of a locked invoice. The last thing of a transaction.

        Raises: InvalidTransition; NothingToCredit.
        """
        if row.kind != InvoiceKind.INVOICE or row.status not in ISSUED:
            raise InvalidTransition("Only an issued invoice is credited.", state=row.status, allowed=[])
        parts = [one for one in parts if one.total or one.quantity]
        drafts = [_draft(row, one) for one in parts]
        sums = invoice_lines.summed(drafts, row.currency)
        left = row.total - row.credited
        if not drafts or sums.total > left:
            money = Money(left, row.currency)
            raise NothingToCredit(f"{money} of it may still be credited.", left=money.to_wire())
        note = await self._invoices.draft(_head(row, reason), drafts, sums, explicit=())
        await self._count(parts)
        if row.instalment_id is not None:
            # Before the number, as whoever issues an invoice holds it.
            await self._uow.of(Contracts).instalments([row.instalment_id], hold=True)
        note = await self._invoices.number(note, None)
        note = await self._ledger.correct(note, row)
        if row.instalment_id is not None:
            change = Money(-note.total, row.currency)
            await self._uow.of(Contracts).invoiced(row.instalment_id, change)
        return note

    async def _count(self, parts: Sequence[Credit]) -> None:
        await self._uow.fetch(
            "UPDATE orders.invoice_lines l SET credited_quantity = l.credited_quantity + c.quantity,"
            " credited_total = l.credited_total + c.total"
            " FROM unnest($2::uuid[], $3::numeric[], $4::bigint[]) AS c(id, quantity, total)"
            " WHERE l.tenant_id = $1 AND l.id = c.id",
            self._uow.tenant_id,
            [one.line.id for one in parts],
            [one.quantity for one in parts],
            [one.total for one in parts],
        )
        changes = [counters.credited(one.line, one.quantity) for one in parts]
        await counters.count(self._uow, [one for one in changes if one is not None])


def _head(row: Invoice, reason: str) -> dict[str, Any]:
    names = ("account_id", "order_id", "contract_id", "instalment_id", "tax_included", "owner_id", "team_id")
    head = {name: getattr(row, name) for name in names}
    return head | {
        "kind": InvoiceKind.CREDIT_NOTE.value,
        "corrects_id": row.id,
        "reason": reason,
        "reference": row.reference,
    }


def _left(line: InvoiceLine) -> Decimal:
    return line.quantity - line.credited_quantity


def _by_quantity(lines: Sequence[InvoiceLine], given: Sequence[CreditLine]) -> list[Credit]:
    """Of each line so much; the last of a line takes all that is left of its amount."""
    known = {line.id: line for line in lines}
    found: dict[UUID, Credit] = {}
    for place, one in enumerate(given):
        line = known.get(one.invoice_line_id)
        pointer = f"/lines/{place}/invoice_line_id"
        if line is None:
            raise Invalid.at(pointer, "unknown_reference", "The invoice has no line with this id.")
        if line.id in found:
            raise Invalid.at(pointer, "twice", "Name each line once.")
        found[line.id] = credit_of(line, Decimal(one.quantity))
    return list(found.values())


def credit_of(line: InvoiceLine, quantity: Decimal) -> Credit:
    """The credit of so much of a line. Raises `NothingToCredit`, which says how much is left."""
    left, amount = _left(line), line.total - line.credited_total
    if quantity > left:
        raise NothingToCredit(
            f"Only {left:f} of {line.description!r} may still be credited.",
            invoice_line_id=str(line.id),
            left_quantity=f"{left:f}",
        )
    if quantity < left:
        share = half_up(Fraction(line.total) * Fraction(quantity) / Fraction(line.quantity))
        amount = min(amount, share) if amount >= 0 else max(amount, share)
    return Credit(line, quantity, amount)


def _by_amount(row: Invoice, lines: Sequence[InvoiceLine], amount: Money) -> list[Credit]:
    """An amount, tax included, shared out over what is left of the lines."""
    if amount.currency != row.currency:
        raise Invalid.at("/amount/currency", "other_currency", f"The invoice is in {row.currency}.")
    left = [max(0, line.total - line.credited_total) for line in lines]
    if amount.amount_minor > sum(left):
        money = Money(sum(left), row.currency)
        raise NothingToCredit(f"{money} of it may still be credited.", left=money.to_wire())
    shares = amount.allocate(left)
    return [Credit(line, Decimal(0), share.amount_minor) for line, share in zip(lines, shares, strict=True)]


def _draft(row: Invoice, one: Credit) -> DraftLine:
    """A credit's own line: the figures of the invoice's line between what was credited before and after it."""
    line = one.line
    if line.total:
        before, after = (
            Fraction(amount, line.total) for amount in (line.credited_total, line.credited_total + one.total)
        )
    else:
        before, after = (
            Fraction(quantity) / Fraction(line.quantity)
            for quantity in (line.credited_quantity, line.credited_quantity + one.quantity)
        )
    whole = invoice_lines.amounts_of(line, tax_included=row.tax_included)
    amounts = part(whole, before, after, tax_included=row.tax_included)
    return DraftLine(
        description=line.description,
        quantity=one.quantity or Decimal(1),
        unit_price=line.unit_price if one.quantity else Money(amounts.gross, row.currency).to_decimal(),
        tax_rate=line.tax_rate,
        amounts=amounts,
        unit=line.unit if one.quantity else None,
        product_id=line.product_id,
        order_line_id=line.order_line_id,
        corrects_line_id=line.id,
    )
