"""What other modules may know of opportunities: open one, look at some, and what was won."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Protocol
from uuid import UUID

from app.kernel.errors import Conflict
from app.kernel.events import Event
from app.kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOpportunity:
    """A chance to sell that another module opens.

    `pipeline` is a pipeline's key or id, absent the default one; `stage` a key in it, absent its first.
    """

    name: str
    account_id: UUID | None
    contact_id: UUID | None = None
    pipeline: str | None = None
    stage: str | None = None
    amount: Money | None = None
    expected_close_on: date | None = None
    source: str | None = None
    lead_id: UUID | None = None
    owner_id: UUID | None = None
    team_id: UUID | None = None
    external_id: str | None = None
    product_name: str | None = None
    next_step: str | None = None
    description: str | None = None
    custom: Mapping[str, Any] = field(default_factory=dict)

    def placed(self, account_id: UUID, contact_id: UUID | None) -> NewOpportunity:
        """The same for an account and a contact that were not known before."""
        return replace(self, account_id=account_id, contact_id=contact_id)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new opportunity would stand; `probability` in percent."""

    pipeline: str
    stage: str
    probability: int


@dataclass(frozen=True, slots=True)
class OpportunityRef:
    """An opportunity as others show it."""

    id: UUID
    name: str
    account_id: UUID | None
    owner_id: UUID | None
    stage: str
    status: str
    probability: int
    amount: Money | None
    expected_close_on: date | None
    closed_on: date | None
    contact_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpportunityLineRef:
    """A line of an opportunity as others copy it: its price in major units of `currency`, discounts as in totals."""

    product_id: UUID | None
    product_name: str
    description: str | None
    quantity: Decimal
    unit_price: Decimal
    currency: str
    discount_percent: Decimal | None
    discount_amount: int | None


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Won and lost opportunities of one owner, source, account and lead.

    `amount` sums the `amounts` won amounts that are known and in the tenant's currency, in minor units.
    """

    owner_id: UUID | None
    source: str | None
    account_id: UUID | None
    lead_id: UUID | None
    won: int
    lost: int
    amounts: int
    amount: int


class Opportunities(Protocol):
    """Opportunities of the tenant at hand, as far as the actor sees them."""

    async def open(self, new: NewOpportunity) -> OpportunityRef:
        """Open an opportunity. Raises `Forbidden`, `Invalid` for an unknown pipeline, stage or reference."""

    async def place(self, new: NewOpportunity) -> Place:
        """Where `open` would put it; writes nothing. Raises `Invalid` for an unknown pipeline or stage."""

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, OpportunityRef]:
        """Opportunities by id; ids that are unknown or not visible are absent."""

    async def lines_of(self, opportunity_id: UUID) -> Sequence[OpportunityLineRef]:
        """The lines of a visible opportunity in their order; none where its amounts are hidden."""

    async def outcomes(self, owner_ids: Collection[UUID], *, since: date) -> Sequence[OutcomeCount]:
        """What was won and lost since a day, by whom and of what kind: the base of win rates by segment.

        Owners that are not asked for are one, None. What the actor may not see is not counted; a field that
        their role hides is None, or not summed. One statement.
        """

    async def won_amounts(self, ids: Collection[UUID]) -> Mapping[UUID, Money | None]:
        """The amounts of those that are won and visible; the others are absent. One statement."""


class OpportunityClosed(Conflict):
    code = "opportunity_closed"
    title = "A won or lost opportunity must be reopened first"


class StageInUse(Conflict):
    code = "stage_in_use"
    title = "Opportunities stand in this stage"


class StageMoveNotAllowed(Conflict):
    """`stage` is where it stands, `allowed` the stages that may follow."""

    code = "stage_move_not_allowed"
    title = "The stage in which it stands does not lead there"


class CompetitorInUse(Conflict):
    code = "competitor_in_use"
    title = "Opportunities name this competitor"


class OpportunityStageChanged(Event):
    """An opportunity moved to another stage."""

    type: ClassVar[str] = "opportunities.opportunity.stage_changed.v1"
    object: ClassVar[str] = "opportunity"

    pipeline_id: UUID
    from_stage: str
    to_stage: str
    probability: int


class _Closed(Event):
    """What winning and losing tell."""

    object: ClassVar[str] = "opportunity"

    account_id: UUID | None
    contact_id: UUID | None
    lead_id: UUID | None
    owner_id: UUID | None
    source: str | None
    amount: dict[str, str] | None
    closed_on: date
    stage: str
    reason: str | None


class OpportunityWon(_Closed):
    """An opportunity was won."""

    type: ClassVar[str] = "opportunities.opportunity.won.v1"


class OpportunityLost(_Closed):
    """An opportunity was lost; `stage` is the last one that it reached."""

    type: ClassVar[str] = "opportunities.opportunity.lost.v1"


class OpportunityReopened(Event):
    """A won or lost opportunity is open again."""

    type: ClassVar[str] = "opportunities.opportunity.reopened.v1"
    object: ClassVar[str] = "opportunity"

    former_status: str
    stage: str


class OpportunityRotting(Event):
    """Nobody has touched an open opportunity for as long as its stage allows; told once per visit of a stage."""

    type: ClassVar[str] = "opportunities.opportunity.rotting.v1"
    object: ClassVar[str] = "opportunity"

    owner_id: UUID | None
    pipeline_id: UUID
    stage: str
    rotting_since: datetime


class PresalesRequestStepped(Event):
    """A presales request was accepted, handed over, declined or done."""

    type: ClassVar[str] = "opportunities.presales_request.stepped.v1"
    object: ClassVar[str] = "presales_request"

    opportunity_id: UUID
    step: str
    status: str
    owner_id: UUID | None


class ForecastSubmitted(Event):
    """A member submitted a figure for a period, or a manager overrode it."""

    type: ClassVar[str] = "opportunities.forecast.submitted.v1"
    object: ClassVar[str] = "forecast_submission"

    member_id: UUID
    period: str
    starts_on: date
    category: str
    kind: str
    amount: dict[str, str]
    note: str | None
