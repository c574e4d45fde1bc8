"""Opportunities as records: how stage, status, probability and dates follow from each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.errors import Invalid, InvalidTransition, StaleVersion
from app.kernel.money import Money, format_minor
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.opportunities.interface import (
    OpportunityClosed,
    OpportunityLost,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityWon,
)
from app.modules.opportunities.models import Opportunity, OpportunityStatus
from app.modules.opportunities.schemas import OTHER, OpportunityCreate, OpportunityRead, OpportunityUpdate
from app.modules.opportunities.services.home_amounts import HomeAmounts
from app.modules.opportunities.services.imports import OpportunityImport
from app.modules.opportunities.services.pipelines import PipelineInfo, PipelineService, StageInfo
from app.modules.opportunities.services.references import References
from app.modules.opportunities.services.stage_history import StageHistory

OPEN, WON, LOST = OpportunityStatus.OPEN, OpportunityStatus.WON, OpportunityStatus.LOST
TRANSITIONS: Mapping[str, frozenset[str]] = {
    OPEN: frozenset({WON, LOST}),
    WON: frozenset({OPEN}),
    LOST: frozenset({OPEN}),
}
"""From a status to those that may follow. What is won cannot be lost without being open in between."""
_DERIVED = frozenset({"stage", "status", "probability", "pipeline_id", "opened_on", "created_at"})


class OpportunityService(OpportunityImport, RecordService[Opportunity]):
    """Opportunities with their stages and outcomes."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.pipelines = PipelineService(uow)
        self.references = References(uow)
        self.history = StageHistory(uow)
        self.home_amounts = HomeAmounts(uow)
        self._inherited = False

    # -- creating ------------------------------------------------------------------------------------------

    async def create(
        self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None
    ) -> Opportunity:
        """As every record; what is over already, or came to be before today, needs `opportunity:import`."""
        if given.get("created_at") is not None or given.get("status") not in (None, OPEN):
            self.actor.require("opportunity:import")
        return await super().create(given, explicit=explicit)

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As every record; what is left open here follows from the stage, the status or the day."""
        return super()._columns({n: v for n, v in given.items() if v is not None or n not in _DERIVED})

    async def open_for(self, owner_id: UUID | None, given: Mapping[str, Any]) -> Opportunity:
        """Create one that inherits its owner and team, as a converted lead's does; no right to assign is needed."""
        self._inherited = owner_id is not None
        try:
            return await self.create(given, explicit=())
        finally:
            self._inherited = False

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        if not self._inherited:
            await super()._assign(values, creating=creating)

    async def before_create(self, values: dict[str, Any]) -> None:
        await self.complete(values)

    async def complete(self, values: dict[str, Any]) -> None:
        """The columns of a new opportunity from what was given of them. Raises `Invalid`."""
        pipeline = await self.pipelines.stored(values.get("pipeline_id"))
        values["pipeline_id"] = pipeline.id
        self._settle(values, pipeline)
        _check_outcome(values)
        _check_days(values, self._today())
        await self.references.check(values)
        values |= await self.home_amounts.of(values)

    def _settle(self, values: dict[str, Any], pipeline: PipelineInfo) -> None:
        """Stage, status, probability and days of a new opportunity from what was given of them."""
        wanted = values.get("stage")
        stage = pipeline.stage(wanted) if wanted else pipeline.first
        implied = _status_of(stage)
        status = OpportunityStatus(values.get("status") or implied)
        if implied is not OPEN and status is not implied:
            raise Invalid.at("/status", "contradiction", f"What stands in {stage.key!r} is {implied}.")
        if status is not OPEN:
            self.actor.require("opportunity:import")
        last_open = None if stage.is_closed or not (wanted or status is OPEN) else stage.key
        if status is WON:
            stage = pipeline.won
        values |= {"stage": stage.key, "last_open_stage": last_open, "status": status.value}
        if values.get("probability") is None or status is not OPEN:
            values["probability"] = _probability(status, stage)
        today = self._today()
        if values.get("opened_on") is None:
            # What was imported as closed long ago was not opened today.
            since = values.get("created_at")
            opened = since.astimezone(self.actor.tenant.zone).date() if since else today
            values["opened_on"] = min(opened, values.get("closed_on") or opened)
        if status is not OPEN:
            values["closed_on"] = values.get("closed_on") or today

    async def after_create(self, row: Opportunity) -> None:
        await self.enter_all([row])

    async def enter_all(self, rows: Sequence[Opportunity]) -> None:
        """New opportunities stand in their first stages; those that are over already say how they ended."""
        await self.history.begin(
            [(row, self._moment(row.closed_on or row.opened_on)) for row in rows], self.actor.member_id
        )
        for row in rows:
            if row.status != OPEN:
                self._publish_outcome(row)

    # -- changing ------------------------------------------------------------------------------------------

    async def change(
        self, row: Opportunity, given: Mapping[str, Any], *, action: str = "updated"
    ) -> Opportunity:
        """As every record; what follows from the stage cannot be cleared. Raises `Invalid`."""
        for name in sorted(_DERIVED & given.keys() - {"created_at"}):
            if given[name] is None:
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        return await super().change(row, given, action=action)

    async def before_update(self, row: Opportunity, changes: dict[str, Any]) -> None:
        if changes.pop("created_at", None) is not None:
            raise Invalid.at("/created_at", "read_only", "When it came to be is said when it is created.")
        if "amount" in changes and changes["amount"] is None:
            changes["currency"] = None
        pipeline = await self.pipelines.stored(changes.get("pipeline_id", row.pipeline_id))
        if "stage" in changes and changes["stage"] != row.stage:
            changes["stage"] = pipeline.stage(changes["stage"]).key
        self._move(row, changes, pipeline)
        after = {**row.__dict__, **changes}
        _check_outcome(after)
        _check_days(after, self._today())
        await self.references.check(after, changes)
        if self.home_amounts.depends_on(changes):
            changes |= await self.home_amounts.of(after)

    def _move(self, row: Opportunity, changes: dict[str, Any], pipeline: PipelineInfo) -> None:
        """Complete a change of stage, status or pipeline to all that follows from it."""
        wanted = changes.get("stage", row.stage)
        moved = wanted != row.stage or changes.get("pipeline_id", row.pipeline_id) != row.pipeline_id
        stage = pipeline.stage(wanted) if moved else pipeline.find(wanted)
        status = OpportunityStatus(changes.get("status", row.status))
        if moved and stage is not None:
            if row.status != OPEN and status == row.status:
                raise OpportunityClosed(f"It is {row.status}.", status_now=row.status)
            implied = _status_of(stage)
            if stage.is_closed and changes.get("status", implied) != implied:
                raise Invalid.at("/status", "contradiction", f"What stands in {stage.key!r} is {implied}.")
            if "status" not in changes or stage.is_closed:
                status = implied
        if status != row.status:
            if status not in TRANSITIONS[row.status]:
                raise InvalidTransition(
                    f"What is {row.status} cannot become {status}.", status_now=row.status
                )
            stage = self._end_or_reopen(row, changes, pipeline, status, stage)
        if stage is None:
            return
        changes |= {"stage": stage.key, "status": status.value}
        if status is OPEN:
            changes["last_open_stage"] = stage.key
        changed = moved or status != row.status
        if (changed and "probability" not in changes) or status is not OPEN:
            changes["probability"] = _probability(status, stage)

    def _end_or_reopen(
        self,
        row: Opportunity,
        changes: dict[str, Any],
        pipeline: PipelineInfo,
        status: OpportunityStatus,
        stage: StageInfo | None,
    ) -> StageInfo:
        """The stage in which it stands after it was won, lost (the last one is kept) or opened again."""
        if status is OPEN:
            changes |= {"closed_on": None, "win_reason": None, "loss_reason": None}
            if stage is not None and not stage.is_closed:
                return stage
            return pipeline.find(row.last_open_stage or "") or pipeline.first
        if stage is not None and not stage.is_closed:
            changes["last_open_stage"] = stage.key
        if changes.get("closed_on") is None:
            changes["closed_on"] = max(self._today(), row.opened_on)
        return pipeline.won if status is WON else stage or pipeline.first

    async def after_update(self, before: Opportunity, after: Opportunity) -> None:
        if (before.stage, before.status, before.pipeline_id) == (
            after.stage,
            after.status,
            after.pipeline_id,
        ):
            return
        await self.history.enter(after, before.stage, self._entered(after))
        if before.stage != after.stage:
            self.uow.publish(
                OpportunityStageChanged(
                    id=after.id,
                    pipeline_id=after.pipeline_id,
                    from_stage=before.stage,
                    to_stage=after.stage,
                    probability=after.probability,
                )
            )
        if before.status == after.status:
            return
        if after.status == OPEN:
            self.uow.publish(OpportunityReopened(id=after.id, former_status=before.status, stage=after.stage))
            return
        self._publish_outcome(after)
        if after.status == WON and after.account_id is not None:
            await self.uow.of(Customers).advance(after.account_id, "customer")

    # -- actions -------------------------------------------------------------------------------------------

    async def close(
        self, id: UUID, given: Mapping[str, Any], *, status: OpportunityStatus, expected_version: int
    ) -> Opportunity:
        """Win or lose an open opportunity. Raises `InvalidTransition`, and `Invalid` where a reason is wanted."""
        row = await self._locked(id, expected_version)
        if row.status != OPEN:
            raise InvalidTransition(f"It is {row.status} already.", status_now=row.status)
        kept = {name: value for name, value in given.items() if value is not None}
        return await self.change(row, kept | {"status": status}, action=status.value)

    async def reopen(self, id: UUID, *, expected_version: int) -> Opportunity:
        """Open what was won or lost, in the last open stage. Raises `InvalidTransition`."""
        row = await self._locked(id, expected_version)
        if row.status == OPEN:
            raise InvalidTransition("It is open.", status_now=row.status)
        return await self.change(row, {"status": OPEN}, action="reopened")

    async def _locked(self, id: UUID, expected_version: int) -> Opportunity:
        row = await self.get(id, action="update", lock="update")
        if row.version != expected_version:
            raise StaleVersion(
                f"You read version {expected_version}; it is {row.version} now.", current_version=row.version
            )
        return row

    # -- helpers -------------------------------------------------------------------------------------------

    def _today(self) -> date:
        return self.uow.now.astimezone(self.actor.tenant.zone).date()

    def _moment(self, day: date) -> datetime:
        """When a past day began where the tenant is; today is now."""
        if day >= self._today():
            return self.uow.now
        return datetime.combine(day, time(), self.actor.tenant.zone)

    def _entered(self, row: Opportunity) -> datetime:
        return self._moment(row.closed_on) if row.closed_on else self.uow.now

    def _publish_outcome(self, row: Opportunity) -> None:
        kind = OpportunityWon if row.status == WON else OpportunityLost
        amount = None
        if row.amount is not None and row.currency is not None:
            amount = {"amount": format_minor(row.amount, row.currency), "currency": row.currency}
        self.uow.publish(
            kind(
                id=row.id,
                account_id=row.account_id,
                contact_id=row.contact_id,
                lead_id=row.lead_id,
                owner_id=row.owner_id,
                source=row.source,
                amount=amount,
                closed_on=row.closed_on or self._today(),
                stage=row.last_open_stage or row.stage,
                reason=row.win_reason if row.status == WON else row.loss_reason,
            )
        )


def money_of(row: Opportunity) -> Money | None:
    """The amount with its currency."""
    return None if row.amount is None or row.currency is None else Money(row.amount, row.currency)


def _status_of(stage: StageInfo) -> OpportunityStatus:
    if not stage.is_closed:
        return OPEN
    return WON if stage.is_won else LOST


def _probability(status: OpportunityStatus, stage: StageInfo) -> int:
    return {OPEN: stage.probability, WON: 100, LOST: 0}[status]


def _check_outcome(values: Mapping[str, Any]) -> None:
    """A loss has a reason, and "other" has a note."""
    if values["status"] == LOST and not values.get("loss_reason"):
        raise Invalid.at("/loss_reason", "required", "Say why it was lost.")
    reason = values.get("win_reason") if values["status"] == WON else values.get("loss_reason")
    if values["status"] != OPEN and reason == OTHER and not (values.get("outcome_note") or "").strip():
        raise Invalid.at("/outcome_note", "required", "The reason `other` wants a note.")


def _check_days(values: Mapping[str, Any], today: date) -> None:
    opened, closed = values["opened_on"], values.get("closed_on")
    if closed is not None and values["status"] == OPEN:
        raise Invalid.at("/closed_on", "not_closed", "Only what is won or lost has been closed.")
    if closed is None and values["status"] != OPEN:
        raise Invalid.at("/closed_on", "required", "What is won or lost was closed on a day.")
    if opened > today:
        raise Invalid.at("/opened_on", "in_the_future", "It cannot have been opened after today.")
    if closed is not None and closed > today:
        raise Invalid.at("/closed_on", "in_the_future", "It cannot have been closed after today.")
    if closed is not None and closed < opened:
        raise Invalid.at("/closed_on", "before_opening", "It cannot have been closed before it was opened.")


OPPORTUNITY: RecordType[Opportunity] = RecordType(
    object="opportunity",
    plural="opportunities",
    module="opportunities",
    model=Opportunity,
    read=OpportunityRead,
    create=OpportunityCreate,
    update=OpportunityUpdate,
    service=OpportunityService,
    search=Search(names=("name", "product_name")),
    currencies={"amount_home": "home_currency"},
    follows={"amount_home": "amount"},
    labels={
        "name": ("opportunity", "opportunity name", "deal", "商机", "商机名称"),
        "stage": ("deal stage", "阶段"),
        "status": ("状态",),
        "amount": ("value", "close value", "金额"),
        "expected_close_on": ("expected close", "close date", "预计成交日期"),
        "opened_on": ("engage date", "open date", "创建日期"),
        "closed_on": ("closed at", "closed", "成交日期"),
        "product_name": ("product", "产品"),
        "source": ("lead source", "来源"),
        "loss_reason": ("lost reason", "丢单原因"),
        "win_reason": ("won reason", "赢单原因"),
    },
)
OpportunityService.record = OPPORTUNITY
