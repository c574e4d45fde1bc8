"""Taking what is due of a bill, once: an attempt is written down, the provider asked, and its answer booked.

The provider is asked between two transactions. Whoever dies in between leaves an attempt that is under way; the next
one asks what came of it, and asks again with the same key if nothing did.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from app.kernel.errors import Conflict, Problem
from app.kernel.runtime import Kernel
from app.kernel.uow import UnitOfWork
from app.tenants.auth.control import identity
from app.tenants.billing.locks import hold_billing
from app.tenants.billing.models import OWED, Bill
from app.tenants.billing.payments.models import (
    AttemptStatus,
    PaymentAttempt,
    PaymentCustomer,
    PaymentMethod,
)
from app.tenants.billing.payments.provider import Charge, ChargeState, Outcome, PaymentProvider
from app.tenants.billing.payments.recovering import recover
from app.tenants.billing.settling import Bills

log = structlog.get_logger(__name__)

CLAIM: Final = timedelta(minutes=5)
ASK_AGAIN: Final = timedelta(hours=6)  # after what is pending, should its webhook not come
NO_METHOD: Final = "no_payment_method"


class BillNotOwed(Conflict):
    code = "bill_not_owed"
    title = "Nothing is due of this invoice"


class PaymentUnderWay(Conflict):
    code = "payment_under_way"
    title = "This invoice is being paid at this moment"


class NoPaymentMethod(Conflict):
    code = NO_METHOD
    title = "No way to pay is stored"


class PaymentDeclined(Problem):
    status = 402
    code = "payment_declined"
    title = "The payment was declined"


@dataclass(frozen=True, slots=True)
class Work:
    """An attempt to ask the provider about; `again`: somebody may have asked before.

    Where nothing is `owed` any more it is only asked what came of it, and nothing is charged.
    """

    charge: Charge
    attempt: PaymentAttempt
    again: bool
    owed: bool = True


class Attempts:
    """Attempts to pay bills of the tenant at hand; whoever calls holds the company's billing."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self.provider = provider_of(uow.kernel)

    async def under_way(self, bill_id: UUID) -> PaymentAttempt | None:
        """The attempt that is not over yet."""
        statement = self._uow.select(PaymentAttempt).where(PaymentAttempt.bill_id == bill_id)
        found = await self._uow.all(statement.where(PaymentAttempt.ended_at.is_(None)))
        return found[0] if found else None

    async def method(self, id: UUID | None = None) -> PaymentMethod | None:
        """A stored method: this one, or the one to be charged. Raises: NotFound for an id that is none."""
        if id is not None:
            return await self._uow.get(PaymentMethod, id)
        statement = self._uow.select(PaymentMethod).where(PaymentMethod.provider == self.provider.name)
        ordered = statement.order_by(PaymentMethod.is_default.desc(), PaymentMethod.stored_at.desc())
        return await self._uow.first(ordered)

    async def customer(self) -> str | None:
        """Who the company is to the provider, if it is known there."""
        statement = self._uow.select(PaymentCustomer)
        found = await self._uow.first(statement.where(PaymentCustomer.provider == self.provider.name))
        return found.reference if found else None

    async def begin(self, bill: Bill, *, step: int | None, method_id: UUID | None = None) -> Work | None:
        """Write an attempt down. None: it failed at once, for there is nothing to charge.

        Raises: BillNotOwed; PaymentUnderWay.
        """
        if bill.status not in OWED:
            raise BillNotOwed
        if await self.under_way(bill.id) is not None:
            raise PaymentUnderWay
        method, customer = await self.method(method_id), await self.customer()
        ready = method is not None and customer is not None
        attempt = await self._uow.insert(
            PaymentAttempt,
            audit="payment_attempt",
            bill_id=bill.id,
            step=step,
            provider=self.provider.name,
            customer=customer or "",
            method=method.reference if method else "",
            currency=bill.currency,
            amount=bill.due,
            status=(AttemptStatus.STARTED if ready else AttemptStatus.FAILED).value,
            reference=None,
            failure_code=None if ready else NO_METHOD,
            failure_message=None,
            started_at=self._uow.now,
            claimed_until=self._uow.now + CLAIM,
            ended_at=None if ready else self._uow.now,
        )
        return Work(charge_of(attempt, bill), attempt, again=False) if ready else None

    async def take_over(self, attempt: PaymentAttempt, bill: Bill) -> Work | None:
        """Claim an attempt whose claim is over; None while it is somebody else's."""
        if attempt.claimed_until > self._uow.now or attempt.provider != self.provider.name:
            return None
        claimed = await self._uow.update(attempt, claimed_until=self._uow.now + CLAIM)
        return Work(charge_of(claimed, bill), claimed, again=True, owed=bill.status in OWED)

    async def finish(self, attempt_id: UUID, outcome: Outcome) -> PaymentAttempt:
        """Book what became of an attempt, once; money that came is booked also where it was given up before.

        Raises: NotFound.
        """
        uow = self._uow
        await hold_billing(uow)
        attempt = await uow.get(PaymentAttempt, attempt_id, lock="update")
        if attempt.status == AttemptStatus.SUCCEEDED:
            return attempt
        if attempt.status == AttemptStatus.FAILED and outcome.state is not ChargeState.SUCCEEDED:
            return attempt
        over = outcome.state is not ChargeState.PENDING
        attempt = await uow.update(
            attempt,
            audit="payment_attempt",
            action=outcome.state.value,
            status=outcome.state.value,
            reference=outcome.reference or attempt.reference,
            failure_code=outcome.code,
            failure_message=outcome.message,
            claimed_until=uow.now if over else uow.now + ASK_AGAIN,
            ended_at=uow.now if over else None,
        )
        if outcome.state is ChargeState.SUCCEEDED:
            await book(uow, attempt.bill_id, outcome, attempt.provider)
        return attempt


async def book(uow: UnitOfWork, bill_id: UUID, outcome: Outcome, provider: str) -> None:
    """Book a payment that came, once per reference, and open the account again if nothing else is overdue.

    What came in another currency than the bill's is for whoever runs the product to look at, and logged.
    """
    if outcome.reference is None or outcome.amount <= 0:
        return
    bill = await Bills(uow).hold(bill_id)
    if outcome.currency != bill.currency:
        log.error("payment in another currency", bill_id=str(bill_id), reference=outcome.reference)
        return
    await Bills(uow).settle(bill_id, outcome.amount, provider, outcome.reference)
    await recover(uow)


def charge_of(attempt: PaymentAttempt, bill: Bill) -> Charge:
    """What the provider is asked for in an attempt: the same however often."""
    return Charge(
        key=f"attempt-{attempt.id}",
        tenant_id=attempt.tenant_id,
        bill_id=attempt.bill_id,
        attempt_id=attempt.id,
        number=bill.number or "",
        amount=attempt.amount,
        currency=attempt.currency,
        customer=attempt.customer,
        method=attempt.method,
    )


async def ask(provider: PaymentProvider, work: Work) -> Outcome:
    """What becomes of an attempt. Raises: ProviderUnavailable, when nobody knows."""
    if work.again:
        reference = work.attempt.reference
        if reference is not None:
            return (await provider.payment(reference)).outcome
        found = await provider.find_charge(work.charge, work.attempt.started_at)
        if found is not None:
            return found
        if not work.owed:
            return Outcome(ChargeState.FAILED, None, 0, work.charge.currency, BillNotOwed.code)
    return await provider.charge(work.charge)


def provider_of(kernel: Kernel) -> PaymentProvider:
    """Who takes the money for bills here."""
    return identity(kernel).payments
