"""What goes over the wire for promises to customers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import FilterTree, Input, Output, ShortText
from app.modules.after_sales.models.cases import SlaTarget
from app.modules.after_sales.models.sla import EscalationAction, EscalationTo

Minutes = Annotated[int, Field(ge=1, le=525_600)]
MOST_STEPS = 10


class EscalationStepInput(Input):
    """A step after a missed deadline. `to` a member or a queue names it; the manager is the owner's."""

    after_minutes: int = Field(0, ge=0, le=525_600, description="Working minutes after the missed deadline.")
    target: SlaTarget | None = Field(None, description="Only for this one; null: for any.")
    action: EscalationAction = EscalationAction.NOTIFY
    to: EscalationTo = EscalationTo.MANAGER
    member_id: UUID | None = None
    queue_id: UUID | None = None

    @model_validator(mode="after")
    def _names_whom(self) -> EscalationStepInput:
        if (self.to is EscalationTo.MEMBER) != (self.member_id is not None):
            raise PydanticCustomError("one_of", "Name the member that it goes to, and only then")
        if (self.to is EscalationTo.QUEUE) != (self.queue_id is not None):
            raise PydanticCustomError("one_of", "Name the queue that it goes to, and only then")
        if self.action is EscalationAction.NOTIFY and self.to is EscalationTo.QUEUE:
            raise PydanticCustomError("nobody", "A queue is nobody who could be told; reassign to it")
        if self.action is EscalationAction.REASSIGN and self.to is EscalationTo.OWNER:
            raise PydanticCustomError("no_change", "It is the owner's already; tell them")
        return self


class SlaPolicyCreate(Input):
    """How soon whom is answered. Minutes are working time of the calendar."""

    name: ShortText
    position: int = Field(100, ge=0, le=1_000_000, description="The smallest is asked first.")
    enabled: bool = True
    conditions: FilterTree | None = Field(None, description="A filter of cases; absent: all of them.")
    first_response_minutes: Minutes | None = Field(None, examples=[60])
    next_response_minutes: Minutes | None = None
    resolution_minutes: Minutes | None = Field(480, examples=[480])
    calendar_id: UUID | None = Field(None, description="Absent means the company's hours.")
    warn_percent: int = Field(80, ge=1, le=99, description="Warn when so much of the time is used up.")
    escalations: Annotated[list[EscalationStepInput], Field(max_length=MOST_STEPS)] = Field(
        default_factory=list
    )


class SlaPolicyUpdate(Input):
    """Changes to a policy; absent fields stay as they are."""

    name: ShortText | None = None
    position: int | None = Field(None, ge=0, le=1_000_000)
    enabled: bool | None = None
    conditions: FilterTree | None = None
    first_response_minutes: Minutes | None = None
    next_response_minutes: Minutes | None = None
    resolution_minutes: Minutes | None = None
    calendar_id: UUID | None = None
    warn_percent: int | None = Field(None, ge=1, le=99)
    escalations: Annotated[list[EscalationStepInput], Field(max_length=MOST_STEPS)] | None = None


class EscalationStepRead(Output):
    after_minutes: int
    target: SlaTarget | None
    action: EscalationAction
    to: EscalationTo
    member_id: UUID | None
    queue_id: UUID | None


class SlaPolicyRead(Output):
    """A promise to customers."""

    id: UUID
    version: int
    name: str
    position: int
    enabled: bool
    conditions: dict[str, Any] | None
    first_response_minutes: int | None
    next_response_minutes: int | None
    resolution_minutes: int | None
    calendar_id: UUID | None
    warn_percent: int
    escalations: list[EscalationStepRead]
    created_at: datetime
    updated_at: datetime


class SlaPolicies(Output):
    """All policies, in the order in which they are asked."""

    data: list[SlaPolicyRead]


class RecomputeStarted(Output):
    """The job that works out open deadlines anew; `GET /v1/jobs/{id}` tells how far it is."""

    job_id: UUID
