"""The wire shapes of reasons, playbooks, costs and presales requests."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.decimals import DecimalOut
from app.kernel.money import MoneyOut, UnitPriceIn, UnitPriceOut
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.opportunities.models.work import CostKind, Outcome, PresalesKind, PresalesStatus
from app.modules.opportunities.schemas import Amount, Day, Key, Names, NamesRead
from app.modules.opportunities.schemas.selling import Quantity


class ReasonCreate(Input):
    """A reason for winning or losing. Once a company has some, those in use are the only ones, and `other`."""

    outcome: Outcome
    key: Key
    name: Names
    position: int | None = Field(None, ge=0, le=10_000, description="Absent means last.")
    requires_note: bool = Field(False, description="Whoever gives it also says more.")


class ReasonUpdate(Input):
    """Changes to a reason; opportunities that were closed with it keep it."""

    name: Names | None = None
    position: int | None = Field(None, ge=0, le=10_000)
    requires_note: bool | None = None
    is_active: bool | None = Field(None, description="False takes it out of use.")

    @model_validator(mode="after")
    def _no_nulls(self) -> ReasonUpdate:
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise PydanticCustomError("required", "Nothing of a reason may be null")
        return self


class ReasonRead(Output):
    """A reason for winning or losing."""

    id: UUID
    version: int
    outcome: Outcome
    key: str
    name: NamesRead
    position: int
    requires_note: bool
    is_active: bool


class Reasons(Output):
    """The company's reasons in their order."""

    data: list[ReasonRead]


class PlaybookItem(Output):
    """A task of a stage's playbook. `status` is the task's: open, done, cancelled, or deleted."""

    id: UUID
    stage: str
    key: str
    activity_id: UUID
    subject: str | None
    status: str
    done: bool
    owner_id: UUID | None
    due_at: datetime | None
    completed_at: datetime | None
    given_at: datetime
    is_current: bool = Field(description="Given out for the visit in which the opportunity stands.")


class Playbook(Output):
    """The playbook tasks of an opportunity, oldest first."""

    data: list[PlaybookItem]


class CostCreate(Input):
    """What selling cost: `amount`, or `hours` at an hourly `rate`."""

    kind: CostKind
    incurred_on: Day | None = Field(None, description="Absent means today.")
    member_id: UUID | None = Field(None, description="By whom; absent means you.")
    amount: Amount | None = Field(None, examples=[{"amount": "120.00", "currency": "CNY"}])
    hours: Quantity | None = None
    rate: UnitPriceIn | None = None
    note: LongText | None = None

    @model_validator(mode="after")
    def _one_way(self) -> CostCreate:
        timed = (self.hours is None, self.rate is None)
        if timed[0] != timed[1]:
            raise PydanticCustomError("hours_and_rate", "Hours come with a rate")
        if timed[0] == (self.amount is None):
            raise PydanticCustomError("amount_or_hours", "Give either an amount, or hours and a rate")
        return self


class CostUpdate(Input):
    """Changes to a cost; an amount takes the place of hours and rate, and they of it."""

    kind: CostKind | None = None
    incurred_on: Day | None = None
    member_id: UUID | None = None
    amount: Amount | None = None
    hours: Quantity | None = None
    rate: UnitPriceIn | None = None
    note: LongText | None = None

    @model_validator(mode="after")
    def _sound(self) -> CostUpdate:
        if any(getattr(self, name) is None for name in self.model_fields_set - {"member_id", "note"}):
            raise PydanticCustomError("required", "Only the member and the note may be null")
        if self.amount is not None and (self.hours is not None or self.rate is not None):
            raise PydanticCustomError("amount_or_hours", "Give either an amount, or hours and a rate")
        return self


class CostRead(Output):
    """A cost entry; amounts are null where hidden from you."""

    id: UUID
    version: int
    kind: CostKind
    incurred_on: date
    member_id: UUID | None
    member_name: str | None
    hours: DecimalOut | None
    rate: UnitPriceOut | None
    amount: MoneyOut | None
    note: str | None


class CostTotal(Output):
    """What was spent on one kind of thing in one currency."""

    kind: CostKind
    amount: MoneyOut


class Costs(Output):
    """The costs of an opportunity, newest first. `remaining` is the budget less what was spent in its currency."""

    data: list[CostRead]
    by_kind: list[CostTotal]
    total: list[MoneyOut] = Field(description="Per currency.")
    budget: MoneyOut | None
    remaining: MoneyOut | None


class PresalesRequestCreate(RecordInput):
    """A request for an engineer, a demo or a seminar. `owner_id` is who is asked; absent, anybody may take it."""

    opportunity_id: UUID
    kind: PresalesKind
    name: ShortText
    description: LongText | None = None
    wanted_on: Day | None = None


class _PresalesChanges(RecordInput):
    kind: PresalesKind
    name: ShortText
    description: LongText | None = None
    wanted_on: Day | None = None


PresalesRequestUpdate = patch_of(_PresalesChanges, "PresalesRequestUpdate")
PresalesRequestUpdate.__doc__ = "Changes to a presales request; absent fields stay as they are."


class PresalesRequestRead(RecordOutput):
    """A presales request. `answer_seconds` is how long it waited to be accepted or declined first."""

    opportunity_id: UUID
    kind: PresalesKind
    name: str
    description: str | None
    status: PresalesStatus
    wanted_on: date | None
    answered_at: datetime | None
    answer_seconds: int | None
    finished_at: datetime | None
    hours: DecimalOut | None
    handed_over_from: UUID | None
    decline_reason: str | None
    result: str | None


class PresalesDecline(Input):
    """Why it is not done."""

    reason: ShortText


class PresalesHandOver(Input):
    """Who takes it instead; they accept or decline it anew."""

    owner_id: UUID
    note: Annotated[str, Field(max_length=500)] | None = None


class PresalesCompletion(Input):
    """What it took. With a rate, the hours become a cost of the opportunity."""

    hours: Quantity
    rate: UnitPriceIn | None = None
    result: LongText | None = None
