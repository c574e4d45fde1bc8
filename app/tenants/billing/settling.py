"""What becomes of issued bills: payments, credit notes, voiding, giving up. Every step moves the ledger with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from app.kernel.errors import Conflict, Invalid
from app.kernel.money import Money, half_up_ratio
from app.kernel.uow import UnitOfWork
from app.tenants.billing.ledger import Account, BillingLedger
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.models import (
    BILL_STATES,
    OWED,
    Bill,
    BillCreditNote,
    BillPayment,
    BillStatus,
)
from app.tenants.billing.numbers import next_bill_number
from app.tenants.interface import BillCreditNoteIssued, BillGivenUp, BillPaid, BillVoided

OBJECT = "bill"

_TO_SPEND_ON: Final = """
SELECT b.id FROM tenants.bills b WHERE b.tenant_id = $1 AND b.currency = $2 AND b.status IN ('open', 'uncollectible')
  AND NOT EXISTS (SELECT 1 FROM tenants.payment_attempts a
    WHERE a.tenant_id = b.tenant_id AND a.bill_id = b.id AND a.ended_at IS NULL)
ORDER BY b.period_end"""


class PaymentReferenceReused(Conflict):
    code = "payment_reference_reused"
    title = "This payment was booked with another amount or for another bill"


class BillCreditTooLarge(Conflict):
    code = "bill_credit_too_large"
    title = "A bill is credited by at most what it came to"


class Bills:
    """The bills of the tenant at hand; what changes one holds the company's billing until it commits.

    `settle`, `mark_uncollectible` and `void` work in any transaction of the tenant; `credit` and `adjust` take part
    in the seller's numbers and run in `control.control_transaction` (`operations.py` opens one).
    """

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._ledger = BillingLedger(uow)

    async def get(self, bill_id: UUID) -> Bill:
        """Raises: NotFound."""
        return await self._uow.get(Bill, bill_id)

    async def hold(self, bill_id: UUID) -> Bill:
        """The bill as it is, and stays until this transaction ends unless it changes it. Raises: NotFound."""
        await hold_billing(self._uow)
        return await self._uow.get(Bill, bill_id)

    async def settle(self, bill_id: UUID, amount: int, provider: str, reference: str) -> Bill:
        """Book a payment of `amount` minor units, once per provider and reference.

        It goes to what is due; what is more, to the company's balance, as does all of what comes for a bill that is
        paid or void. Nothing due any more: the bill is paid.
        Raises: NotFound; Invalid for an amount that is not above zero; PaymentReferenceReused for the same reference
        with another amount or bill; InvalidTransition for a draft.
        """
        if amount <= 0:
            raise Invalid.at("/amount", "out_of_range", "A payment is above zero.")
        bill = await self.hold(bill_id)
        if bill.status == BillStatus.DRAFT:
            BILL_STATES.next(BillStatus.DRAFT, "pay")
        known = await self._payment(provider, reference)
        if known is not None:
            if (known.bill_id, known.amount) != (bill_id, amount):
                raise PaymentReferenceReused
            return bill
        applied = min(amount, bill.due) if bill.status in OWED else 0
        await self._uow.insert(
            BillPayment,
            bill_id=bill_id,
            provider=provider,
            reference=reference,
            currency=bill.currency,
            amount=amount,
            applied=applied,
            at=self._uow.now,
        )
        await self._ledger.post(
            "payment",
            bill.currency,
            {Account.CASH: amount, _owed(bill): -applied, Account.CUSTOMER_BALANCE: applied - amount},
            bill_id=bill_id,
            reference=f"{provider} {reference}",
        )
        return await self._reduce(bill, applied, paid=bill.paid + amount)

    async def credit(
        self,
        bill_id: UUID,
        amount: int | Mapping[int, int | None],
        reason: str,
        *,
        refund: bool = False,
    ) -> BillCreditNote:
        """Issue a credit note of `amount` minor units, tax included, or of lines: position to amount, None for all.

        It reduces what is due to nothing first; the rest goes to the company's balance, or with `refund` back to it
        by whom it paid (the provider's part: the event says how much). Tax is its share of the bill's, so that all
        credit notes of a bill together hold exactly its tax.
        Raises: NotFound; Invalid for an unknown line or an amount that is not above zero; BillCreditTooLarge beyond
        what is left of the bill or line; InvalidTransition for a draft or a void bill.
        """
        bill = await self.hold(bill_id)
        lines, total = await self._creditable(bill, amount)
        tax_before = bill.credited_tax
        tax = half_up_ratio(bill.tax * (bill.credited + total), bill.total) - tax_before
        applied = min(total, bill.due) if bill.status in OWED else 0
        rest = total - applied
        number, at = await next_bill_number(self._uow, "CN")
        note = await self._uow.insert(
            BillCreditNote,
            audit="bill_credit_note",
            bill_id=bill_id,
            number=number,
            currency=bill.currency,
            lines=lines,
            reason=reason,
            tax=tax,
            total=total,
            applied=applied,
            to_balance=0 if refund else rest,
            refunded=rest if refund else 0,
            issued_at=at,
        )
        await self._book_note(bill, note)
        await self._reduce(bill, applied, credited=bill.credited + total, credited_tax=tax_before + tax)
        return note

    async def _creditable(
        self, bill: Bill, amount: int | Mapping[int, int | None]
    ) -> tuple[list[dict[str, Any]], int]:
        """The lines of a credit note and what it comes to. Raises: as `credit`."""
        if bill.status in (BillStatus.DRAFT, BillStatus.VOID):
            BILL_STATES.next(BillStatus(bill.status), "credit")
        lines = [] if isinstance(amount, int) else await self._credited_lines(bill, amount)
        total = amount if isinstance(amount, int) else sum(line["amount"] for line in lines)
        if total <= 0:
            raise Invalid.at("/amount", "out_of_range", "A credit note is above zero.")
        left = bill.total - bill.credited
        if total > left:
            raise BillCreditTooLarge(left=Money(max(0, left), bill.currency).to_wire())
        return lines, total

    async def _book_note(self, bill: Bill, note: BillCreditNote) -> None:
        """Put a credit note into the ledger, and tell of it."""
        await self._ledger.post(
            "credit_note",
            bill.currency,
            {
                Account.CREDIT: note.total - note.tax,
                Account.TAX: note.tax,
                _owed(bill): -note.applied,
                Account.CASH: -note.refunded,
                Account.CUSTOMER_BALANCE: -note.to_balance,
            },
            bill_id=bill.id,
            reference=note.number,
            note=note.reason,
        )
        self._uow.publish(
            BillCreditNoteIssued(
                id=note.id,
                bill_id=bill.id,
                number=note.number,
                total=Money(note.total, bill.currency).to_texts(),
                refunded=Money(note.refunded, bill.currency).to_texts(),
            )
        )

    async def void(self, bill_id: UUID, reason: str) -> Bill:
        """Take a bill back whole: nothing is due any more, what was paid of it goes to the company's balance.

        Raises: NotFound; InvalidTransition unless it is open or uncollectible.
        """
        bill = await self.hold(bill_id)
        after = BILL_STATES.next(BillStatus(bill.status), "void")
        left = bill.total - bill.credited
        tax = bill.tax - bill.credited_tax
        await self._ledger.post(
            "void",
            bill.currency,
            {
                Account.REVENUE: left - tax,
                Account.TAX: tax,
                _owed(bill): -bill.due,
                Account.CUSTOMER_BALANCE: bill.due - left,
            },
            bill_id=bill_id,
            reference=bill.number,
            note=reason,
        )
        self._uow.publish(BillVoided(id=bill_id, number=bill.number or "", reason=reason))
        return await self._become(bill, after, reason, due=0)

    async def mark_uncollectible(self, bill_id: UUID, reason: str) -> Bill:
        """Give up what is due; it can still be paid or voided. Raises: NotFound; InvalidTransition unless open."""
        bill = await self.hold(bill_id)
        after = BILL_STATES.next(BillStatus(bill.status), "give_up")
        await self._ledger.post(
            "uncollectible",
            bill.currency,
            {Account.BAD_DEBT: bill.due, Account.RECEIVABLE: -bill.due},
            bill_id=bill_id,
            reference=bill.number,
            note=reason,
        )
        self._uow.publish(BillGivenUp(id=bill_id, number=bill.number or "", reason=reason))
        return await self._become(bill, after, reason)

    async def spend_balance(self, currency: str) -> int:
        """Pay what is due of bills from the company's balance, the oldest first; how much, in minor units.

        For who has left: there is no next bill that would take it.
        """
        await hold_billing(self._uow)
        left = before = await self._ledger.balance(currency)
        for row in await self._uow.fetch(_TO_SPEND_ON, self._uow.tenant_id, currency) if left > 0 else []:
            bill = await self.get(row["id"])
            applied = min(left, bill.due)
            if not applied or (bill.provider_reference is not None and applied < bill.due):
                continue  # an invoice that a provider sent is paid whole, or there
            await self._ledger.post(
                "balance",
                currency,
                {Account.CUSTOMER_BALANCE: applied, _owed(bill): -applied},
                bill_id=bill.id,
                reference=bill.number,
            )
            await self._reduce(bill, applied, balance_applied=bill.balance_applied + applied)
            left -= applied
        return before - left

    async def adjust(self, currency: str, amount: int, reason: str) -> int:
        """Give a company so much credit, or with a negative amount take it back; the balance after, in minor units.

        Raises: Invalid for nothing, and where the balance would fall below zero.
        """
        await hold_billing(self._uow)
        after = await self._ledger.balance(currency) + amount
        if not amount or after < 0:
            raise Invalid.at(
                "/amount", "out_of_range", "A balance is not below zero, and a change not nothing."
            )
        await self._ledger.post(
            "adjustment",
            currency,
            {Account.CREDIT: amount, Account.CUSTOMER_BALANCE: -amount},
            note=reason,
        )
        self._uow.record_audit(
            "billing_balance", self._uow.tenant_id, "adjusted", {"amount": [None, amount]}, reason=reason
        )
        return after

    async def _payment(self, provider: str, reference: str) -> BillPayment | None:
        statement = self._uow.select(BillPayment)
        return await self._uow.first(
            statement.where(BillPayment.provider == provider, BillPayment.reference == reference)
        )

    async def _credited_lines(self, bill: Bill, wanted: Mapping[int, int | None]) -> list[dict[str, int]]:
        notes = await self._uow.all(self._uow.select(BillCreditNote).where(BillCreditNote.bill_id == bill.id))
        left = {line["position"]: line["amount"] - line["discount"] + line["tax"] for line in bill.lines}
        for note in notes:
            for line in note.lines:
                left[line["position"]] -= line["amount"]
        found = []
        for position, amount in sorted(wanted.items()):
            if position not in left or (amount is not None and amount <= 0):
                raise Invalid.at("/lines", "unknown_line", f"Line {position} cannot be credited by {amount}.")
            whole = left[position] if amount is None else amount
            if not 0 < whole <= left[position]:
                raise BillCreditTooLarge(left=Money(max(0, left[position]), bill.currency).to_wire())
            found.append({"position": position, "amount": whole})
        return found

    async def _reduce(self, bill: Bill, applied: int, **changes: Any) -> Bill:
        """What is due less what was paid or credited of it; nothing left: the bill is paid."""
        due = bill.due - applied
        if bill.status in OWED and not due:
            after = BILL_STATES.next(BillStatus(bill.status), "pay")
            self._uow.publish(
                BillPaid(
                    id=bill.id, number=bill.number or "", total=Money(bill.total, bill.currency).to_texts()
                )
            )
            return await self._become(bill, after, due=0, paid_at=self._uow.now, **changes)
        return await self._uow.update(bill, audit=OBJECT, due=due, **changes)

    async def _become(
        self, bill: Bill, status: BillStatus, reason: str | None = None, **changes: Any
    ) -> Bill:
        changed = await self._uow.update(bill, status=status.value, next_attempt_at=None, **changes)
        self._uow.record_audit(
            OBJECT, bill.id, status.value, {"status": [bill.status, status.value]}, reason=reason
        )
        return changed


def _owed(bill: Bill) -> Account:
    """Where in the ledger what is due of a bill stands."""
    return Account.BAD_DEBT if bill.status == BillStatus.UNCOLLECTIBLE else Account.RECEIVABLE
