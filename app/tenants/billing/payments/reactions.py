"""What follows from bills that were paid, taken back or credited: accounts open, money goes back."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import JobKind, Subscription
from app.kernel.uow import UnitOfWork
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.models import Bill, BillCreditNote, BillPayment
from app.tenants.billing.payments.collecting import provider_of
from app.tenants.billing.payments.models import PaymentRefund
from app.tenants.billing.payments.recovering import recover

WITHDRAW: Final = "tenants.withdraw_bill"
REFUND: Final = "tenants.refund"


class BillOver(BaseModel):
    """What we need of `tenants.bill.paid.v1`, `.voided.v1` and `.given_up.v1`."""

    id: UUID


class NoteIssued(BaseModel):
    """What we need of `tenants.bill_credit_note.issued.v1`."""

    id: UUID


async def settled(uow: UnitOfWork, event: BillOver) -> None:
    """Open the account again if nothing is overdue, and take back what the provider sent and was not paid."""
    await recover(uow)
    bill = await uow.find(Bill, event.id)
    if bill is not None and bill.provider_reference is not None:
        uow.enqueue(WITHDRAW, {"bill_id": str(bill.id)})


async def given_up(uow: UnitOfWork, event: BillOver) -> None:  # noqa: ARG001
    """Open the account again if nothing else is overdue; the bill can still be paid."""
    await recover(uow)


async def credited(uow: UnitOfWork, event: NoteIssued) -> None:
    """Give back by the provider what a credit note refunds, of the latest payments first."""
    note = await uow.find(BillCreditNote, event.id)
    name = provider_of(uow.kernel).name
    if note is None or not note.refunded or not provider_of(uow.kernel).automatic:
        return
    await hold_billing(uow)
    left = note.refunded
    for row in await uow.fetch(_PAYMENTS, uow.tenant_id, note.bill_id, name):
        amount = min(left, row["amount"] - row["refunded"])
        if amount > 0:
            refund = await uow.insert(
                PaymentRefund,
                audit="payment_refund",
                note_id=note.id,
                payment_id=row["id"],
                amount=amount,
                reference=None,
                refunded_at=None,
            )
            uow.enqueue(REFUND, {"refund_id": str(refund.id)})
            left -= amount


_PAYMENTS: Final = """
SELECT p.id, p.amount, coalesce((SELECT sum(r.amount) FROM tenants.payment_refunds r
  WHERE r.tenant_id = p.tenant_id AND r.payment_id = p.id), 0)::bigint AS refunded
FROM tenants.bill_payments p WHERE p.tenant_id = $1 AND p.bill_id = $2 AND p.provider = $3
ORDER BY p.at DESC, p.id DESC
"""


class WithdrawOrder(BaseModel):
    bill_id: UUID


class RefundOrder(BaseModel):
    refund_id: UUID


async def withdraw(context: Any, order: WithdrawOrder) -> None:
    """Take an invoice back that the provider sent, unless it was paid there."""
    async with context.transaction() as uow:
        bill = await uow.get(Bill, order.bill_id)
    if bill.provider == provider_of(context.kernel).name and bill.provider_reference is not None:
        await provider_of(context.kernel).withdraw_invoice(bill.provider_reference)


async def refund(context: Any, order: RefundOrder) -> None:
    """Ask the provider to give money back, once: its key is the refund's id."""
    async with context.transaction() as uow:
        row = await uow.get(PaymentRefund, order.refund_id)
        payment = await uow.get(BillPayment, row.payment_id)
    if row.reference is not None:
        return
    reference = await provider_of(context.kernel).refund(
        payment.reference, row.amount, payment.currency, f"refund-{row.id}"
    )
    async with context.transaction() as uow:
        row = await uow.get(PaymentRefund, order.refund_id, lock="update")
        await uow.update(row, audit="payment_refund", reference=reference, refunded_at=uow.now)


JOBS: Final = (
    JobKind(WITHDRAW, WithdrawOrder, withdraw, attempts=8, while_closed=True),
    JobKind(REFUND, RefundOrder, refund, attempts=8, while_closed=True),
)
SUBSCRIPTIONS: Final = (
    Subscription("tenants.bill.paid.v1", BillOver, settled, name="tenants.open_when_paid"),
    Subscription("tenants.bill.voided.v1", BillOver, settled, name="tenants.open_when_voided"),
    Subscription("tenants.bill.given_up.v1", BillOver, given_up, name="tenants.open_when_given_up"),
    Subscription("tenants.bill_credit_note.issued.v1", NoteIssued, credited, name="tenants.refund_credit"),
)
