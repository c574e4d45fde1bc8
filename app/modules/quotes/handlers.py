"""Reactions: a price that changed concerns the open quotes with that product."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel

from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.quotes.services.price_changes import price_changed


class PriceChanged(BaseModel):
    """What we need of `catalog.product.price_changed.v1`."""

    product_id: UUID
    currency: str
    former: str | None
    price: str | None
    price_book_id: UUID | None = None
    account_id: UUID | None = None
    contract_id: UUID | None = None


async def _price_changed(uow: UnitOfWork, event: PriceChanged) -> None:
    await price_changed(
        uow,
        event.product_id,
        currency=event.currency,
        former=event.former,
        price=event.price,
        price_book_id=event.price_book_id,
        account_id=event.account_id,
        contract_id=event.contract_id,
    )


SUBSCRIPTIONS = (
    Subscription("catalog.product.price_changed.v1", PriceChanged, _price_changed, "quotes.price_changed"),
)
