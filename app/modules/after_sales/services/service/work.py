"""What goes into a work order: the parts that were used, and the time that was worked."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.people import People
from app.kernel.statements import columns_of
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.service import EntitlementKind, WorkOrderPart, WorkOrderTime
from app.modules.after_sales.schemas.service import (
    WorkOrderPartCreate,
    WorkOrderPartRead,
    WorkOrderTimeCreate,
    WorkOrderTimeRead,
)
from app.modules.after_sales.services.assets.references import References
from app.modules.after_sales.services.service.contracts import ServiceContractService
from app.modules.after_sales.services.service.parts import PartsInStock
from app.modules.after_sales.services.service.work_orders import PLANNED, WorkOrderService

MOST = 500


class WorkService:
    """The parts and times of work orders. A work order that is over takes no more of them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._orders = WorkOrderService(uow)

    async def parts(self, work_order_id: UUID) -> list[WorkOrderPartRead]:
        """Raises `NotFound`."""
        await self._orders.get(work_order_id)
        statement = self._uow.select(WorkOrderPart).where(WorkOrderPart.work_order_id == work_order_id)
        return [read_part(row) for row in await self._uow.all(statement.order_by(WorkOrderPart.id))]

    async def add_part(self, work_order_id: UUID, body: WorkOrderPartCreate) -> WorkOrderPartRead:
        """Note what is used; what comes from stock is kept for it, unless the work is a draft yet.

        Raises: NotFound; Forbidden; WorkOrderEnded; Invalid; OutOfStock.
        """
        row = await self._orders.open(work_order_id)
        product = await References(self._uow).product(body.product_id)
        description = body.description or (None if product is None else product.name)
        quantity = Decimal(body.quantity)
        if description is None:
            raise Invalid.at("/description", "required", "Say what was used, or name a product.")
        if not quantity:
            raise Invalid.at("/quantity", "not_positive", "More than nothing was used.")
        if body.serial_numbers and len(set(body.serial_numbers)) != quantity:
            raise Invalid.at("/serial_numbers", "count", "There is one serial number for each unit.")
        if len(await self.parts(work_order_id)) >= MOST:
            raise Invalid(f"A work order has at most {MOST} parts.")
        made = await self._uow.insert(
            WorkOrderPart,
            work_order_id=work_order_id,
            product_id=body.product_id,
            description=description,
            quantity=quantity,
            serial_numbers=body.serial_numbers,
            created_by=self._uow.actor.member_id,
            from_stock=body.from_stock and product is not None and product.stocked,
        )
        if row.status in PLANNED:
            await PartsInStock(self._uow).keep(row, [made])
        self._uow.record_audit("work_order", work_order_id, "part_added", {"parts": [None, description]})
        return read_part(made)

    async def remove_part(self, work_order_id: UUID, id: UUID) -> None:
        """Raises: NotFound; Forbidden; WorkOrderEnded."""
        await self._orders.open(work_order_id)
        found = await self._uow.find(WorkOrderPart, id)
        if found is None or found.work_order_id != work_order_id:
            raise NotFound
        await PartsInStock(self._uow).give_back([found])
        await self._uow.delete(found)
        self._uow.record_audit(
            "work_order", work_order_id, "part_removed", {"parts": [found.description, None]}
        )

    async def times(self, work_order_id: UUID) -> list[WorkOrderTimeRead]:
        """Raises `NotFound`."""
        await self._orders.get(work_order_id)
        statement = self._uow.select(WorkOrderTime).where(WorkOrderTime.work_order_id == work_order_id)
        return [read_time(row) for row in await self._uow.all(statement.order_by(WorkOrderTime.id))]

    async def add_time(self, work_order_id: UUID, body: WorkOrderTimeCreate) -> WorkOrderTimeRead:
        """Note time, and draw it from the service contract where that includes some.

        Raises: NotFound; Forbidden; WorkOrderEnded; Invalid; EntitlementExhausted; ServiceContractNotInForce.
        """
        row = await self._orders.open(work_order_id)
        member = body.member_id or self._uow.actor.member_id
        if member is None:
            raise Invalid.at("/member_id", "required", "Say who worked.")
        if body.member_id is not None:
            await self._uow.of(People).require_members([member], pointer="/member_id")
        if body.started_at > self._uow.now:
            raise Invalid.at("/started_at", "in_future", "Nobody has worked in the future.")
        draw = None
        if not body.outside_contract and row.service_contract_id is not None:
            draw = await self._draw(row.service_contract_id, work_order_id, body, row.number)
        made = await self._uow.insert(
            WorkOrderTime,
            work_order_id=work_order_id,
            member_id=member,
            started_at=body.started_at,
            minutes=body.minutes,
            note=body.note,
            draw_id=draw,
            created_by=self._uow.actor.member_id,
        )
        await self._orders.worked(row, body.minutes)
        return read_time(made)

    async def _draw(
        self, contract_id: UUID, work_order_id: UUID, body: WorkOrderTimeCreate, number: str
    ) -> UUID | None:
        included = await self._uow.fetchrow(
            "SELECT minutes_included FROM after_sales.service_contracts WHERE tenant_id = $1 AND id = $2",
            self._uow.tenant_id,
            contract_id,
        )
        if included is None or not included["minutes_included"]:
            return None
        drawn = await ServiceContractService(self._uow).draw_for(
            contract_id, EntitlementKind.MINUTES, body.minutes, work_order_id=work_order_id, note=number
        )
        return drawn.id


def read_part(row: WorkOrderPart) -> WorkOrderPartRead:
    """As the API shows it."""
    return WorkOrderPartRead.model_validate(
        {
            name: getattr(row, name)
            for name in columns_of(WorkOrderPart)
            if name in WorkOrderPartRead.model_fields
        }
    )


def read_time(row: WorkOrderTime) -> WorkOrderTimeRead:
    """As the API shows it."""
    return WorkOrderTimeRead.model_validate(
        {
            name: getattr(row, name)
            for name in columns_of(WorkOrderTime)
            if name in WorkOrderTimeRead.model_fields
        }
    )
