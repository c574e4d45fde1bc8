"""What orders add up to."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.kernel.routing import Router, Uow
from app.modules.orders.schemas.statistics import OrderQuestion, OrderStatistics
from app.modules.orders.services.statistics import OrderStatisticsService

router = Router(tags=["orders"])


@router.get("/v1/orders/statistics", access="order:read")
async def get_order_statistics(question: Annotated[OrderQuestion, Query()], uow: Uow) -> OrderStatistics:
    """Value, margin, average and repeat rate of the orders that you see, by period, product, account and others."""
    return await OrderStatisticsService(uow).answer(question)
