"""Reactions: what becomes of orders and returns moves points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.membership.services.orders import OrderPoints
from app.modules.membership.services.referrals import Referrals
from app.modules.membership.services.wallet.giving_back import GivingBack


class OrderTold(BaseModel):
    """What we need of `orders.order.fulfilled.v1` and `orders.order.cancelled.v1`."""

    id: UUID


class ReturnTold(BaseModel):
    """What we need of `orders.return.completed.v1`; its lines are read where they are kept, with their ids."""

    id: UUID
    resolution: str


class RecordTold(BaseModel):
    """What we need of records that were made: those of the past are brought in as finished."""

    id: UUID
    record: dict[str, Any] | None = None

    @property
    def status(self) -> str | None:
        return (self.record or {}).get("status")


async def _fulfilled(uow: UnitOfWork, events: Sequence[OrderTold]) -> None:
    await _earned(uow, [event.id for event in events])


async def _earned(uow: UnitOfWork, order_ids: Sequence[UUID]) -> None:
    if order_ids:
        await OrderPoints(uow).earn(order_ids)
        await Referrals(uow).qualify(order_ids)


async def _cancelled(uow: UnitOfWork, events: Sequence[OrderTold]) -> None:
    await OrderPoints(uow).cancel([event.id for event in events])


async def _completed(uow: UnitOfWork, events: Sequence[ReturnTold]) -> None:
    await OrderPoints(uow).give_back([event.id for event in events if event.resolution == "refunded"])


async def _order_made(uow: UnitOfWork, events: Sequence[RecordTold]) -> None:
    await _earned(uow, [event.id for event in events if event.status in ("fulfilled", "closed")])


async def _return_made(uow: UnitOfWork, events: Sequence[RecordTold]) -> None:
    await OrderPoints(uow).give_back([event.id for event in events if event.status == "refunded"])


def _of_points(event: str, payload: type[BaseModel], handle: Any, name: str) -> Subscription:
    """What many orders do to points is worked out together."""
    return Subscription(event, payload, handle, name, batch=True)


SUBSCRIPTIONS = (
    _of_points("orders.order.fulfilled.v1", OrderTold, _fulfilled, "membership.earn"),
    _of_points("orders.order.created.v1", RecordTold, _order_made, "membership.earn"),
    _of_points("orders.order.cancelled.v1", OrderTold, _cancelled, "membership.cancel"),
    _of_points("orders.return.completed.v1", ReturnTold, _completed, "membership.give_back"),
    _of_points("orders.return.created.v1", RecordTold, _return_made, "membership.give_back"),
)


# -- stored value --------------------------------------------------------------------------------------------


class InvoiceTold(BaseModel):
    """What we need of `orders.invoice.issued.v1`."""

    id: UUID
    order_id: UUID | None
    kind: str


class ReturnOfOrder(BaseModel):
    """What wallets need of `orders.return.completed.v1`."""

    id: UUID
    order_id: UUID | None
    resolution: str


async def _invoiced(uow: UnitOfWork, event: InvoiceTold) -> None:
    if event.kind == "invoice" and event.order_id is not None:
        await GivingBack(uow).settle(event.order_id, event.id)


async def _refund_wallet(uow: UnitOfWork, event: ReturnOfOrder) -> None:
    if event.resolution == "refunded" and event.order_id is not None:
        await GivingBack(uow).of_order(event.order_id)


async def _refund_cancelled(uow: UnitOfWork, event: OrderTold) -> None:
    await GivingBack(uow).of_order(event.id)


OF_WALLETS = (
    Subscription("orders.invoice.issued.v1", InvoiceTold, _invoiced, "membership.wallet_settle"),
    Subscription("orders.return.completed.v1", ReturnOfOrder, _refund_wallet, "membership.wallet_refund"),
    Subscription("orders.order.cancelled.v1", OrderTold, _refund_cancelled, "membership.wallet_refund"),
    Subscription("orders.order.lines_cancelled.v1", OrderTold, _refund_cancelled, "membership.wallet_refund"),
)
