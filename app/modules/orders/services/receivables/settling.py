"""Settling invoices with payments and credit notes, taking that back, and paying back what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from app.kernel.access import visible_rows
from app.kernel.errors import Invalid, require_version
from app.kernel.listing import Bindings
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.orders.models.receivables import Allocation, Invoice, InvoiceKind, Payment, PaymentKind
from app.modules.orders.schemas.receivables import (
    MOST_SHARES,
    Allocate,
    AllocationRead,
    Allocations,
    Deallocate,
    RefundCreate,
)
from app.modules.orders.services.receivables.errors import (
    AllocationExceeded,
    AllocationFinal,
    NotAllocatable,
)
from app.modules.orders.services.receivables.invoices import ISSUED, InvoiceService
from app.modules.orders.services.receivables.ledger import Ledger, Settling, Source, all_of, standing
from app.modules.orders.services.receivables.payments import PaymentService
from app.modules.orders.services.receivables.shown import require_amounts
from app.modules.orders.services.receivables.tenders import Tenders


class SettlingService:
    """What a member does with a payment or a credit note."""

    def __init__(self, uow: UnitOfWork, payments: PaymentService | None = None) -> None:
        self._uow = uow
        self._invoices = InvoiceService(uow)
        self._payments = payments or PaymentService(uow)
        self._ledger = Ledger(uow)
        self._tenders = Tenders(uow)

    # -- settling ------------------------------------------------------------------------------------------

    async def allocate_payment(self, id: UUID, given: Allocate, *, expected_version: int) -> Payment:
        """Settle invoices with a payment. Raises `NotAllocatable`, `AllocationExceeded`, `StaleVersion`;
        `PaidFromStoredValue` where other cash could be paid out in place of what stored value took the place of.
        """
        row = await self._payment(id, expected_version)
        after = await self._allocate(row, given, row.unallocated)
        assert isinstance(after, Payment)  # noqa: S101 - what goes in comes out
        return after

    async def allocate_credit_note(self, id: UUID, given: Allocate, *, expected_version: int) -> Invoice:
        """Settle invoices with what is left of a credit note.

        Raises as `allocate_payment`; `PaidFromStoredValue` for what goes back to stored value rather than to
        invoices of other orders.
        """
        # Both sides are invoices: whoever needs several locks them in the order of their ids.
        seen = await self._invoices.get(id)
        ids = await self._wanted(seen, given)
        held = await self._invoices.get_many([id, *ids], lock="update")
        row = await self._credit_note(id, expected_version)
        shares = await self._cash_elsewhere(row, self._shares(held, ids, given, row.open_amount))
        after = await self._ledger.settle(row, shares)
        assert isinstance(after, Invoice)  # noqa: S101 - as above
        return after

    async def _cash_elsewhere(self, note: Invoice, shares: list[Settling]) -> list[Settling]:
        """Raises `PaidFromStoredValue` where stored value would settle what other papers say."""
        elsewhere = sum(one.amount for one in shares if not _of_one_order(note, one.target))
        if elsewhere:
            await self._tenders.require_cash(note, elsewhere)
        return shares

    async def _allocate(self, source: Payment, given: Allocate, left: int) -> Source:
        ids = await self._wanted(source, given)
        rooms = await self._tenders.rooms(source, ids)
        held = await self._invoices.get_many(ids, lock="update")
        shares = self._shares(held, ids, given, left)
        if rooms is not None:
            amounts = [(one.target.id, one.amount) for one in shares]
            fitting = rooms.fitting(amounts, cut=given.allocations is None)
            shares = [replace(one, amount=part) for one, part in zip(shares, fitting, strict=True)]
        return await self._ledger.settle(source, shares)

    async def _wanted(self, source: Source, given: Allocate) -> list[UUID]:
        """The invoices that were named, or the open ones of the account, the first due first."""
        if given.allocations is not None:
            return [share.invoice_id for share in given.allocations]
        bind = Bindings(self._uow.tenant_id, source.account_id, source.currency, MOST_SHARES)
        visible = visible_rows(self._uow.actor, "invoice", "read", bind)
        rows = await self._uow.fetch(_OPEN.format(visible=f" AND {visible}" if visible else ""), *bind.values)
        return [row["id"] for row in rows]

    def _shares(
        self, held: dict[UUID, Invoice], ids: Sequence[UUID], given: Allocate, left: int
    ) -> list[Settling]:
        if given.allocations is None:
            found = []
            for row in (held[id] for id in ids if id in held and held[id].status in ISSUED):
                amount = min(left, row.open_amount)
                left -= amount
                found.append(Settling(row, amount))
            return found
        for place, share in enumerate(given.allocations):
            if share.invoice_id not in held:
                pointer = f"/allocations/{place}/invoice_id"
                raise Invalid.at(pointer, "unknown_reference", "There is no invoice with this id.")
            if share.amount.currency != held[share.invoice_id].currency:
                raise NotAllocatable("Both are of one account and in one currency.")
        return [Settling(held[one.invoice_id], one.amount.amount_minor) for one in given.allocations]

    # -- taking back ---------------------------------------------------------------------------------------

    async def deallocate_payment(self, id: UUID, given: Deallocate, *, expected_version: int) -> Payment:
        """Take back what a payment settles, some of it or all. Raises `AllocationFinal`, `StaleVersion`."""
        row = await self._payment(id, expected_version)
        taken = self._chosen(await standing(self._uow, "payment_id", id), given)
        held = await self._invoices.get_many([self._target(one) for one in taken], lock="update")
        after = await self._take_back(row, taken, held)
        assert isinstance(after, Payment)  # noqa: S101 - as above
        return after

    async def deallocate_credit_note(self, id: UUID, given: Deallocate, *, expected_version: int) -> Invoice:
        """Take back what a credit note settles besides its own invoice. Raises as `deallocate_payment`."""
        ids = [one.invoice_id for one in await standing(self._uow, "credit_note_id", id) if one.invoice_id]
        held = await self._invoices.get_many([id, *ids], lock="update")
        row = await self._credit_note(id, expected_version)
        taken = self._chosen(await standing(self._uow, "credit_note_id", id), given, own=row.corrects_id)
        after = await self._take_back(row, taken, held)
        assert isinstance(after, Invoice)  # noqa: S101 - as above
        return after

    def _chosen(
        self, found: Sequence[Allocation], given: Deallocate, own: UUID | None = None
    ) -> list[Allocation]:
        final = {one.id for one in found if one.refund_id is not None or (own and one.invoice_id == own)}
        if given.allocation_ids is None:
            return [one for one in found if one.id not in final]
        by_id = {one.id: one for one in found}
        for place, id in enumerate(given.allocation_ids):
            if id not in by_id:
                pointer = f"/allocation_ids/{place}"
                raise Invalid.at(pointer, "unknown_reference", "It has no such allocation.")
            if id in final:
                raise AllocationFinal
        return [by_id[id] for id in dict.fromkeys(given.allocation_ids)]

    def _target(self, one: Allocation) -> UUID:
        assert one.invoice_id is not None  # noqa: S101 - refunds were left out
        return one.invoice_id

    async def _take_back(
        self, source: Source, taken: Sequence[Allocation], held: dict[UUID, Invoice]
    ) -> Source:
        for one in taken:
            target = held.get(self._target(one))
            if target is None:
                raise AllocationFinal("An invoice that you do not see was settled with it.")
            instead = await self._own_credit(target, one.amount)
            source, held[target.id] = await self._ledger.take_back(source, one, target, instead)
        return source

    async def _own_credit(self, invoice: Invoice, freed: int) -> list[tuple[Invoice, int]]:
        """What is left of the invoice's own credit notes takes the place of a payment that is taken back."""
        if not invoice.credited:
            return []
        rows = await self._uow.all(
            self._uow.select(Invoice)
            .where(Invoice.corrects_id == invoice.id, Invoice.open_amount > 0)
            .order_by(Invoice.id)
            .with_for_update(key_share=True)
        )
        found = []
        for row in rows:
            amount = min(freed, row.open_amount)
            freed -= amount
            if amount:
                found.append((row, amount))
        return found

    # -- paying back ---------------------------------------------------------------------------------------

    async def refund_payment(self, id: UUID, given: RefundCreate, *, expected_version: int) -> Payment:
        """Pay back what a payment has left. Raises `AllocationExceeded`, `StaleVersion`, `DuplicateValue`;
        `PaidFromStoredValue` for what goes back to whoever keeps that, and to nobody as cash.
        """
        row = await self._payment(id, expected_version)
        await self._tenders.require_not_displaced(row, _amount_of(given, row.unallocated))
        return await self.pay_back(row, row.unallocated, given)

    async def refund_credit_note(self, id: UUID, given: RefundCreate, *, expected_version: int) -> Payment:
        """Pay back what a credit note has left. Raises as `refund_payment`.

        What stored value paid of the order, or of the invoice without one, goes back there, unless the actor may pay
        it out in another way (`tenders`).
        """
        row = await self._credit_note(id, expected_version)
        await self._tenders.require_cash(row, _amount_of(given, row.open_amount))
        return await self.pay_back(row, row.open_amount, given)

    async def pay_back(self, source: Source, left: int, given: RefundCreate) -> Payment:
        """A refund out of a locked source, allocated at once."""
        amount = given.amount or Money(left, source.currency)
        if amount.currency != source.currency:
            raise Invalid.at("/amount/currency", "other_currency", f"It is in {source.currency}.")
        if not 0 < amount.amount_minor <= left:
            money = Money(left, source.currency)
            raise AllocationExceeded(f"Only {money} is left.", left=money.to_wire())
        values: dict[str, Any] = {
            "account_id": source.account_id,
            "method": given.method,
            "amount": amount,
            "received_on": given.received_on,
            "reference": given.reference,
            "note": given.note,
            "owner_id": source.owner_id,
            "team_id": source.team_id,
        }
        made = await self._payments.refund(values, explicit=())
        await self._ledger.settle(source, [Settling(made, amount.amount_minor)])
        return made

    # -- reading -------------------------------------------------------------------------------------------

    async def of_payment(self, id: UUID) -> Allocations:
        """What a payment or refund was used for or paid from. Raises `NotFound`; `Forbidden` for hidden amounts."""
        await self._payments.get(id)
        require_amounts(self._uow.actor, "payment")
        return _read(await all_of(self._uow, ("payment_id", "refund_id"), id))

    async def of_invoice(self, id: UUID) -> Allocations:
        """What settles an invoice, or what a credit note was used for. Raises as `of_payment`."""
        await self._invoices.get(id)
        require_amounts(self._uow.actor, "payment")
        return _read(await all_of(self._uow, ("invoice_id", "credit_note_id"), id))

    # -- locking -------------------------------------------------------------------------------------------

    async def _payment(self, id: UUID, expected_version: int) -> Payment:
        row = await self._payments.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        if row.kind != PaymentKind.PAYMENT:
            raise NotAllocatable("A refund has gone already.")
        self._payments.require_keeper(row.method)
        return row

    async def _credit_note(self, id: UUID, expected_version: int) -> Invoice:
        row = await self._invoices.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        if row.kind != InvoiceKind.CREDIT_NOTE:
            raise NotAllocatable("Only payments and credit notes settle anything.")
        return row


def _amount_of(given: RefundCreate, left: int) -> int:
    """How much is to be paid back of what is left; without an amount, all of it."""
    return left if given.amount is None else min(left, given.amount.amount_minor)


def _of_one_order(note: Invoice, target: Invoice | Payment) -> bool:
    if not isinstance(target, Invoice):
        return False
    return target.id == note.corrects_id or (note.order_id is not None and target.order_id == note.order_id)


def _read(rows: Sequence[Any]) -> Allocations:
    return Allocations(
        data=[
            AllocationRead(
                **{name: row[name] for name in AllocationRead.model_fields if name != "amount"},
                amount=Money(row["amount"], row["currency"]),
            )
            for row in rows
        ]
    )


_OPEN = """
SELECT t.id FROM orders.invoices t
WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.currency = $3 AND t.kind = 'invoice'
  AND t.status IN ('open', 'partly_paid'){visible}
ORDER BY t.due_on, t.issued_on, t.id LIMIT $4"""
