"""Wire schemas of bills, credit notes, the balance and coupons."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from app.kernel.decimals import DecimalOut
from app.kernel.money import Money, MoneyOut
from app.kernel.schemas import Input, Output
from app.tenants.billing.coupons import CouponRedemption
from app.tenants.billing.models import Bill, BillCreditNote
from app.tenants.billing.schemas import BillLineRead, SpanRead, line_read

BillState = Literal["open", "paid", "void", "uncollectible"]


class BillSummary(Output):
    """An invoice for the use of the product. Of `total`, what is not paid, credited or from the balance is `due`."""

    id: UUID
    number: str
    status: BillState
    period: SpanRead = Field(description="What is over: its usage, and what changed in it.")
    following: SpanRead = Field(description="What is paid in advance; of no time on the last invoice.")
    subtotal: MoneyOut
    discount: MoneyOut = Field(
        description="What coupons took off, before tax; below zero where they had reduced what is given back."
    )
    tax: MoneyOut
    total: MoneyOut = Field(description="Below zero: to your balance.")
    balance_applied: MoneyOut = Field(description="Taken from your balance.")
    paid: MoneyOut
    credited: MoneyOut = Field(description="By credit notes.")
    due: MoneyOut
    issued_at: datetime
    due_at: datetime
    paid_at: datetime | None


class BillDiscount(Output):
    code: str
    amount: MoneyOut


class BillParty(Output):
    """A seller or buyer as they were when the invoice was issued."""

    name: str
    lines: list[str]
    country: str
    tax_number: str | None


class BillRead(BillSummary):
    """An invoice with its lines; what it says never changes."""

    lines: list[BillLineRead]
    discounts: list[BillDiscount]
    tax_rate: str = Field(description="In percent.", examples=["19"])
    reverse_charge: bool = Field(description="The buyer owes the tax to their own tax office.")
    seller: BillParty
    buyer: BillParty
    bank_details: str
    provider: str | None = Field(description="By whom it is paid.")
    attempts: int = Field(description="How often it was tried to take the payment.")
    next_attempt_at: datetime | None


class CreditedLine(Output):
    position: int
    amount: MoneyOut = Field(description="Tax included.")


class BillCreditNoteRead(Output):
    """What was given back of an invoice: off what was due first, the rest to the balance or paid back."""

    id: UUID
    number: str
    bill_id: UUID
    reason: str
    lines: list[CreditedLine] = Field(description="None: of the invoice as a whole.")
    tax: MoneyOut
    total: MoneyOut
    applied: MoneyOut
    to_balance: MoneyOut
    refunded: MoneyOut
    issued_at: datetime


class BalanceMovement(Output):
    """What changed the balance, and what it was then."""

    kind: Literal["issue", "payment", "credit_note", "void", "adjustment", "balance"] = Field(
        description="`balance`: it paid an invoice of who has left."
    )
    bill_id: UUID | None
    reference: str | None
    note: str | None
    amount: MoneyOut
    balance: MoneyOut
    at: datetime


class BillingBalance(Output):
    """What the company has to its credit; the next invoice takes it first."""

    balance: MoneyOut
    movements: list[BalanceMovement] = Field(description="Newest first, a hundred at most.")


class BillCouponRedeem(Input):
    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)] = Field(
        examples=["SPRING"]
    )


class BillCouponRead(Output):
    """A coupon as it was when it was redeemed."""

    code: str
    kind: Literal["percent", "amount"]
    value: DecimalOut = Field(description="In percent, or in major units of `currency`.")
    currency: str | None
    duration: Literal["once", "repeating", "forever"]
    months: int | None = Field(description="Of a repeating one.")
    redeemed_at: datetime


def bill_summary(bill: Bill) -> BillSummary:
    return BillSummary(**_figures(bill))


def bill_read(bill: Bill) -> BillRead:
    seller = dict(bill.seller)
    bank_details = seller.pop("bank_details")
    return BillRead(
        **_figures(bill),
        lines=[line_read(line, bill.currency) for line in bill.lines],
        discounts=[
            BillDiscount(code=one["code"], amount=Money(one["amount"], bill.currency))
            for one in bill.discounts
        ],
        tax_rate=bill.tax_rate,
        reverse_charge=bill.reverse_charge,
        seller=BillParty(**seller),
        buyer=BillParty(**bill.buyer),
        bank_details=bank_details,
        provider=bill.provider,
        attempts=bill.attempts,
        next_attempt_at=bill.next_attempt_at,
    )


def credit_note_read(note: BillCreditNote) -> BillCreditNoteRead:
    money = {
        name: Money(getattr(note, name), note.currency)
        for name in ("tax", "total", "applied", "to_balance", "refunded")
    }
    lines = [
        CreditedLine(position=line["position"], amount=Money(line["amount"], note.currency))
        for line in note.lines
    ]
    return BillCreditNoteRead(
        id=note.id,
        number=note.number,
        bill_id=note.bill_id,
        reason=note.reason,
        lines=lines,
        issued_at=note.issued_at,
        **money,
    )


def coupon_read(row: CouponRedemption) -> BillCouponRead:
    return BillCouponRead(**{name: getattr(row, name) for name in BillCouponRead.model_fields})


def _figures(bill: Bill) -> dict[str, Any]:
    amounts = ("subtotal", "discount", "tax", "total", "balance_applied", "paid", "credited", "due")
    plain = ("id", "number", "status", "issued_at", "due_at", "paid_at")
    return {
        **{name: getattr(bill, name) for name in plain},
        **{name: Money(getattr(bill, name), bill.currency) for name in amounts},
        "period": SpanRead(start=bill.period_start, end=bill.period_end),
        "following": SpanRead(start=bill.following_start, end=bill.following_end),
    }
