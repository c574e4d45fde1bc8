"""What goes over the wire for ageing, statements and credit."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.kernel.money import Currency, MoneyOut
from app.kernel.schemas import Input, Output
from app.modules.orders.models.receivables import CreditMode


class AgeingBuckets(Output):
    """What is open in one currency, by the days since it fell due; `balance` = `open` - `unallocated`."""

    currency: Currency
    not_due: MoneyOut
    days_1_to_30: MoneyOut
    days_31_to_60: MoneyOut
    days_61_to_90: MoneyOut
    over_90_days: MoneyOut
    open: MoneyOut
    unallocated: MoneyOut = Field(description="Payments and credit notes that settle nothing yet.")
    balance: MoneyOut


class NamedAccount(Output):
    id: UUID
    name: str | None


class AccountAgeing(AgeingBuckets):
    """One account in one currency."""

    account: NamedAccount


class Ageing(Output):
    """Receivables on a day in the company's time zone, the largest open amount first."""

    on: date
    complete: bool = Field(
        description="False where invoices or payments that you may not see are left out: then every sum is only of"
        " what you see. One account that you see is told whole if you may read payments."
    )
    totals: list[AgeingBuckets]
    data: list[AccountAgeing]
    next_cursor: str | None
    has_more: bool


class Movement(Output):
    """Something that changed what an account owes; `amount` is negative where it owes less."""

    on: date
    kind: Literal["invoice", "credit_note", "payment", "refund"]
    id: UUID
    number: str
    reference: str | None
    amount: MoneyOut
    balance: MoneyOut = Field(description="What is owed after it.")


class Statement(Output):
    """What an account owed at the beginning, what changed it, and what it owed at the end; one currency."""

    account: NamedAccount
    currency: Currency
    begins_on: date
    ends_on: date
    opening: MoneyOut
    invoiced: MoneyOut
    credited: MoneyOut
    received: MoneyOut
    refunded: MoneyOut
    closing: MoneyOut
    data: list[Movement]
    next_cursor: str | None
    has_more: bool


class CreditRead(Output):
    """How an account stands against its credit limit, in the limit's currency.

    The limit is null where it has none, or where it is hidden from you.
    `exposure` = `open_orders` (confirmed, not yet invoiced) + `receivables` - `unallocated`.
    """

    account_id: UUID
    limit: MoneyOut | None
    exposure: MoneyOut
    available: MoneyOut | None
    open_orders: MoneyOut
    receivables: MoneyOut
    unallocated: MoneyOut
    overdue: MoneyOut


class CreditSettingsRead(Output):
    """How orders beyond a credit limit are treated."""

    version: int
    mode: CreditMode


class CreditSettingsWrite(Input):
    """How orders beyond a credit limit are treated.

    They are refused (`block`), let through with a notice to the account's owner (`warn`), or confirmed only once
    they are approved (`approval`).
    """

    mode: CreditMode
