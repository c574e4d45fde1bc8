"""Reactions: what becomes of orders and returns moves points."""

from __future__ import annotations

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


async def _fulfilled(uow: UnitOfWork, event: OrderTold) -> None:
    await _earned(uow, event.id)


async def _earned(uow: UnitOfWork, order_id: UUID) -> None:
    await OrderPoints(uow).earn(order_id)
    await Referrals(uow).qualify(order_id)


async def _cancelled(uow: UnitOfWork, event: OrderTold) -> None:
    await OrderPoints(uow).cancel(event.id)


async def _completed(uow: UnitOfWork, event: ReturnTold) -> None:
    if event.resolution == "refunded":
        await OrderPoints(uow).give_back(event.id)


async def _order_made(uow: UnitOfWork, event: RecordTold) -> None:
    if (event.record or {}).get("status") in ("fulfilled", "closed"):
        await _earned(uow, event.id)


async def _return_made(uow: UnitOfWork, event: RecordTold) -> None:
    if (event.record or {}).get("status") == "refunded":
        await OrderPoints(uow).give_back(event.id)


SUBSCRIPTIONS = (
    Subscription("orders.order.fulfilled.v1", OrderTold, _fulfilled, "membership.earn"),
    Subscription("orders.order.created.v1", RecordTold, _order_made, "membership.earn"),
    Subscription("orders.order.cancelled.v1", OrderTold, _cancelled, "membership.cancel"),
    Subscription("orders.return.completed.v1", ReturnTold, _completed, "membership.give_back"),
    Subscription("orders.return.created.v1", RecordTold, _return_made, "membership.give_back"),
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


class OrderChanged(BaseModel):
    """What we need of `orders.order.updated.v1`: lines that were cancelled lower the total."""

    id: UUID
    changed: list[str]


async def _refund_lowered(uow: UnitOfWork, event: OrderChanged) -> None:
    if "total" in event.changed:
        await GivingBack(uow).of_order(event.id)


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
    Subscription("orders.order.updated.v1", OrderChanged, _refund_lowered, "membership.wallet_refund"),
)
