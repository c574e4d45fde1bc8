"""What was settled with which: the only place that writes allocations and the figures that follow from them.

Allocations are append-only; taking one back is a row with the opposite amount. Both sides are locked by the caller:
payments before invoices, each in the order of their ids. For every payment the allocations and what is unallocated
sum to its amount, for every invoice the allocations are what is settled, and never more than its total.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from app.kernel.ids import new_id
from app.kernel.money import Money
from app.kernel.records import RecordService
from app.kernel.statements import entity
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import Contracts
from app.modules.orders.models.receivables import (
    Allocation,
    Invoice,
    InvoiceKind,
    Payment,
)
from app.modules.orders.services.receivables.errors import AllocationExceeded, AllocationFinal, NotAllocatable
from app.modules.orders.services.receivables.invoices import (
    CREDITED,
    ISSUED,
    PAID,
    InvoiceService,
    status_of,
    tell_paid,
)

Source = Payment | Invoice
"""What settles: a payment, or a credit note."""


@dataclass(frozen=True, slots=True)
class Settling:
    """So much of the source for one invoice or refund; with `reverses` it takes an allocation back."""

    target: Invoice | Payment
    amount: int
    reverses: Allocation | None = None


class Ledger:
    """Allocates locked payments and credit notes to locked invoices and new refunds."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._invoices = InvoiceService(uow)
        # By name, for payments themselves use the ledger.
        self._payments: RecordService[Any] = uow.kernel.registry.records["payment"].service(uow)

    async def settle(self, source: Source, settlings: Sequence[Settling]) -> Source:
        """Write these allocations of one source; the source as it is then.

        Raises: NotAllocatable; AllocationExceeded, which says what is left.
        """
        settlings = [one for one in settlings if one.amount]
        if not settlings:
            return source
        self._check(source, settlings)
        rows = [self._row(source, one) for one in settlings]
        await self._uow.insert_many(Allocation, rows)
        for one in settlings:
            if isinstance(one.target, Invoice):
                await self.book(one.target, one.amount)
        return await self._use(source, sum(one.amount for one in settlings))

    async def correct(self, note: Invoice, row: Invoice) -> Invoice:
        """A new credit note takes off what is open of its invoice; what is more stays on the account."""
        applied = min(row.open_amount, note.total)
        if applied:
            await self._uow.insert_many(Allocation, [self._row(note, Settling(row, applied))])
        await self.book(row, applied, credited=note.total)
        return await self.book(note, applied)

    async def take_back(
        self, source: Source, one: Allocation, target: Invoice, instead: Sequence[tuple[Invoice, int]]
    ) -> tuple[Source, Invoice]:
        """Undo an allocation to an invoice; these parts of its own credit notes take its place.

        Raises: AllocationFinal where what was paid had been credited, and was used or paid back since.
        """
        change = sum(amount for _, amount in instead) - one.amount
        if target.settled + change < target.credited:
            raise AllocationFinal("What was paid was credited and has been used or paid back since.")
        rows = [self._row(note, Settling(target, amount)) for note, amount in instead]
        back = self._row(source, Settling(target, -one.amount, reverses=one))
        await self._uow.insert_many(Allocation, [*rows, back])
        target = await self.book(target, change)
        for note, amount in instead:
            await self.book(note, amount)
        return await self._use(source, -one.amount), target

    async def give_back(self, refund: Payment) -> None:
        """Before a refund goes: what it was paid from has that again."""
        for one in await standing(self._uow, "refund_id", refund.id):
            source: Source
            if one.payment_id is not None:
                source = await self._uow.get(Payment, one.payment_id, lock="update")
            else:
                assert one.credit_note_id is not None  # noqa: S101 - it is one of the two
                source = await self._uow.get(Invoice, one.credit_note_id, lock="update")
            await self.settle(source, [Settling(refund, -one.amount, reverses=one)])

    async def _use(self, source: Source, amount: int) -> Source:
        if isinstance(source, Invoice):
            return await self.book(source, amount)
        changes = {"unallocated": source.unallocated - amount}
        after: Payment = await self._payments.write(source, changes, action="allocated")
        return after

    async def book(self, row: Invoice, amount: int, *, credited: int = 0) -> Invoice:
        """Change what is settled of an invoice, and what of it was credited; its status and its instalment follow."""
        if not amount and not credited:
            return row
        settled, credit = row.settled + amount, row.credited + credited
        status = status_of(total=row.total, settled=settled, credited=credit)
        closed = status in (PAID, CREDITED)
        changes: dict[str, Any] = {
            "settled": settled,
            "credited": credit,
            "paid": settled - credit,
            "open_amount": row.total - settled,
            "status": status.value,
            "settled_on": (row.settled_on or self._invoices.today) if closed else None,
        }
        after = await self._invoices.write(row, changes, action="settled")
        if row.kind == InvoiceKind.INVOICE:
            if row.instalment_id is not None and after.paid != row.paid:
                change = Money(after.paid - row.paid, row.currency)
                await self._uow.of(Contracts).paid(row.instalment_id, change)
            if status is PAID and row.status not in (PAID, CREDITED):
                tell_paid(self._uow, after)
        return after

    def _check(self, source: Source, settlings: Sequence[Settling]) -> None:
        left = source.unallocated if isinstance(source, Payment) else source.open_amount
        wanted = sum(one.amount for one in settlings)
        if wanted > left:
            raise _exceeded(left, source.currency)
        for one in settlings:
            target = one.target
            if target.account_id != source.account_id or target.currency != source.currency:
                raise NotAllocatable("Both are of one account and in one currency.")
            if isinstance(target, Payment):
                continue
            if target.kind != InvoiceKind.INVOICE or target.status not in ISSUED:
                raise NotAllocatable(f"Invoice {target.id} is no open invoice.", state=target.status)
            if one.amount > target.open_amount:
                raise _exceeded(target.open_amount, target.currency)

    def _row(self, source: Source, one: Settling) -> dict[str, Any]:
        of_payment, for_invoice = isinstance(source, Payment), isinstance(one.target, Invoice)
        counts_on = one.reverses.counts_on if one.reverses else max(day_of(source), day_of(one.target))
        return {
            "id": new_id(),
            "payment_id": source.id if of_payment else None,
            "credit_note_id": None if of_payment else source.id,
            "invoice_id": one.target.id if for_invoice else None,
            "refund_id": None if for_invoice else one.target.id,
            "amount": one.amount,
            "currency": source.currency,
            "counts_on": counts_on,
            "reverses_id": one.reverses.id if one.reverses else None,
            "created_at": self._uow.now,
            "created_by": self._uow.actor.member_id,
        }


def day_of(row: Source) -> date:
    """When it came to be: received, paid back or issued."""
    if isinstance(row, Payment):
        return row.received_on
    assert row.issued_on is not None  # noqa: S101 - only what was issued is settled
    return row.issued_on


def _exceeded(left: int, currency: str) -> AllocationExceeded:
    money = Money(left, currency)
    return AllocationExceeded(f"Only {money} is left.", left=money.to_wire())


async def standing(uow: UnitOfWork, column: str, id: UUID) -> list[Allocation]:
    """The allocations of a payment, credit note, invoice or refund that were not taken back, oldest first."""
    rows = await uow.fetch(_STANDING.format(column=column), uow.tenant_id, id)
    return [entity(Allocation, row) for row in rows]


async def all_of(uow: UnitOfWork, columns: Sequence[str], id: UUID) -> list[asyncpg.Record]:
    """Everything that was allocated to or from something, and taken back; oldest first."""
    where = " OR ".join(f"a.{column} = $2" for column in columns)
    return await uow.fetch(_ALL.format(where=where), uow.tenant_id, id)


_STANDING = """
SELECT a.* FROM orders.allocations a
WHERE a.tenant_id = $1 AND a.{column} = $2 AND a.amount > 0
  AND NOT EXISTS (SELECT 1 FROM orders.allocations r WHERE r.tenant_id = $1 AND r.reverses_id = a.id)
ORDER BY a.id"""

_ALL = """
SELECT a.*, EXISTS (SELECT 1 FROM orders.allocations r WHERE r.tenant_id = $1 AND r.reverses_id = a.id) AS reversed
FROM orders.allocations a WHERE a.tenant_id = $1 AND ({where}) ORDER BY a.id"""
