"""Making bills: one company's next one, in one transaction with its number and its entries in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from app.kernel.config import Settings
from app.kernel.decimals import decimal_text
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.tenants.billing.amounts import GRACE, tax_for
from app.tenants.billing.computing import Computed, line_documents, read_and_compute
from app.tenants.billing.histories import Buyer, History, read_history
from app.tenants.billing.ledger import Account, BillingLedger
from app.tenants.billing.locks import hold_billing, hold_usage
from app.tenants.billing.models import Bill, BillStatus
from app.tenants.billing.numbers import next_bill_number
from app.tenants.billing.periods import Period
from app.tenants.billing.settling import Bills
from app.tenants.billing.subscriptions import Subscriptions
from app.tenants.interface import BillIssued, BillPaid
from app.tenants.models import TenantStatus

ENROL: Final = """
INSERT INTO tenants.billing_accounts (tenant_id, begins_at, next_bill_at)
SELECT t.id, date_trunc('hour', t.created_at, 'UTC'), date_trunc('hour', t.created_at, 'UTC') + $1::interval
FROM tenants.tenants t
WHERE ($2::uuid IS NULL OR t.id = $2)
  AND NOT EXISTS (SELECT 1 FROM tenants.billing_accounts a WHERE a.tenant_id = t.id)
ON CONFLICT DO NOTHING"""
"""Let those who signed up since, or one of them, be billed from the end of their trial and the grace, `$1`, on."""


@dataclass(frozen=True, slots=True)
class _Reached:
    """How far a company is billed, and how its account stands."""

    begins_at: datetime
    billed_until: datetime | None
    usage_until: datetime
    status: str
    cancel_at: datetime | None


class Issuer:
    """Issues bills of the tenant at hand, in a transaction of `rapport_control`, which takes the numbers."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def settle_account(self) -> None:
        """Make all bills of a company that has just left, for what it did not pay, without waiting for the grace."""
        await self._uow.fetch(
            ENROL, timedelta(days=self._uow.kernel.settings.trial_days) + GRACE, self._uow.tenant_id
        )
        while (await self.issue_next(at_once=True))[1]:
            pass

    async def issue_next(self, *, at_once: bool = False) -> tuple[Bill | None, bool]:
        """Make the bill of the earliest period that is over since the grace, and whether there was such a period.

        With `at_once` it is made without grace. A trial that nothing follows has no bill. A company that has left is
        billed until then, and one whose cancellation is due waits until it is carried out. However often this runs
        and wherever it is killed, each period has one at most: the company's account is held, and moved on with the
        bill.
        """
        uow = self._uow
        await hold_billing(uow)
        # Whatever usage arrived is counted by now, or arrives after this bill. What came after an earlier bill says
        # so by its time, which may be ahead of our clock: this bill's is then too.
        await hold_usage(uow)
        reached = await self._reached()
        if reached is None:
            return None, False
        history = await read_history(uow)
        over = _next_period(history, reached)
        if not _goes_on(reached, history, uow.now):
            return None, False
        if over is None:
            await self._settled(history, over_at=uow.now)
            return None, False
        if over.end + (timedelta(0) if at_once else GRACE) > uow.now:
            await self._move(reached.billed_until, over)
            return None, False
        if not history.stored:
            await Subscriptions(uow).keep(history.held[0], chosen_by=None)
        tax = tax_for(history.buyer, uow.kernel.settings)
        computed = await read_and_compute(uow, history, over, tax)
        # A period without a line has its bill, too: what arrives late for it is told from that. A trial needs none.
        wanted = computed.amounts.lines or over != history.opening
        made = await self._issue(history, computed, reached.usage_until) if wanted else None
        await self._move(over.end, history.period_at(over.end))
        await self._settled(history, over_at=over.end)
        if made is not None and history.left(over.end):
            await Bills(uow).spend_balance(made.currency)
        return made, True

    async def _settled(self, history: History, *, over_at: datetime) -> None:
        """All is billed of who left by then."""
        if any(end.at <= over_at and not end.settled for end in history.ends):
            await self._uow.fetch(
                "UPDATE tenants.subscription_ends SET settled_at = $3"
                " WHERE tenant_id = $1 AND ended_at <= $2 AND settled_at IS NULL",
                self._uow.tenant_id,
                over_at,
                self._uow.now,
            )

    async def _reached(self) -> _Reached | None:
        row = await self._uow.fetchrow(
            "SELECT a.begins_at, a.billed_until, tenants.usage_arrival($1, $2) AS usage_until, t.status, t.cancel_at"
            " FROM tenants.billing_accounts a JOIN tenants.tenants t ON t.tenant_id = $1 AND t.id = $1"
            " WHERE a.tenant_id = $1 FOR UPDATE OF a",
            self._uow.tenant_id,
            self._uow.kernel.clock.now(),
        )
        return None if row is None else _Reached(**row)

    async def _move(self, until: datetime | None, upcoming: Period) -> None:
        await self._uow.fetch(
            "UPDATE tenants.billing_accounts SET billed_until = $2, next_bill_at = $3 WHERE tenant_id = $1",
            self._uow.tenant_id,
            until,
            upcoming.end + GRACE,
        )

    async def _issue(self, history: History, computed: Computed, usage_until: datetime) -> Bill:
        uow, currency, totals = self._uow, computed.currency, computed.amounts.totals
        ledger = BillingLedger(uow)
        applied = max(0, min(await ledger.balance(currency), totals.total))
        draft = await uow.insert(
            Bill,
            **_content(history, computed, uow.kernel.settings),
            balance_applied=applied,
            due=max(0, totals.total - applied),
            usage_until=usage_until,
        )
        owed = draft.due
        number, at = await next_bill_number(uow, "INV")
        settled = not owed
        issued = await uow.update(
            draft,
            number=number,
            status=BillStatus.PAID.value if settled else BillStatus.OPEN.value,
            issued_at=at,
            due_at=at + timedelta(days=uow.kernel.settings.payment_days),
            paid_at=at if settled else None,
            next_attempt_at=None if settled else at,
        )
        await ledger.post(
            "issue",
            currency,
            {
                Account.RECEIVABLE: owed,
                Account.CUSTOMER_BALANCE: totals.total - owed,  # a bill below zero is to the company's credit
                Account.REVENUE: -totals.net,
                Account.TAX: -totals.tax,
            },
            bill_id=draft.id,
            reference=number,
        )
        self._tell(issued)
        return issued

    def _tell(self, bill: Bill) -> None:
        uow, total = self._uow, Money(bill.total, bill.currency).to_texts()
        uow.record_audit(
            "bill", bill.id, "issued", {"number": [None, bill.number], "total": [None, bill.total]}
        )
        uow.publish(
            BillIssued(
                id=bill.id,
                number=bill.number or "",
                total=total,
                due=Money(bill.due, bill.currency).to_texts(),
                due_at=bill.due_at or uow.now,
            )
        )
        if bill.status == BillStatus.PAID:
            uow.publish(BillPaid(id=bill.id, number=bill.number or "", total=total))


def _goes_on(reached: _Reached, history: History, now: datetime) -> bool:
    """Whether there may be something to bill: not where an account was left within its trial."""
    if reached.status in (TenantStatus.CANCELLED, TenantStatus.ERASED):
        return any(end.resumed is None for end in history.ends)
    return reached.cancel_at is None or reached.cancel_at > now


def _next_period(history: History, reached: _Reached) -> Period | None:
    """The first period that is not billed; for who was here before there were bills, that of the beginning.

    None for who has left, when all is billed until then.
    """
    if reached.billed_until is None:
        return (
            history.period_at(reached.begins_at)
            if reached.begins_at > history.opening.end
            else history.opening
        )
    return None if history.left(reached.billed_until) else history.period_at(reached.billed_until)


def _content(history: History, computed: Computed, settings: Settings) -> dict[str, Any]:
    """What the bill says, which never changes, and nothing that happened to it yet."""
    amounts, totals = computed.amounts, computed.amounts.totals
    return {
        "number": None,
        "status": BillStatus.DRAFT.value,
        "period_start": computed.over.start,
        "period_end": computed.over.end,
        "following_start": computed.following.start,
        "following_end": computed.following.end,
        "currency": computed.currency,
        "lines": line_documents(computed),
        "discounts": [{"code": one.code, "amount": one.amount} for one in amounts.discounts],
        "tax_rate": decimal_text(amounts.tax.rate),
        "reverse_charge": amounts.tax.reverse_charge,
        "seller": seller_document(settings),
        "buyer": buyer_document(history.buyer),
        "subtotal": totals.subtotal,
        "discount": totals.header_discount,
        "tax": totals.tax,
        "total": totals.total,
        "paid": 0,
        "credited": 0,
        "credited_tax": 0,
        "issued_at": None,
        "due_at": None,
        "paid_at": None,
        "provider": None,
        "provider_reference": None,
        "attempts": 0,
        "next_attempt_at": None,
    }


def seller_document(settings: Settings) -> dict[str, Any]:
    """Who issues bills, as they were then."""
    return {
        "name": settings.seller_name,
        "lines": settings.seller_address.splitlines(),
        "country": settings.seller_country,
        "tax_number": settings.seller_tax_number,
        "bank_details": settings.seller_bank_details,
    }


def buyer_document(buyer: Buyer) -> dict[str, Any]:
    """The company, as it was then."""
    return {
        "name": buyer.name,
        "lines": list(buyer.lines),
        "country": buyer.country,
        "tax_number": buyer.tax_number,
    }
