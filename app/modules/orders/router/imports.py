"""Bringing in orders and returns of the past."""

from __future__ import annotations

from app.kernel.routing import Router, Uow
from app.modules.orders.schemas.imports import ImportAnswer, OrderImport, ReturnImport
from app.modules.orders.services.order_imports import OrderImports
from app.modules.orders.services.return_imports import ReturnImports

router = Router(tags=["orders"])
returns = Router(tags=["returns"])


@router.post("/v1/orders/batch/import", access="order:import", status_code=207)
async def import_orders(body: OrderImport, uow: Uow) -> ImportAnswer:
    """Bring in orders of the past with their lines: totalled, delivered then, and not asked of stock.

    What is there already by its `external_id` is left as it is, so that a request may be sent again.
    """
    return await OrderImports(uow).run(body.orders)


@returns.post("/v1/returns/batch/import", access="return:import", status_code=207)
async def import_returns(body: ReturnImport, uow: Uow) -> ImportAnswer:
    """Bring in returns of the past, refunded then, matched to the order lines that they gave back where known."""
    return await ReturnImports(uow).run(body.returns)
