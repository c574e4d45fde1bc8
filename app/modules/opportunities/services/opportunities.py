"""Opportunities as records: how stage, status, probability and dates follow from each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar
from uuid import UUID

from app.kernel.errors import Invalid, InvalidTransition, require_version
from app.kernel.ids import new_id
from app.kernel.money import format_minor
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.customers.interface import Customers
from app.modules.opportunities.interface import (
    OpportunityClosed,
    OpportunityLost,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityWon,
)
from app.modules.opportunities.models import Opportunity, OpportunityStatus
from app.modules.opportunities.schemas import (
    OpportunityCreate,
    OpportunityRead,
    OpportunityUpdate,
    StageVisitRead,
)
from app.modules.opportunities.services.competitors import CompetitorService
from app.modules.opportunities.services.home_amounts import HomeAmounts
from app.modules.opportunities.services.imports import OpportunityImport
from app.modules.opportunities.services.outcomes import (
    LOST,
    OPEN,
    WON,
    category_of,
    check_days,
    check_outcome,
    probability_of,
    status_of,
)
from app.modules.opportunities.services.pipelines import PipelineInfo, PipelineService, StageInfo
from app.modules.opportunities.services.playbook import Playbooks
from app.modules.opportunities.services.reasons import OutcomeReasons
from app.modules.opportunities.services.references import References
from app.modules.opportunities.services.stage_entry import StageEntry
from app.modules.opportunities.services.stage_history import StageHistory

TRANSITIONS: Mapping[str, frozenset[str]] = {
    OPEN: frozenset({WON, LOST}),
    WON: frozenset({OPEN}),
    LOST: frozenset({OPEN}),
}
"""From a status to those that may follow. What is won cannot be lost without being open in between."""
_DERIVED = frozenset(
    {"stage", "status", "probability", "forecast_category", "pipeline_id", "opened_on", "created_at"}
)
_PLACE = frozenset({"stage", "status", "pipeline_id"})
_SAY_WHY = ("status", "win_reason", "loss_reason", "outcome_note")


class OpportunityService(OpportunityImport, RecordService[Opportunity]):
    """Opportunities with their stages and outcomes."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.pipelines = PipelineService(uow)
        self.references = References(uow)
        self.history = StageHistory(uow)
        self.reasons = OutcomeReasons(uow)
        self.entry = StageEntry(uow)
        self.playbooks = Playbooks(uow)
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
        await self.references.hold_account(values.get("account_id"), self.pipelines.hold_beside)
        await self.complete(values)
        stage = await self.pipelines.stage_of(values["pipeline_id"], values["stage"])
        if values["status"] == OPEN and stage is not None:
            await self.entry.require(stage, values, None)

    async def complete(self, values: dict[str, Any]) -> None:
        """The columns of a new opportunity from what was given of them. Raises `Invalid`."""
        await self.pipelines.hold()
        pipeline = await self.pipelines.for_use(values.get("pipeline_id"))
        values["pipeline_id"] = pipeline.id
        values |= {"is_rotting": False, "line_count": 0, "team_member_ids": []}
        self._settle(values, pipeline)
        check_outcome(values)
        check_days(values, self._today())
        await self.reasons.check(values)
        await self._check_winner(values)
        await self.references.check(values)
        values |= await self.home_amounts.of(values)

    def _settle(self, values: dict[str, Any], pipeline: PipelineInfo) -> None:
        """Stage, status, probability and days of a new opportunity from what was given of them."""
        wanted = values.get("stage")
        stage = pipeline.stage(wanted) if wanted else pipeline.first
        implied = status_of(stage)
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
            values["probability"] = probability_of(status, stage)
        if values.get("forecast_category") is None or status is not OPEN:
            values["forecast_category"] = category_of(status, stage)
        values["rots_at"] = self._rots_at(status, stage)
        today = self._today()
        if values.get("opened_on") is None:
            # What was imported as closed long ago was not opened today.
            since = values.get("created_at")
            opened = self.actor.tenant.day_of(since) if since else today
            values["opened_on"] = min(opened, values.get("closed_on") or opened)
        if status is not OPEN:
            values["closed_on"] = values.get("closed_on") or today

    async def after_create(self, row: Opportunity) -> None:
        visits = await self.enter_all([row])
        if row.status == OPEN:
            await self._give_out(row, visits[0], is_new=True)
        if row.winning_competitor_id is not None:
            await self._meet_winner(row)

    async def enter_all(self, rows: Sequence[Opportunity]) -> list[UUID]:
        """New opportunities stand in their first stages; those that are over already say how they ended."""
        visits = await self.history.begin(
            [(row, self._moment(row.closed_on or row.opened_on)) for row in rows], self.actor.member_id
        )
        for row in rows:
            if row.status != OPEN:
                self._publish_outcome(row)
        return visits

    # -- changing ------------------------------------------------------------------------------------------

    async def change(
        self, row: Opportunity, given: Mapping[str, Any], *, action: str = "updated"
    ) -> Opportunity:
        """As every record; what follows from the stage cannot be cleared. Raises `Invalid`."""
        refuse_nulls({name: given[name] for name in _DERIVED & given.keys() - {"created_at"}})
        return await super().change(row, given, action=action)

    async def write(
        self,
        row: Opportunity,
        changes: dict[str, Any],
        *,
        action: str = "updated",
        custom: Any = None,
        reason: str | None = None,
    ) -> Opportunity:
        """As every record; whoever changes an open opportunity keeps it from rotting."""
        if any(getattr(row, name) != value for name, value in changes.items()):
            after = {**row.__dict__, **changes}
            stage = await self.pipelines.stage_of(after["pipeline_id"], after["stage"])
            changes |= self._fresh(after["status"], stage)
        if self.home_amounts.depends_on(changes) and "amount_home" not in changes:
            changes = {**changes, **await self.home_amounts.of({**row.__dict__, **changes})}
        return await super().write(row, changes, action=action, custom=custom, reason=reason)

    async def before_update(self, row: Opportunity, changes: dict[str, Any]) -> None:
        await self.settle(row, changes)
        after = {**row.__dict__, **changes}
        moved = (after["pipeline_id"], after["stage"]) != (row.pipeline_id, row.stage)
        stage = await self.pipelines.stage_of(after["pipeline_id"], after["stage"])
        if not moved or stage is None or row.status != OPEN:
            return  # what is reopened goes back to where it stood
        if after["pipeline_id"] == row.pipeline_id:
            self.entry.check_move(await self.pipelines.stage_of(row.pipeline_id, row.stage), stage)
        await self.entry.require(stage, after, row.id)

    async def settle(self, row: Opportunity, changes: dict[str, Any]) -> None:
        """Complete changes to all that follows from them, and check that they make sense. Raises `Invalid`."""
        if changes.pop("created_at", None) is not None:
            raise Invalid.at("/created_at", "read_only", "When it came to be is said when it is created.")
        for name, currency in (("amount", "currency"), ("budget", "budget_currency")):
            if name in changes and changes[name] is None:
                changes[currency] = None
        entered = [changes.get(name, getattr(row, name)) for name in ("amount", "currency")]
        if row.line_count and entered != [row.amount, row.currency]:
            raise Invalid.at("/amount", "sum_of_lines", "It has lines: their sum is its amount.")
        if not changes.keys().isdisjoint(_PLACE):
            await self.pipelines.hold()
        pipeline = await self.pipelines.stored(changes.get("pipeline_id", row.pipeline_id))
        if pipeline.id != row.pipeline_id:
            pipeline = await self.pipelines.for_use(pipeline.id)
        if "stage" in changes and changes["stage"] != row.stage:
            changes["stage"] = pipeline.stage(changes["stage"]).key
        self._move(row, changes, pipeline)
        after = {**row.__dict__, **changes}
        check_outcome(after)
        check_days(after, self._today())
        if any(after[name] != getattr(row, name) for name in _SAY_WHY):
            await self.reasons.check(after)
        if "winning_competitor_id" in changes:
            await self._check_winner(changes)
        await self.references.check(after, changes)
        if self.home_amounts.depends_on(changes):
            changes |= await self.home_amounts.of(after)

    async def _check_winner(self, values: Mapping[str, Any]) -> None:
        id = values.get("winning_competitor_id")
        if id is not None:
            await CompetitorService(self.uow).require(id, pointer="/winning_competitor_id")

    def _move(self, row: Opportunity, changes: dict[str, Any], pipeline: PipelineInfo) -> None:
        """Complete a change of stage, status or pipeline to all that follows from it."""
        wanted = changes.get("stage", row.stage)
        moved = wanted != row.stage or changes.get("pipeline_id", row.pipeline_id) != row.pipeline_id
        stage = pipeline.stage(wanted) if moved else pipeline.find(wanted)
        status = OpportunityStatus(changes.get("status", row.status))
        if moved and stage is not None:
            if row.status != OPEN and status == row.status:
                raise OpportunityClosed(f"It is {row.status}.", status_now=row.status)
            implied = status_of(stage)
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
            changes["probability"] = probability_of(status, stage)
        if (changed and "forecast_category" not in changes) or status is not OPEN:
            changes["forecast_category"] = category_of(status, stage)
        if changed:
            changes |= self._fresh(status, stage)

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
            changes |= dict.fromkeys(("closed_on", "win_reason", "loss_reason", "winning_competitor_id"))
            if stage is not None and not stage.is_closed:
                return stage
            return pipeline.find(row.last_open_stage or "") or pipeline.first
        if stage is not None and not stage.is_closed:
            changes["last_open_stage"] = stage.key
        if changes.get("closed_on") is None:
            changes["closed_on"] = max(self._today(), row.opened_on)
        return pipeline.won if status is WON else stage or pipeline.first

    async def after_update(self, before: Opportunity, after: Opportunity) -> None:
        visit_id = await self.note_move(before, after)
        if visit_id is not None and (before.stage, before.pipeline_id) != (after.stage, after.pipeline_id):
            await self._give_out(after, visit_id)
        if after.winning_competitor_id not in (None, before.winning_competitor_id):
            await self._meet_winner(after)

    async def note_move(self, before: Opportunity, after: Opportunity) -> UUID | None:
        """Keep the way through the stages and say what happened; the id of the visit, where it is a new one."""
        if (before.stage, before.status, before.pipeline_id) == (
            after.stage,
            after.status,
            after.pipeline_id,
        ):
            if before.closed_on != after.closed_on and after.closed_on is not None:
                await self.history.correct_last(after.id, self._moment(after.closed_on))
            return None
        visit_id = await self.history.enter(after, before.stage, self._entered(after))
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
            return visit_id
        if after.status == OPEN:
            self.uow.publish(OpportunityReopened(id=after.id, former_status=before.status, stage=after.stage))
            return visit_id
        self._publish_outcome(after)
        if after.status == WON and after.account_id is not None:
            await self.uow.of(Customers).advance(after.account_id, "customer")
        return visit_id

    async def _meet_winner(self, row: Opportunity) -> None:
        """Whoever won it was met in it, if nobody had said so."""
        await self.uow.fetch(
            "INSERT INTO opportunities.rivals (tenant_id, id, opportunity_id, competitor_id, threat_level,"
            " created_at, updated_at) VALUES ($1, $2, $3, $4, 'high', $5, $5) ON CONFLICT DO NOTHING",
            row.tenant_id,
            new_id(),
            row.id,
            row.winning_competitor_id,
            self.uow.now,
        )

    async def _give_out(self, row: Opportunity, visit_id: UUID, *, is_new: bool = False) -> None:
        """The tasks of the stage that it has entered."""
        stage = await self.pipelines.stage_of(row.pipeline_id, row.stage)
        if stage is not None and stage.rules.playbook:
            await self.playbooks.give_out(row, visit_id, stage.rules.playbook, is_new=is_new)

    # -- actions -------------------------------------------------------------------------------------------

    async def close(
        self, id: UUID, given: Mapping[str, Any], *, status: OpportunityStatus, expected_version: int
    ) -> Opportunity:
        """Win or lose an open opportunity. Raises `InvalidTransition`, and `Invalid` where a reason is wanted."""
        row = await self.locked(id, expected_version)
        if row.status != OPEN:
            raise InvalidTransition(f"It is {row.status} already.", status_now=row.status)
        kept = {name: value for name, value in given.items() if value is not None}
        return await self.change(row, kept | {"status": status}, action=status.value)

    async def reopen(self, id: UUID, *, expected_version: int) -> Opportunity:
        """Open what was won or lost, in the last open stage. Raises `InvalidTransition`."""
        row = await self.locked(id, expected_version)
        if row.status == OPEN:
            raise InvalidTransition("It is open.", status_now=row.status)
        return await self.change(row, {"status": OPEN}, action="reopened")

    async def correct_visit(
        self, id: UUID, visit_id: UUID, at: datetime, *, expected_version: int
    ) -> StageVisitRead:
        """Say when it really came into a stage. Raises `NotFound`, `StaleVersion`, `Invalid`."""
        await self.locked(id, expected_version)
        return await self.history.correct(id, visit_id, at)

    async def bump(self, row: Opportunity, what: str, before: Any, after: Any) -> int:
        """The next version of a locked row, for what belongs to it but stands in another table; it is told so."""
        changed = await self.uow.fetchrow(
            "UPDATE opportunities.opportunities SET version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND id = $2 RETURNING version",
            row.tenant_id,
            row.id,
            self.uow.now,
        )
        version = int(changed[0]) if changed else row.version
        self.uow.record_audit("opportunity", row.id, "updated", {what: [before, after]})
        self.uow.publish_record(OPPORTUNITY.updated, row.id, version, changed=[what])
        return version

    def require_writable(self, *fields: str) -> None:
        """Raises `Forbidden` where the actor's role may not change these fields, or not even see them."""
        self._check_field_rules(fields)

    async def locked(self, id: UUID, expected_version: int) -> Opportunity:
        """The row, held until the transaction ends. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self.get(id, action="update", lock="update")
        require_version(row.version, expected=expected_version)
        return row

    # -- helpers -------------------------------------------------------------------------------------------

    def _today(self) -> date:
        return self.actor.tenant.day_of(self.uow.now)

    def _fresh(self, status: str, stage: StageInfo | None) -> dict[str, Any]:
        """The columns of one that somebody has just touched."""
        return {"rots_at": self._rots_at(status, stage), "is_rotting": False, "rotting_since": None}

    def _rots_at(self, status: str, stage: StageInfo | None) -> datetime | None:
        if status != OPEN or stage is None or stage.rotting_days is None:
            return None
        return self.uow.now + timedelta(days=stage.rotting_days)

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
    currencies={"budget": "budget_currency", "amount_home": "home_currency"},
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
