"""What goes over the wire for calls."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from app.kernel.contact import Phone
from app.kernel.money import MoneyOut
from app.kernel.schemas import Input, LongText, Output, Page, ShortText
from app.modules.after_sales.interface import CasePriority, CaseStatus
from app.modules.after_sales.models.desk import CallDirection

CallerObject = Literal["contact", "account", "lead"]


class CallCreate(Input):
    """A telephone call that begins."""

    number: Phone | None = Field(
        None,
        description="The other side's, as dialled or shown; null: withheld.",
        examples=["+31 10 123 4567"],
    )
    direction: CallDirection = Field(examples=["inbound"])
    agent_id: UUID | None = Field(
        None, description="The member on the line; absent: you. Others need `agent:manage`."
    )
    started_at: AwareDatetime | None = Field(None, description="Not later than now; absent: now.")


class CallAbout(Input):
    """Somebody whom a call was with, or a case that it was about."""

    object: Literal["contact", "account", "lead", "case"]
    record_id: UUID


class CallEnd(Input):
    """How a call went."""

    duration_seconds: int | None = Field(
        None, ge=0, le=604_800, description="Absent: since it began.", examples=[95]
    )
    outcome: ShortText | None = Field(None, examples=["answered"])
    note: LongText | None = None
    about: Annotated[list[CallAbout], Field(max_length=10)] | None = Field(
        None, description="Absent: whoever has the number, if that is one only."
    )


class CallAboutRead(Output):
    object: str
    record_id: UUID


class CallRead(Output):
    """A call."""

    id: UUID
    version: int
    number: str | None
    e164: str | None = Field(description="The number in E.164; null where that cannot be said.")
    direction: CallDirection
    agent_id: UUID
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: int | None
    outcome: str | None
    about: list[CallAboutRead] = Field(description="Whom it was with; empty until it ends.")
    activity_id: UUID | None = Field(description="The call on timelines, once it has ended.")


CallPage = Page[CallRead]


class CallerAccount(Output):
    id: UUID
    name: str


class CallerPurchase(Output):
    """An order of the account."""

    id: UUID
    number: str
    status: str
    ordered_on: str
    total: MoneyOut
    items: list[str] = Field(description="The first lines.")


class CallerCase(Output):
    id: UUID
    number: str
    subject: str
    status: CaseStatus
    priority: CasePriority
    owner_id: UUID | None
    opened_at: datetime


class CallerConversation(Output):
    id: UUID
    at: datetime
    kind: str
    title: str
    text: str | None
    outcome: str | None


class CallerMembership(Output):
    id: UUID
    programme: str
    number: str
    tier: str | None
    points: int
    since: str


class CallerRead(Output):
    """Somebody with this number, as far as you may see."""

    object: CallerObject
    id: UUID
    name: str
    company: str | None = Field(description="Of a lead.")
    account: CallerAccount | None = Field(description="Of a contact: their first account.")
    owner_id: UUID | None
    purchases: list[CallerPurchase] = Field(description="The account's newest orders.")
    open_cases: list[CallerCase] = Field(description="Unresolved ones, most urgent first.")
    conversations: list[CallerConversation] = Field(description="The last with them or their account.")
    memberships: list[CallerMembership]


class ScreenPop(CallRead):
    """A call, and who is on the other side."""

    callers: list[CallerRead] = Field(
        description="Whoever has the number: with open cases first, then the latest spoken to."
    )
    new_lead: dict[str, Any] | None = Field(
        description="For a number that nobody has: a body for `POST /v1/leads`."
    )
