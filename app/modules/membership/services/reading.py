"""What a member's points did: pages of the ledger, of burns, adjustments and tiers, and the lots that are left."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from app.kernel.log_pages import NEWEST, Slice, select_page
from app.kernel.models import TenantOwned
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.uow import UnitOfWork
from app.modules.membership.models.programmes import Adjustment, Burn, PointLot, TierChange, TierReason
from app.modules.membership.schemas.members import (
    AdjustmentPage,
    BurnPage,
    LedgerMovement,
    LedgerPage,
    LedgerTransactionRead,
    LotRead,
    Lots,
    TierChangePage,
    TierChangeRead,
)
from app.modules.membership.services.adjusting import read_adjustment
from app.modules.membership.services.holdings import Lot, in_spending_order
from app.modules.membership.services.members import LoyaltyMemberService
from app.modules.membership.services.spending import read_burn

M = TypeVar("M", bound=TenantOwned)


class MemberReading:
    """Reads of one member. Raises `NotFound` for one that the actor does not see."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def ledger(self, id: UUID, *, limit: int, cursor: str | None) -> LedgerPage:
        """Transactions that moved the member's points, newest first. Raises `InvalidCursor`."""
        await LoyaltyMemberService(self._uow).get(id)
        name = f"loyalty_ledger:{id}"
        before = read_position(self._uow, name, cursor)
        limit = min(limit, MAX_LIMIT)
        rows = await self._uow.fetch(
            _LEDGER, self._uow.tenant_id, id, UUID(before[0]) if before else None, limit + 1
        )
        shown, more = rows[:limit], len(rows) > limit
        return LedgerPage(
            data=[_transaction(row) for row in shown],
            next_cursor=sign_position(self._uow, name, [shown[-1]["id"]]) if more else None,
            has_more=more,
        )

    async def lots(self, id: UUID) -> Lots:
        """What is left, in the order in which it is spent."""
        await LoyaltyMemberService(self._uow).get(id)
        rows = await self._uow.all(
            self._uow.select(PointLot).where(PointLot.member_id == id, PointLot.remaining > 0)
        )
        lots = [
            Lot(
                row.id,
                row.earning_id,
                row.earned_on,
                row.matures_on,
                row.expires_on,
                row.points,
                row.remaining,
            )
            for row in rows
        ]
        return Lots(
            data=[
                LotRead(
                    id=lot.id,
                    earned_on=lot.earned_on,
                    matures_on=lot.matures_on,
                    expires_on=lot.expires_on,
                    points=lot.points,
                    remaining=lot.remaining,
                )
                for lot in in_spending_order(lots)
            ]
        )

    async def burns(self, id: UUID, *, limit: int, cursor: str | None) -> BurnPage:
        """Raises `InvalidCursor`."""
        found = await self._page(Burn, id, limit, cursor)
        return BurnPage(data=[read_burn(row) for row in found.rows], **found.onward)

    async def adjustments(self, id: UUID, *, limit: int, cursor: str | None) -> AdjustmentPage:
        """Raises `InvalidCursor`."""
        found = await self._page(Adjustment, id, limit, cursor)
        return AdjustmentPage(data=[read_adjustment(row) for row in found.rows], **found.onward)

    async def tiers(self, id: UUID, *, limit: int, cursor: str | None) -> TierChangePage:
        """Raises `InvalidCursor`."""
        found = await self._page(TierChange, id, limit, cursor)
        return TierChangePage(data=[_tier_change(row) for row in found.rows], **found.onward)

    async def _page(self, model: type[M], id: UUID, limit: int, cursor: str | None) -> Slice[M]:
        await LoyaltyMemberService(self._uow).get(id)
        statement = self._uow.select(model).where(model.__table__.c.member_id == id)
        name = f"{model.__tablename__}:{id}"
        return await select_page(self._uow, statement, NEWEST, name=name, limit=limit, cursor=cursor)


def _transaction(row: Any) -> LedgerTransactionRead:
    movements = [LedgerMovement(**one) for one in row["movements"]]
    return LedgerTransactionRead(
        id=row["id"],
        kind=row["kind"],
        order_id=row["order_id"],
        note=row["note"],
        made_by=row["made_by"],
        at=row["at"],
        movements=movements,
    )


def _tier_change(row: TierChange) -> TierChangeRead:
    return TierChangeRead(
        id=row.id,
        from_tier=row.from_tier,
        to_tier=row.to_tier,
        reason=TierReason(row.reason),
        until=row.until,
        at=row.at,
    )


_LEDGER = """
WITH page AS (
  SELECT e.transaction_id AS id,
    jsonb_agg(jsonb_build_object('account', e.account, 'points', e.points) ORDER BY e.account) AS movements
  FROM membership.ledger_entries e
  WHERE e.tenant_id = $1 AND e.member_id = $2 AND ($3::uuid IS NULL OR e.transaction_id < $3)
  GROUP BY e.transaction_id ORDER BY e.transaction_id DESC LIMIT $4
)
SELECT t.id, t.kind, t.order_id, t.note, t.made_by, t.at, p.movements
FROM page p JOIN membership.ledger_transactions t ON t.tenant_id = $1 AND t.id = p.id ORDER BY t.id DESC"""
