"""The wire shapes of contracts and the steps of their life."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.kernel.decimals import DecimalOut
from app.kernel.money import Money, MoneyIn, MoneyOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.contracts.models import ContractKind, ContractLanguage, ContractStatus, RenewalStatus

MAX_AMOUNT_MINOR = 10**15  # sums of thousands still fit where money is kept


def _plausible_day(day: date) -> date:
    if not 1900 <= day.year < 2200:
        raise PydanticCustomError("implausible_date", "A date lies between the years 1900 and 2200")
    return day


def _plausible_amount(amount: Money) -> Money:
    if not 0 <= amount.amount_minor <= MAX_AMOUNT_MINOR:
        raise PydanticCustomError("amount_out_of_range", "The amount lies between nothing and ten trillion")
    return amount


Amount = Annotated[MoneyIn, AfterValidator(_plausible_amount)]
Day = Annotated[date, AfterValidator(_plausible_day)]
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$"), Field(examples=["3"])]
"""A plain decimal number as text, to six decimals."""
Uplift = Annotated[Decimal, Field(ge=-100, le=1000, max_digits=8, decimal_places=4)]
Days = Annotated[int, Field(ge=0, le=3650)]
Months = Annotated[int, Field(ge=1, le=1200)]


class ContractCreate(RecordInput):
    """A draft. Its number is given to it; its parties, lines, payment plan and clauses follow."""

    title: ShortText
    kind: ContractKind = ContractKind.SALE
    account_id: UUID | None = Field(None, description="The customer; needed.")
    contact_id: UUID | None = None
    opportunity_id: UUID | None = None
    value: Amount = Field(description="The whole value of the term, tax included.")
    starts_on: Day
    ends_on: Day | None = Field(None, description="The last day; absent means that the term is open.")
    language: ContractLanguage | None = Field(
        None, description="What it is written in; absent means your company's language."
    )
    description: LongText | None = None
    notice_days: Days = Field(0, description="Days between notice and the end of the contract.")
    auto_renew: bool = Field(False, description="Make the next period's contract when the term is over.")
    renewal_months: Months | None = Field(None, description="How long the next period is.")
    renewal_uplift_percent: Uplift = Field(
        Decimal(0), description="By how much prices rise with each renewal.", examples=["5"]
    )
    renewal_status: RenewalStatus = Field(
        RenewalStatus.DRAFT, description="Whether the next period's contract is in force at once."
    )
    renewal_reminder_days: Days | None = Field(
        30, description="Remind the owner so many days before the end; null means never."
    )


ContractUpdate = patch_of(ContractCreate)


class ContractRead(RecordOutput):
    """A contract."""

    number: str
    title: str
    kind: ContractKind
    status: ContractStatus
    account_id: UUID
    contact_id: UUID | None
    opportunity_id: UUID | None
    quote_id: UUID | None = Field(description="The accepted quote that it was made of.")
    value: MoneyOut = Field(description="The whole value of the term, tax included.")
    drawn: MoneyOut = Field(description="What orders have drawn on the value.")
    starts_on: date
    ends_on: date | None = Field(description="The last day; null while the term is open.")
    signed_on: date | None
    signed_by: str | None
    revision: int = Field(description="The number of the revision in force; 0 before the first.")
    language: ContractLanguage
    description: str | None
    notice_days: int
    notice_given_on: date | None
    terminates_on: date | None = Field(description="The first day on which it is no longer in force.")
    termination_reason: str | None
    void_reason: str | None
    auto_renew: bool
    renewal_months: int | None
    renewal_uplift_percent: DecimalOut
    renewal_status: RenewalStatus
    renewal_reminder_days: int | None
    predecessor_id: UUID | None = Field(description="The contract of the period before.")
    successor_id: UUID | None = Field(description="The contract of the period after.")


class ContractSubmission(Input):
    """A word to whoever approves."""

    note: ShortText | None = None
    chosen_ids: Annotated[list[UUID], Field(max_length=50)] = Field(
        default_factory=list, description="Approvers, for steps that leave the choice to you."
    )
    from_refusing_step: bool = Field(
        False, description="After a refusal: go on at the step that refused, not from the start."
    )


class ContractRecall(Input):
    note: ShortText | None = None


class Signature(Input):
    """Who signed, and when; absent means today."""

    signed_on: Day | None = None
    signed_by: ShortText | None = None


class Voiding(Input):
    reason: ShortText = Field(examples=["The customer wants other terms."])


class Termination(Input):
    """An end before the term is over, after the period of notice unless it is waived."""

    reason: ShortText = Field(examples=["Moved abroad"])
    terminates_on: Day | None = Field(
        None,
        description="The first day on which it is no longer in force; absent means as soon as notice allows.",
    )
    notice_given_on: Day | None = Field(None, description="Absent means today.")
    waive_notice: bool = False


class Renewal(Input):
    """The next period; what is absent is as the contract's own settings say."""

    months: Months | None = None
    uplift_percent: Uplift | None = None
    status: RenewalStatus | None = None


class DrawingRead(Output):
    """What one order draws."""

    id: UUID
    order_id: UUID
    amount: MoneyOut | None = Field(description="Null where hidden from you.")


class Drawings(Output):
    """A page of a contract's drawings, oldest first, and what is left of its value."""

    data: list[DrawingRead]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last.")
    has_more: bool
    drawn: MoneyOut | None
    left: MoneyOut | None
