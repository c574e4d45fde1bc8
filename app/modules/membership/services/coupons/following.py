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


async def release_old(run: ScheduledRun) -> None:
    """Free what drafts reserved and did not confirm in time, a batch in each transaction."""
    while True:
        async with run.transaction() as uow:
            if await CouponUses(uow).release_old(BATCH) < BATCH:
                return


async def _returned(uow: UnitOfWork, event: ReturnedOrder) -> None:
    """Where nothing is left of an order, coupons that say so can be used again."""
    if event.order_id is None or event.resolution != "refunded":
        return
    lines = await uow.of(Orders).lines_of([event.order_id])
    if lines and all(line.returned == line.fulfilled for line in lines):
        await CouponUses(uow).give_back(event.order_id)


SUBSCRIPTION: Final = Subscription(
    "orders.return.completed.v1", ReturnedOrder, _returned, "membership.coupons_given_back"
)
