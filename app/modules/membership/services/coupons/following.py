"""What becomes of coupons by themselves: old reservations end, and returned orders give back what they used."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.schedules import ScheduledRun
from app.kernel.uow import UnitOfWork
from app.modules.membership.services.coupons.using import CouponUses
from app.modules.orders.interface import Orders

EVERY: Final = timedelta(hours=1)
BATCH: Final = 500


class ReturnedOrder(BaseModel):
    """What we need of `orders.return.completed.v1`."""

    order_id: UUID | None
    resolution: str


class CancelledLines(BaseModel):
    """What we need of `orders.order.lines_cancelled.v1`: the order."""

    id: UUID


async def release_old(run: ScheduledRun) -> None:
    """Free what drafts reserved and did not confirm in time, a batch in each transaction."""
    while True:
        async with run.transaction() as uow:
            if await CouponUses(uow).release_old(BATCH) < BATCH:
                return


async def _returned(uow: UnitOfWork, event: ReturnedOrder) -> None:
    """Where nothing is left of an order, coupons that say so can be used again."""
    if event.order_id is not None and event.resolution == "refunded":
        await _give_back(uow, event.order_id)


async def _cancelled(uow: UnitOfWork, event: CancelledLines) -> None:
    """What had not come back was still to be delivered, and is not."""
    await _give_back(uow, event.id)


async def _give_back(uow: UnitOfWork, order_id: UUID) -> None:
    lines = await uow.of(Orders).lines_of([order_id])
    came_back = any(line.returned for line in lines)
    if came_back and all(line.returned == line.fulfilled == line.quantity - line.cancelled for line in lines):
        await CouponUses(uow).give_back(order_id)


_NAME: Final = "membership.coupons_given_back"
SUBSCRIPTIONS: Final = (
    Subscription("orders.return.completed.v1", ReturnedOrder, _returned, _NAME),
    Subscription("orders.order.lines_cancelled.v1", CancelledLines, _cancelled, _NAME),
)
