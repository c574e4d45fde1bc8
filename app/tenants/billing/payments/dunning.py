"""Dunning: eight attempts over two weeks, a mail with each, then the account is suspended.

Bills that are charged are tried when they are issued; those that companies pay themselves are reminded of when they
are due. Restartable at every point: what a run did is in the bill and its attempts, and the next one goes on there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from app.kernel.registry import Schedule
from app.kernel.runtime import Kernel
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork
from app.tenants.billing.models import Bill, BillStatus
from app.tenants.billing.payments import mails
from app.tenants.billing.payments.collecting import NO_METHOD, Attempts, Work, ask, provider_of
from app.tenants.billing.payments.methods import ensure_customer
from app.tenants.billing.payments.models import AttemptStatus, PaymentAttempt
from app.tenants.billing.payments.provider import Collection, InvoiceRequest, Outcome
from app.tenants.billing.settling import Bills
from app.tenants.interface import MovedBy
from app.tenants.lifecycle.moves import MOVES, move, transaction_of
from app.tenants.models import SuspendedFor, Tenant, TenantStatus

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(minutes=15)
DAYS: Final = (0, 1, 3, 5, 7, 9, 11, 14)
"""On which days an overdue bill is tried, or reminded of."""
_DUE: Final = """
SELECT b.tenant_id, b.id FROM tenants.bills b
JOIN tenants.tenants t ON t.tenant_id = b.tenant_id AND t.id = b.tenant_id AND t.status <> 'erased'
WHERE b.status = 'open' AND b.next_attempt_at <= $1 AND NOT EXISTS (
  SELECT 1 FROM tenants.payment_attempts a WHERE a.tenant_id = b.tenant_id AND a.bill_id = b.id
    AND a.ended_at IS NULL AND a.claimed_until > $1)
UNION
SELECT a.tenant_id, a.bill_id FROM tenants.payment_attempts a
JOIN tenants.tenants t ON t.tenant_id = a.tenant_id AND t.id = a.tenant_id AND t.status <> 'erased'
WHERE a.ended_at IS NULL AND a.claimed_until <= $1
ORDER BY 1, 2
"""


async def dun_all(kernel: Kernel) -> None:
    """Take every step that is due, bill by bill; what fails for one leaves the others alone."""
    async with kernel.database.control() as connection:
        rows = await connection.fetch(_DUE, kernel.clock.now())
    for row in rows:
        try:
            await dun(kernel, row["tenant_id"], row["id"])
        except Exception as error:
            log.error(
                "dunning failed", tenant_id=str(row["tenant_id"]), bill_id=str(row["id"]), exc_info=error
            )


async def dun(kernel: Kernel, tenant_id: UUID, bill_id: UUID) -> None:
    """Take the step that is due of a bill, if one still is. Raises: ProviderUnavailable."""
    provider = provider_of(kernel)
    if provider.automatic and Collection(kernel.settings.billing_collection) is Collection.SEND_INVOICE:
        await ensure_customer(kernel, tenant_id)
    async with transaction_of(kernel, tenant_id) as uow:
        found = await Dunning(uow).next(bill_id)
    if isinstance(found, Work):
        outcome = await ask(provider, found)
        async with transaction_of(kernel, tenant_id) as uow:
            await book_answer(uow, found.attempt.id, outcome)
    elif isinstance(found, InvoiceRequest):
        reference = await provider.send_invoice(found)
        async with transaction_of(kernel, tenant_id) as uow:
            await Dunning(uow).sent(bill_id, reference)


async def book_answer(uow: UnitOfWork, attempt_id: UUID, outcome: Outcome) -> PaymentAttempt:
    """Book what a provider said of an attempt, by whichever way it came, and take the step that follows."""
    attempt = await Attempts(uow).finish(attempt_id, outcome)
    await Dunning(uow).answered(attempt)
    return attempt


class Dunning:
    """The steps of the tenant at hand's bills."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._provider = provider_of(uow.kernel)
        wanted = Collection(uow.kernel.settings.billing_collection)
        self._charges = self._provider.automatic and wanted is Collection.CHARGE_AUTOMATICALLY

    async def next(self, bill_id: UUID) -> Work | InvoiceRequest | None:
        """Begin what is due, behind the lock of the company's billing; what to ask the provider, if anything."""
        uow = self._uow
        bill = await Bills(uow).hold(bill_id)
        attempts = Attempts(uow)
        under_way = await attempts.under_way(bill_id)
        if under_way is not None:
            return await attempts.take_over(under_way, bill)
        if bill.status != BillStatus.OPEN or bill.next_attempt_at is None or bill.next_attempt_at > uow.now:
            return None
        if self._charges:
            work = await attempts.begin(bill, step=bill.attempts + 1)
            if work is None:
                await self._failed(bill, NO_METHOD)
            return work
        if not bill.attempts and bill.due_at is not None and bill.due_at > uow.now:
            return await self._announce(bill)
        await self._failed(bill, None)
        return None

    async def answered(self, attempt: PaymentAttempt) -> None:
        """Go on after an attempt that failed, once, if it was the one of the step at hand."""
        if attempt.status != AttemptStatus.FAILED or attempt.step is None:
            return
        bill = await Bills(self._uow).hold(attempt.bill_id)
        if bill.status == BillStatus.OPEN and attempt.step == bill.attempts + 1:
            await self._failed(bill, attempt.failure_code)

    async def sent(self, bill_id: UUID, reference: str) -> None:
        """The provider sent the bill: nothing is to be done before it is due."""
        bill = await Bills(self._uow).hold(bill_id)
        await self._uow.update(bill, provider=self._provider.name, provider_reference=reference)
        if bill.status == BillStatus.OPEN:
            await self._uow.update(await Bills(self._uow).get(bill_id), next_attempt_at=bill.due_at)

    async def _announce(self, bill: Bill) -> InvoiceRequest | None:
        customer = await Attempts(self._uow).customer() if self._provider.automatic else None
        if customer is not None and bill.due_at is not None:
            return InvoiceRequest(
                bill.tenant_id, bill.id, bill.number or "", bill.due, bill.currency, customer, bill.due_at
            )
        await mails.tell_of_bill(self._uow, mails.ISSUED, bill)
        await self._uow.update(bill, next_attempt_at=bill.due_at)
        return None

    async def _failed(self, bill: Bill, code: str | None) -> None:
        """The step came to nothing: the next one, or the end. The account is past due from the first one on."""
        uow, step = self._uow, bill.attempts + 1
        if step < len(DAYS):
            at = _next_at(bill.next_attempt_at or uow.now, uow.now, step)
            await uow.update(bill, attempts=step, next_attempt_at=at)
            await self._move(TenantStatus.PAST_DUE, f"invoice {bill.number} is not paid")
            day = uow.actor.tenant.day_of(at).isoformat()
            if self._charges:
                reason = mails.reason_for(uow, code)
                await mails.tell_of_bill(uow, mails.DECLINED, bill, reason=reason, day=day)
            else:
                await mails.tell_of_bill(uow, mails.OVERDUE, bill)
            return
        await uow.update(bill, attempts=step, next_attempt_at=None)
        await self._move(TenantStatus.SUSPENDED, f"invoice {bill.number} is not paid")
        await mails.tell_of_bill(uow, mails.SUSPENDED, bill, days=str(uow.kernel.settings.suspension_days))

    async def _move(self, to: TenantStatus, reason: str) -> None:
        tenant = await self._uow.get(Tenant, self._uow.tenant_id, lock="update")
        if to in MOVES[TenantStatus(tenant.status)]:
            await move(self._uow, to, reason=reason, by=MovedBy.PAYMENT, suspended_for=SuspendedFor.UNPAID)


def _next_at(planned: datetime, now: datetime, step: int) -> datetime:
    """When the next step is due: counted from where this one was, unless that is a day or more ago."""
    gap = timedelta(days=DAYS[step] - DAYS[step - 1])
    return (planned if now - planned < timedelta(days=1) else now) + gap


async def run(run: ScheduledRun) -> None:
    """The schedule."""
    await dun_all(run.kernel)


SCHEDULES: Final = (Schedule("tenants.dunning", EVERY, run),)
