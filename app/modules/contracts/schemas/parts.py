"""The wire shapes of what a contract is made of: parties, lines, the payment plan, clauses."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.decimals import DecimalOut, Percent
from app.kernel.money import MoneyOut, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, Output, ShortText
from app.modules.catalog.interface import ChargeKind
from app.modules.contracts.interface import InstalmentStatus
from app.modules.contracts.models import DueAfter, PartyRole
from app.modules.contracts.schemas import Amount, Day, Days, Quantity

MOST_LINES = 500
MOST_INSTALMENTS = 600
MOST_PARTIES = 50
MOST_CLAUSES = 200
ClauseText = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class PartyInput(Input):
    """Somebody who is bound or signs. The name is taken from the contact or account unless given."""

    role: PartyRole
    account_id: UUID | None = None
    contact_id: UUID | None = None
    name: ShortText | None = None
    title: ShortText | None = Field(None, examples=["Managing director"])

    @model_validator(mode="after")
    def _somebody(self) -> PartyInput:
        if self.account_id is None and self.contact_id is None and self.name is None:
            raise PydanticCustomError("nobody", "A party is an account, a contact or a name")
        return self


class PartiesInput(Input):
    parties: Annotated[list[PartyInput], Field(max_length=MOST_PARTIES)]


class PartyRead(Output):
    id: UUID
    role: PartyRole
    account_id: UUID | None
    contact_id: UUID | None
    name: str
    title: str | None


class Parties(Output):
    data: list[PartyRead]


class LineInput(Input):
    """What is contracted. Its amount is quantity x price, rounded once, unless given."""

    product_id: UUID | None = None
    description: ShortText
    quantity: Quantity
    unit_price: UnitPriceIn
    charge: ChargeKind = ChargeKind.ONE_TIME
    amount: Amount | None = Field(None, description="As it was agreed, after discounts and with tax.")


class LinesInput(Input):
    lines: Annotated[list[LineInput], Field(max_length=MOST_LINES)]


class ContractLineRead(Output):
    """A line; prices are null where hidden from you."""

    id: UUID
    product_id: UUID | None
    description: str
    quantity: DecimalOut
    unit_price: UnitPriceOut | None
    charge: ChargeKind
    amount: MoneyOut | None


class ContractLines(Output):
    data: list[ContractLineRead]
    amount: MoneyOut | None = Field(description="What the lines come to.")


class DueRule(StrEnum):
    """When something of a plan falls due: on a day, some days after an event, or again and again over the term."""

    ON_DATE = "on_date"
    AFTER_SIGNING = "after_signing"
    AFTER_ACTIVATION = "after_activation"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"


RECURRING = {DueRule.MONTHLY: 1, DueRule.QUARTERLY: 3, DueRule.YEARLY: 12}
"""Months from one instalment to the next."""


class Due(Input):
    """`date` is the day of `on_date`, or the first one of what recurs (absent: the first day of the term)."""

    rule: DueRule = DueRule.AFTER_SIGNING
    date: Day | None = None
    days: Days | None = Field(None, description="After signing or activation; absent means 0.")
    count: int | None = Field(
        None, ge=1, le=MOST_INSTALMENTS, description="How often it recurs; absent means as long as the term."
    )

    @model_validator(mode="after")
    def _fits(self) -> Due:
        recurring = self.rule in RECURRING
        if self.rule is DueRule.ON_DATE and self.date is None:
            raise PydanticCustomError("date_required", "What is due on a date needs the date")
        if self.date is not None and not (recurring or self.rule is DueRule.ON_DATE):
            raise PydanticCustomError("no_date", "What is due after an event has days, not a date")
        if self.days is not None and (recurring or self.rule is DueRule.ON_DATE):
            raise PydanticCustomError("no_days", "Days go with what is due after signing or activation")
        if self.count is not None and not recurring:
            raise PydanticCustomError("no_count", "Only what recurs has a count")
        return self


class PlanItem(Input):
    """A share of the value: a percentage or an amount, shared out evenly where it recurs."""

    label: ShortText = Field(examples=["Deposit"])
    percent: Percent | None = None
    amount: Amount | None = None
    due: Due

    @model_validator(mode="after")
    def _one_share(self) -> PlanItem:
        if (self.percent is None) == (self.amount is None):
            raise PydanticCustomError("one_share", "An item of a plan is a percentage or an amount")
        return self


class PlanInput(Input):
    """A payment plan, whole; together its items are the contract's value. None takes the plan out."""

    items: Annotated[list[PlanItem], Field(max_length=MOST_INSTALMENTS)]


class InstalmentRead(Output):
    """One payment; amounts are null where hidden from you. `due_on` is null until it follows from the signature."""

    id: UUID
    position: int
    label: str
    amount: MoneyOut | None
    invoiced: MoneyOut | None
    paid: MoneyOut | None
    due_after: DueAfter | None
    due_days: int | None
    due_on: date | None
    status: InstalmentStatus


class PlanRead(Output):
    data: list[InstalmentRead]
    total: MoneyOut | None = Field(description="What the instalments come to that are not void.")


class ClauseInput(Input):
    """A clause of the library, or a text of its own with merge fields such as `{{account.name}}`."""

    template_id: UUID | None = None
    template_version: int | None = Field(None, ge=1, le=100_000, description="Absent means the current one.")
    title: ShortText | None = None
    body: ClauseText | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ClauseInput:
        if self.template_id is None and (self.title is None or self.body is None):
            raise PydanticCustomError(
                "source_required", "A clause is a template's, or has a title and a body"
            )
        if self.template_id is not None and (self.title is not None or self.body is not None):
            raise PydanticCustomError("one_source", "A clause is a template's, or has a text of its own")
        if self.template_version is not None and self.template_id is None:
            raise PydanticCustomError("template_required", "A version is one of a template")
        return self


class ClausesInput(Input):
    clauses: Annotated[list[ClauseInput], Field(max_length=MOST_CLAUSES)]


class ClauseRead(Output):
    """A clause as it was copied. `text` has the merge fields filled in; it stays as it was submitted."""

    id: UUID
    template_id: UUID | None
    template_version: int | None
    title: str
    body: str
    text: str
    missing: list[str] = Field(description="Merge fields that have no value.")


class Clauses(Output):
    data: list[ClauseRead]
