"""What goes over the wire for approvals."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.kernel.schemas import FilterTree, Input, Output, ShortText, patch_of
from app.modules.automation.models import DecisionState, HistoryAction, StepRule

StepKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$"), Field(examples=["finance"])]
ObjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=60),
    Field(examples=["opportunity"], description="The record type: `opportunity`, `quote`."),
]
Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000)]
Members = Annotated[list[UUID], Field(max_length=50)]


class ApproverKind(StrEnum):
    """How the members whom a step asks are found.

    `member`: those named; `role`: all who have it; `team_manager`: who leads the owner's team, or else the next one
    above; `manager`: the owner's manager, or at a higher `level` theirs; `field`: the member in a field of the
    record; `chosen`: whom the requester picks.
    """

    MEMBER = "member"
    ROLE = "role"
    TEAM_MANAGER = "team_manager"
    MANAGER = "manager"
    FIELD = "field"
    CHOSEN = "chosen"


class TimeUnit(StrEnum):
    """`working_hours` by the approver's business calendar, `days` of 24 hours."""

    WORKING_HOURS = "working_hours"
    DAYS = "days"


class EscalationTarget(StrEnum):
    MANAGER = "manager"
    MEMBER = "member"


class Approver(Input):
    """One source of approvers; only what its kind needs may be given."""

    kind: ApproverKind
    member_ids: Members = Field(default_factory=list, description="Kind `member`.")
    role: ShortText | None = Field(None, description="Kind `role`: its key.", examples=["manager"])
    level: int | None = Field(None, ge=1, le=10, description="Kind `manager`: 1 is the owner's own.")
    field: ShortText | None = Field(None, description="Kind `field`: one that holds a member's id.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Approver:
        needed = {
            ApproverKind.MEMBER: "member_ids",
            ApproverKind.ROLE: "role",
            ApproverKind.MANAGER: "level",
            ApproverKind.FIELD: "field",
        }.get(self.kind)
        for name in ("member_ids", "role", "level", "field"):
            if bool(getattr(self, name)) != (name == needed):
                verb = "needs" if name == needed else "takes no"
                raise PydanticCustomError("unfit_approver", f"An approver of kind {self.kind} {verb} {name}.")
        return self


class Patience(Input):
    """A span of time without an answer."""

    amount: int = Field(ge=1, le=1_000, examples=[8])
    unit: TimeUnit


class Escalation(Patience):
    """When a decision goes on to somebody else, and to whom."""

    to: EscalationTarget
    member_id: UUID | None = Field(None, description="With `to: member`.")

    @model_validator(mode="after")
    def _names_a_member(self) -> Escalation:
        if (self.to is EscalationTarget.MEMBER) != (self.member_id is not None):
            raise PydanticCustomError("unfit_escalation", "member_id goes with to: member, and only with it.")
        return self


class Step(Input):
    """One step; the steps are asked one after the other, the approvers of a step at the same time."""

    key: StepKey
    name_en: ShortText
    name_zh: ShortText | None = None
    condition: FilterTree | None = Field(None, description="The step is left out where this does not hold.")
    rule: StepRule = StepRule.ANY
    approvers: Annotated[list[Approver], Field(min_length=1, max_length=20)]
    remind_after: Patience | None = Field(None, description="Again and again until there is an answer.")
    escalate_after: Escalation | None = None


def _distinct(steps: list[Step]) -> list[Step]:
    if len({step.key for step in steps}) != len(steps):
        raise PydanticCustomError("duplicate_key", "Each step has a key of its own.")
    return steps


class ApprovalProcessCreate(Input):
    """Who approves records of one type, and when."""

    name_en: ShortText
    name_zh: ShortText | None = None
    object: ObjectName
    priority: int = Field(
        100, ge=0, le=1_000_000, description="Of the processes whose condition holds the lowest one asks."
    )
    enabled: bool = True
    condition: FilterTree | None = Field(
        None, description="As in `POST /v1/{object}/search`; absent, it holds always."
    )
    requester_may_approve: bool = Field(
        False, description="Whether somebody may approve what they asked for."
    )
    steps: Annotated[list[Step], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _distinct_steps(self) -> ApprovalProcessCreate:
        _distinct(self.steps)
        return self


ApprovalProcessUpdate = patch_of(ApprovalProcessCreate)


class ApproverRead(Output):
    kind: ApproverKind
    member_ids: list[UUID]
    role: str | None
    level: int | None
    field: str | None


class PatienceRead(Output):
    amount: int
    unit: TimeUnit


class EscalationRead(PatienceRead):
    to: EscalationTarget
    member_id: UUID | None


class ApprovalProcessStepRead(Output):
    """A step as it is kept."""

    key: str
    name_en: str
    name_zh: str | None
    condition: FilterTree | None
    rule: StepRule
    approvers: list[ApproverRead]
    remind_after: PatienceRead | None
    escalate_after: EscalationRead | None


class ApprovalProcessRead(Output):
    """A process as it is kept."""

    id: UUID
    version: int = Field(description="Grows with each change; the ETag.")
    name_en: str
    name_zh: str | None
    object: str
    priority: int
    enabled: bool
    condition: FilterTree | None
    requester_may_approve: bool
    steps: list[ApprovalProcessStepRead]
    created_at: datetime
    updated_at: datetime


class ApprovalPreviewRequest(Input):
    """A record, as it is, and whom the requester would pick."""

    object: ObjectName
    record_id: UUID
    chosen_ids: Members = Field(default_factory=list, description="For steps that leave the choice to you.")


class MemberName(Output):
    id: UUID
    name: str


class PreviewStep(Output):
    """What a step would do for the record."""

    key: str
    name_en: str
    name_zh: str | None
    rule: StepRule
    applies: bool = Field(description="Whether its condition holds.")
    approvers: list[MemberName]
    problem: str | None = Field(description="Why it could not be asked for: `no_approver`.")


class ApprovalPreview(Output):
    """The process that would ask, if any, and its steps."""

    process_id: UUID | None
    name_en: str | None
    name_zh: str | None
    steps: list[PreviewStep]


class ApprovalCreate(Input):
    """Ask for approval of a record."""

    object: ObjectName
    record_id: UUID
    note: Note | None = None
    resubmit: str = Field(
        "start",
        pattern="^(start|refusing_step)$",
        description="Where a refused request goes on: at the `start`, or at the `refusing_step` that said no.",
    )
    chosen_ids: Members = Field(default_factory=list, description="For steps that leave the choice to you.")


class ApprovalVerdict(Input):
    """An answer with a word to it."""

    note: Note | None = None
    on_behalf_of: UUID | None = Field(
        None, description="The approver for whom you decide; absent: you, or else the first you stand in for."
    )


class ApprovalRefusal(ApprovalVerdict):
    """A refusal, which says why."""

    note: Note = Field(examples=["The margin is too thin."])


class ApprovalHandOver(ApprovalVerdict):
    """Give one decision to another member."""

    member_id: UUID


class ApprovalRecall(Input):
    note: Note | None = None


class ApprovalItem(Output):
    """A request as lists show it."""

    id: UUID
    status: str = Field(description="`pending`, `approved`, `refused` or `recalled`.")
    object: str
    record_id: UUID
    label: str
    process_id: UUID
    process_name_en: str
    process_name_zh: str | None
    step: str = Field(description="The key of the step that it is at, or ended at.")
    waiting_for: list[UUID] = Field(description="The members whose answer is awaited.")
    requested_by: UUID | None
    owner_id: UUID | None = Field(description="Who owned the record when it was asked for.")
    note: str | None
    requested_at: datetime
    decided_at: datetime | None
    decided_by: UUID | None
    decision_note: str | None


class ApprovalDecisionRead(Output):
    """One approver's answer."""

    approver_id: UUID
    approver_name: str | None
    first_approver_id: UUID = Field(description="Whom the process asked, before it went on to others.")
    state: DecisionState
    decided_at: datetime | None
    decided_by: UUID | None = Field(description="Another than the approver where somebody stood in.")
    note: str | None
    escalate_at: datetime | None


class ApprovalStepRead(Output):
    """One step of a request."""

    key: str
    name_en: str
    name_zh: str | None
    rule: StepRule
    decisions: list[ApprovalDecisionRead]


class ApprovalHistoryRead(Output):
    """One thing that happened."""

    at: datetime
    action: HistoryAction
    step: str | None
    actor_id: UUID | None = Field(description="None where the clock did it.")
    actor_name: str | None
    on_behalf_of: UUID | None
    to_member_id: UUID | None
    note: str | None


class ApprovalRead(ApprovalItem):
    """A request with its steps and everything that happened to it, oldest first."""

    carried: list[str] = Field(description="Keys of steps that approved an earlier request, not asked again.")
    allowed: list[str] = Field(
        description="What you may do with it: `approve`, `refuse`, `delegate`, `recall`."
    )
    steps: list[ApprovalStepRead]
    history: list[ApprovalHistoryRead]


class ApprovalDelegationCreate(Input):
    """From `starts_at` until before `ends_at` somebody else may decide what waits for a member."""

    member_id: UUID | None = Field(None, description="Absent: you.")
    delegate_id: UUID
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    note: ShortText | None = Field(None, examples=["Annual leave"])


class ApprovalDelegationUpdate(Input):
    delegate_id: UUID | None = None
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    note: ShortText | None = None


class ApprovalDelegationRead(Output):
    id: UUID
    version: int
    member_id: UUID
    delegate_id: UUID
    starts_at: datetime
    ends_at: datetime
    note: str | None
    created_at: datetime
    updated_at: datetime
