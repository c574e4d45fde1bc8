"""The way of an opportunity through the stages: what time in stage, conversion and velocity are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.ids import new_id
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import ForecastCategory, Opportunity, OpportunityStatus, StageVisit
from app.modules.opportunities.schemas import StageVisitRead


class StageHistory:
    """Writes and reads the visits of opportunities in stages."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def enter(self, row: Opportunity, from_stage: str | None, at: datetime) -> UUID:
        """Leave the stage before, if any, and enter the one in which `row` stands, in one statement.

        The new visit's id.
        """
        visit_id = new_id()
        await self._uow.fetch(
            _ENTER,
            row.tenant_id,
            row.id,
            from_stage,
            row.stage,
            row.status,
            at,
            self._uow.actor.member_id,
            row.amount,
            row.currency,
            row.expected_close_on,
            row.probability,
            visit_id,
            row.pipeline_id,
            row.forecast_category,
        )
        return visit_id

    async def begin(
        self, rows: Sequence[tuple[Opportunity, datetime]], changed_by: UUID | None
    ) -> list[UUID]:
        """The first stage of new opportunities, each with the moment from which it stands there; the visits' ids.

        Visits of one opportunity are written together with it.
        """
        visits = [new_id() for _ in rows]
        await self._uow.insert_many_last(
            StageVisit,
            [
                {
                    "id": visit_id,
                    "opportunity_id": row.id,
                    "from_stage": None,
                    "to_stage": row.stage,
                    "status": row.status,
                    "entered_at": at,
                    "changed_by": changed_by,
                    "amount": row.amount,
                    "currency": row.currency,
                    "expected_close_on": row.expected_close_on,
                    "probability": row.probability,
                    "pipeline_id": row.pipeline_id,
                    "forecast_category": row.forecast_category,
                }
                for visit_id, (row, at) in zip(visits, rows, strict=True)
            ],
        )
        return visits

    async def correct(self, opportunity_id: UUID, visit_id: UUID, at: datetime) -> StageVisitRead:
        """Say when a visit really began; the one before ends there. The opportunity is locked.

        Raises: NotFound; Invalid where the moment does not lie between the beginning of the visit before and the
        end of this one.
        """
        visits = await self._visits(opportunity_id)
        place = next((number for number, visit in enumerate(visits) if visit.id == visit_id), None)
        if place is None:
            raise NotFound
        visit, earlier = visits[place], visits[place - 1] if place else None
        if at > (visit.left_at or self._uow.now):
            raise Invalid.at("/entered_at", "after_leaving", "It was left, or it is now, before that.")
        if earlier is not None and at < earlier.entered_at:
            raise Invalid.at("/entered_at", "before_the_last", "The stage before was entered after that.")
        if at != visit.entered_at:
            await self._move_entry(visit, earlier, at)
            self._uow.record_audit(
                "opportunity",
                opportunity_id,
                "stage_history_corrected",
                {f"entered_at.{visit.to_stage}": [visit.entered_at, at]},
            )
        visits = await self._visits(opportunity_id)
        return _wire(visits[place], self._uow.actor.hidden("opportunity"))

    async def correct_last(self, opportunity_id: UUID, at: datetime) -> None:
        """The day of closing was corrected: the last visit began then, as far as the visit before lets it."""
        visits = await self._visits(opportunity_id)
        earlier = visits[-2] if len(visits) > 1 else None
        await self._move_entry(visits[-1], earlier, max(at, earlier.entered_at) if earlier else at)

    async def _move_entry(self, visit: StageVisit, earlier: StageVisit | None, at: datetime) -> None:
        await self._uow.update(visit, entered_at=at, duration_seconds=_seconds(at, visit.left_at))
        if earlier is not None:
            await self._uow.update(earlier, left_at=at, duration_seconds=_seconds(earlier.entered_at, at))

    async def _visits(self, opportunity_id: UUID) -> list[StageVisit]:
        statement = self._uow.select(StageVisit).where(StageVisit.opportunity_id == opportunity_id)
        # What was entered and left at one moment comes before what began then and lasts.
        order = (StageVisit.entered_at, StageVisit.left_at.nulls_last(), StageVisit.id)
        return await self._uow.all(statement.order_by(*order))

    async def of(self, opportunity_id: UUID) -> list[StageVisitRead]:
        """The stages that it went through, oldest first."""
        visits = await self._visits(opportunity_id)
        hidden = self._uow.actor.hidden("opportunity")
        return [_wire(visit, hidden) for visit in visits]


def _seconds(begin: datetime, end: datetime | None) -> int | None:
    return None if end is None else int((end - begin).total_seconds())


def _wire(visit: StageVisit, hidden: frozenset[str]) -> StageVisitRead:
    amount = None
    if visit.amount is not None and visit.currency is not None and "amount" not in hidden:
        amount = Money(visit.amount, visit.currency)
    return StageVisitRead(
        id=visit.id,
        from_stage=visit.from_stage,
        to_stage=visit.to_stage,
        status=OpportunityStatus(visit.status),
        entered_at=visit.entered_at,
        left_at=visit.left_at,
        duration_seconds=visit.duration_seconds,
        changed_by=visit.changed_by,
        amount=amount,
        expected_close_on=None if "expected_close_on" in hidden else visit.expected_close_on,
        probability=visit.probability,
        pipeline_id=visit.pipeline_id,
        forecast_category=None
        if visit.forecast_category is None
        else ForecastCategory(visit.forecast_category),
        rotted_at=visit.rotted_at,
    )


_ENTER = """
WITH left_before AS (
  UPDATE opportunities.stage_history
  SET left_at = greatest($6::timestamptz, entered_at),
    duration_seconds = greatest(0, extract(epoch FROM $6::timestamptz - entered_at))::bigint
  WHERE tenant_id = $1 AND opportunity_id = $2 AND left_at IS NULL AND $3::text IS NOT NULL
  RETURNING left_at
)
INSERT INTO opportunities.stage_history
  (tenant_id, id, opportunity_id, from_stage, to_stage, status, entered_at, changed_by, amount, currency,
   expected_close_on, probability, pipeline_id, forecast_category)
SELECT $1, $12::uuid, $2, $3, $4, $5, coalesce((SELECT max(left_at) FROM left_before), $6::timestamptz),
  $7::uuid, $8::bigint, $9::text, $10::date, $11::bigint, $13::uuid, $14::text"""
