"""Parts of work orders and our stock: kept for work that is planned, taken out when it is signed off."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.service import WorkOrder, WorkOrderPart
from app.modules.orders.interface import Stock, StockNeed


class PartsInStock:
    """What work orders, whose rows are held, take from stock."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._stock = uow.ports(Stock)[-1]

    async def of(self, work_order_id: UUID) -> list[WorkOrderPart]:
        """The parts of a work order that come from stock."""
        parts = WorkOrderPart.__table__.c
        statement = self._uow.select(WorkOrderPart).where(
            WorkOrderPart.work_order_id == work_order_id, parts.from_stock.is_(True)
        )
        return await self._uow.all(statement.order_by(WorkOrderPart.id))

    async def keep(self, row: WorkOrder, parts: Sequence[WorkOrderPart]) -> None:
        """Keep parts for the work, all or none. Raises: OutOfStock."""
        needs = _needs(row, parts)
        if needs:
            await self._stock.reserve(needs)

    async def take_out(self, row: WorkOrder) -> None:
        """The parts are used up."""
        needs = _needs(row, await self.of(row.id))
        if needs:
            await self._stock.ship(needs)

    async def give_back(self, parts: Sequence[WorkOrderPart]) -> None:
        """These parts are not needed; what was not kept stays where it is."""
        kept = [part.id for part in parts if part.from_stock]
        if kept:
            await self._stock.release(kept)


def _needs(row: WorkOrder, parts: Sequence[WorkOrderPart]) -> list[StockNeed]:
    return [
        StockNeed(
            order_id=row.id,
            line_id=part.id,
            product_id=part.product_id,
            quantity=part.quantity,
            note=row.number,
        )
        for part in parts
        if part.from_stock and part.product_id is not None
    ]
