"""What other modules may know of leads: who they are, what they became, and why a step is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event
from app.modules.customers.interface import RecordClaimed, RecordPooled, RecycleReminded


@dataclass(frozen=True, slots=True)
class LeadRef:
    """A lead as others show it."""

    id: UUID
    name: str
    company: str | None
    status: str
    source: str | None
    owner_id: UUID | None
    converted_account_id: UUID | None
    converted_contact_id: UUID | None
    converted_opportunity_id: UUID | None


class Leads(Protocol):
    """Leads of the tenant at hand, as far as the actor sees them."""

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, LeadRef]:
        """Leads by id; ids that are unknown or not visible are absent. One merged away answers with the survivor."""

    async def by_phone(self, e164: str) -> Sequence[LeadRef]:
        """Visible leads with this number in E.164 that are not converted, newest first, at most 20. One statement."""

    async def responded(self, id: UUID, at: datetime) -> None:
        """Note the first response to a lead; a later one changes nothing."""


class PoolTarget(Protocol):
    """Port: somewhere else that an assignment rule may put leads, such as a public pool.

    Each implementation brings one kind of target; rules name the kind and the id of one of its things.
    """

    kind: str

    async def known(self, ids: Collection[UUID]) -> frozenset[UUID]:
        """Those of these ids into which leads can be put."""

    async def put(self, leads: Mapping[UUID, UUID]) -> None:
        """Take in leads, by id, into the thing with the other id. They have no owner and wait in no queue."""


class LeadAlreadyConverted(Conflict):
    """Carries what it became: `account_id`, `contact_id`, `opportunity_id`."""

    code = "lead_already_converted"
    title = "A converted lead is read-only"


class QueueInUse(Conflict):
    """Carries the number of `leads` that wait in it and of `rules` that fill it."""

    code = "lead_queue_in_use"
    title = "Leads wait in this queue, rules fill it, or it is the default"


class TerritoryInUse(Conflict):
    code = "territory_in_use"
    title = "Territories or rules depend on this territory"


class LeadQualified(Event):
    """A lead is worth selling to."""

    type: ClassVar[str] = "leads.lead.qualified.v1"
    object: ClassVar[str] = "lead"

    owner_id: UUID | None
    source: str | None


class LeadDisqualified(Event):
    """A lead is not worth more work, and why."""

    type: ClassVar[str] = "leads.lead.disqualified.v1"
    object: ClassVar[str] = "lead"

    reason: str
    note: str | None


class LeadConverted(Event):
    """A lead became an account, a contact and, if asked, an opportunity."""

    type: ClassVar[str] = "leads.lead.converted.v1"
    object: ClassVar[str] = "lead"

    account_id: UUID
    account_created: bool
    contact_id: UUID | None
    contact_created: bool
    opportunity_id: UUID | None
    owner_id: UUID
    source: str | None


class LeadAssigned(Event):
    """A lead was given to a member, or put into a queue to wait for one."""

    type: ClassVar[str] = "leads.lead.assigned.v1"
    object: ClassVar[str] = "lead"

    owner_id: UUID | None
    former_owner_id: UUID | None
    team_id: UUID | None
    queue_id: UUID | None
    rule_id: UUID | None
    cause: str
    response_due_at: datetime | None


class LeadResponseDueSoon(Event):
    """Nobody has answered a lead yet, and the time to do so is nearly over."""

    type: ClassVar[str] = "leads.lead.response_due_soon.v1"
    object: ClassVar[str] = "lead"

    owner_id: UUID | None
    queue_id: UUID | None
    due_at: datetime


class LeadResponseOverdue(Event):
    """Nobody answered a lead in time. `reassignments` counts how often it had been given to somebody else."""

    type: ClassVar[str] = "leads.lead.response_overdue.v1"
    object: ClassVar[str] = "lead"

    owner_id: UUID | None
    queue_id: UUID | None
    rule_id: UUID | None
    due_at: datetime
    reassignments: int


class LeadScored(Event):
    """A lead's score or grade changed without an edit: by what it did, by time, or by another scoring model."""

    type: ClassVar[str] = "leads.lead.scored.v1"
    object: ClassVar[str] = "lead"

    from_score: int | None
    to_score: int
    from_grade: str | None
    to_grade: str
    cause: Literal["behaviour", "recompute"]


class LeadScoreThresholdCrossed(Event):
    """A lead's grade became another one, once per crossing; a first grade counts unless it is the lowest."""

    type: ClassVar[str] = "leads.lead.score_threshold_crossed.v1"
    object: ClassVar[str] = "lead"

    direction: Literal["up", "down"]
    from_grade: str | None
    to_grade: str
    from_score: int | None
    to_score: int
    cause: Literal["created", "updated", "behaviour", "recompute"]
    owner_id: UUID | None


class LeadBehaviourRecorded(Event):
    """A lead did something that scoring may count."""

    type: ClassVar[str] = "leads.lead.behaviour_recorded.v1"
    object: ClassVar[str] = "lead"

    behaviour_id: UUID
    kind: str
    detail: str | None
    occurred_at: datetime


class ScoringModelActive(Conflict):
    """The model in use cannot be deleted."""

    code = "scoring_model_active"
    title = "The scoring model is in use"


class BehaviourDiffers(Conflict):
    """A source id stands for one occurrence; it was used for another one."""

    code = "behaviour_differs"
    title = "This source id was used for another behaviour"


class LeadStageInUse(Conflict):
    """Leads stand in a stage that is left out or moved; carries `stages`."""

    code = "lead_stage_in_use"
    title = "Leads stand in this stage"


class LeadPooled(RecordPooled):
    """A lead went into a pool."""

    type: ClassVar[str] = "leads.lead.pooled.v1"
    object: ClassVar[str] = "lead"


class LeadClaimed(RecordClaimed):
    """A member claimed a lead from a pool."""

    type: ClassVar[str] = "leads.lead.claimed.v1"
    object: ClassVar[str] = "lead"


class LeadDistributed(RecordClaimed):
    """An administrator of a pool gave a lead to a member."""

    type: ClassVar[str] = "leads.lead.distributed.v1"
    object: ClassVar[str] = "lead"


class LeadRecycleReminded(RecycleReminded):
    """A lead will go into a pool soon."""

    type: ClassVar[str] = "leads.lead.recycle_reminded.v1"
    object: ClassVar[str] = "lead"


class FormSubmitted(Event):
    """Something that a visitor sent became a lead (`created`) or a touch on one (`touched`)."""

    type: ClassVar[str] = "leads.form.submitted.v1"
    object: ClassVar[str] = "form"

    submission_id: UUID
    lead_id: UUID
    outcome: str
