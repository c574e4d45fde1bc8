"""What goes over the wire for cases."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from app.kernel.contact import Email
from app.kernel.schemas import Input, LongText, Output, RecordInput, RecordOutput, ShortText, patch_of
from app.modules.after_sales.interface import CaseChannel, CasePriority, CaseStatus
from app.modules.after_sales.models.cases import CaseSeverity, SlaTarget
from app.modules.after_sales.schemas.skills import QueueSkillRead, Skills

CaseKind = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
LanguageTag = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"), Field(examples=["de"])
]
CustomerStatus = Literal["received", "in_progress", "waiting_for_you", "solved", "closed"]


class CaseFields(RecordInput):
    """What may be said of a case at any time."""

    subject: ShortText = Field(examples=["The pump is leaking"])
    description: LongText | None = None
    type: CaseKind | None = Field(None, examples=["incident"], description="Question, incident, complaint …")
    priority: CasePriority = CasePriority.NORMAL
    severity: CaseSeverity | None = None
    account_id: UUID | None = Field(
        None, description="Absent means the contact's, the order's or the asset's."
    )
    contact_id: UUID | None = None
    product_id: UUID | None = Field(None, description="Absent means the order line's or the asset's.")
    asset_id: UUID | None = None
    order_id: UUID | None = None
    order_line_id: UUID | None = Field(None, description="What was bought; needs its order.")
    parent_id: UUID | None = Field(None, description="The case that this one is a part of.")
    queue_id: UUID | None = Field(None, description="Where it waits for somebody; then nobody owns it yet.")
    email: Email | None = Field(
        None, description="Of whoever asked: answers go there where the case has no contact with an address."
    )
    language: LanguageTag | None = Field(None, description="What the customer writes in (BCP 47).")
    skills: Skills | None = Field(
        None, description="What whoever takes it must be able to do; absent or null: the rules say so."
    )


class CaseCreate(CaseFields):
    """A new case. With `dedupe`, an unresolved case of that name is answered instead."""

    channel: CaseChannel = CaseChannel.API
    dedupe: ShortText | None = Field(
        None, description="What it is about; of one name one case is unresolved."
    )
    opened_at: AwareDatetime | None = Field(
        None, description="When it came in, not later than now; absent: now."
    )
    first_response_at: AwareDatetime | None = Field(
        None, description="Of a case of the past: when we answered."
    )
    resolved_at: AwareDatetime | None = Field(None, description="Of a case of the past: when it was solved.")
    closed_at: AwareDatetime | None = Field(None, description="Of a case of the past that was resolved.")
    resolution: LongText | None = Field(None, description="Of a case of the past: how it was solved.")


CaseUpdate = patch_of(CaseFields, "CaseUpdate")


class Warranty(Output):
    """What was promised for the thing, as it stood when the case was opened."""

    source: Literal["order_line", "asset"]
    source_id: UUID
    name: str | None
    starts_on: date | None
    ends_on: date | None = Field(description="The last day under warranty; null where none was promised.")
    covered: bool = Field(description="Whether it was under warranty when the case was opened.")
    terms: str | None


class CaseRead(RecordOutput):
    """A case as stored."""

    number: str
    subject: str
    description: str | None
    type: str | None
    priority: CasePriority
    severity: CaseSeverity | None
    status: CaseStatus
    channel: CaseChannel
    account_id: UUID | None
    contact_id: UUID | None
    product_id: UUID | None
    asset_id: UUID | None
    order_id: UUID | None
    order_line_id: UUID | None
    parent_id: UUID | None
    queue_id: UUID | None
    dedupe: str | None
    warranty: Warranty | None
    resolution: str | None
    opened_at: datetime
    first_response_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    reopened_at: datetime | None = Field(description="When it was opened again last.")
    reopened_count: int
    reopenable_until: datetime | None = Field(description="Set while it is resolved or closed.")
    escalation_level: int
    due_at: datetime | None = Field(description="The earliest deadline that runs.")
    due_target: SlaTarget | None
    sla_failed: bool = Field(description="Some deadline was missed.")
    response_class: str | None = Field(
        description="That of the customer's service contract when the case was told of customer or asset."
    )
    split_from_id: UUID | None = Field(description="The case that it was once a part of.")
    email: str | None
    language: str | None
    skills: list[QueueSkillRead] | None = Field(description="Those that somebody said; null: by the rules.")
    required_skills: list[QueueSkillRead] = Field(
        description="What routing asks for, in lower case. What is not required is dropped as its queue says."
    )
    routed_at: datetime | None = Field(
        description="When routing gave it to its owner; null where somebody did."
    )


class ClockRead(Output):
    """A promise about a case, and how it stands."""

    target: SlaTarget
    policy_id: UUID
    state: Literal["running", "paused", "met", "failed"] = Field(
        description="`failed` is for good, also when it was met later."
    )
    goal_seconds: int = Field(description="Working time that was promised.")
    started_at: datetime
    due_at: datetime | None = Field(description="Null while it is paused.")
    warned_at: datetime | None
    breached_at: datetime | None = Field(description="The deadline that was missed.")
    ended_at: datetime | None


class CaseDetail(CaseRead):
    """A case, what the customer reads of its status, and its promises."""

    customer_status: CustomerStatus
    clocks: list[ClockRead] = Field(description="The newest first.")


class CaseResolution(Input):
    """How it was solved."""

    resolution: LongText | None = Field(None, examples=["Replaced the seal"])


class CaseReason(Input):
    """Why a step is taken; for the audit log."""

    reason: str | None = Field(None, max_length=500, examples=["It leaks again"])
