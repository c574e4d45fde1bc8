"""The way of an opportunity through the stages: what time in stage, conversion and velocity are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.opportunities.models import Opportunity, OpportunityStatus, StageVisit
from app.modules.opportunities.schemas import StageVisitRead


class StageHistory:
    """Writes and reads the visits of opportunities in stages."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def enter(self, row: Opportunity, from_stage: str | None, at: datetime) -> None:
        """Leave the stage before, if any, and enter the one in which `row` stands, in one statement."""
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
        )

    async def begin(self, rows: Sequence[tuple[Opportunity, datetime]], changed_by: UUID | None) -> None:
        """The first stage of new opportunities, each with the moment from which it stands there."""
        await self._uow.insert_many(
            StageVisit,
            [
                {
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
                }
                for row, at in rows
            ],
        )

    async def of(self, opportunity_id: UUID) -> list[StageVisitRead]:
        """The stages that it went through, oldest first."""
        statement = self._uow.select(StageVisit).where(StageVisit.opportunity_id == opportunity_id)
        visits = await self._uow.all(statement.order_by(StageVisit.entered_at, StageVisit.id))
        hidden = self._uow.actor.hidden("opportunity")
        return [_wire(visit, hidden) for visit in visits]


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
   expected_close_on, probability)
SELECT $1, gen_random_uuid(), $2, $3, $4, $5, coalesce((SELECT max(left_at) FROM left_before), $6::timestamptz),
  $7::uuid, $8::bigint, $9::text, $10::date, $11::bigint"""
