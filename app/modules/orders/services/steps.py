"""What becomes of orders: confirmed, cancelled as a whole, closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel.money import Money
from app.modules.automation.interface import Approvals
from app.modules.catalog.interface import Catalog
from app.modules.contracts.interface import Contracts
from app.modules.customers.interface import Customers
from app.modules.orders.interface import OrderCancelled, OrderPlaced, StockNeed
from app.modules.orders.models.orders import Order, OrderLine, OrderStatus
from app.modules.orders.services.content import of_products
from app.modules.orders.services.orders import OrderService
from app.modules.orders.services.receivables import credit
from app.modules.orders.services.receivables.counters import require_uninvoiced
from app.modules.orders.services.states import ORDER_STATES, OrderEmpty
from app.modules.orders.services.stock import stock_of

SETTLED: dict[str, Any] = {"held_for": None, "credit_requested": None}
"""What is over once a draft is confirmed or cancelled."""


class OrderSteps:
    """Steps of orders that the actor may change."""

    def __init__(self, orders: OrderService) -> None:
        self._orders = orders
        self._uow = orders.uow

    async def confirm(self, id: UUID, *, expected_version: int) -> Order:
        """The customer bought: goods are reserved, and the order draws on its contract.

        Raises: InvalidTransition; OrderEmpty; OutOfStock; CreditRefused; ContractNotActive; FrameExceeded;
        CouponNotApplicable; PointsNotApplicable; StaleVersion.
        """
        return await self.confirm_row(await self._orders.locked(id, expected_version))

    async def confirm_row(self, row: Order) -> Order:
        """As `confirm`, for a row that is held or has just been made."""
        status = ORDER_STATES.next(OrderStatus(row.status), "confirm")
        lines = (await self._orders.lines.of([row.id]))[row.id]
        if not lines:
            raise OrderEmpty
        await credit.check(
            self._uow,
            row.account_id,
            Money(row.total, row.currency),
            row.id,
            approved=row.credit_approved,
        )
        await self._uow.of(Customers).advance(row.account_id, "customer")
        await stock_of(self._uow).reserve(await self.needs(lines, {line.id: line.open for line in lines}))
        await self.draw(row)
        await self._orders.benefits.redeem(row, lines)
        after = await self._orders.write(
            row,
            {"status": status.value, "confirmed_at": self._uow.now, **SETTLED},
            action="confirmed",
        )
        await self._nothing_to_approve(row)
        self._publish_placed(after)
        return after

    async def _nothing_to_approve(self, before: Order, note: str | None = None) -> None:
        """Nobody has to answer any more for a draft that became something else."""
        if before.credit_requested is not None:
            await self._uow.of(Approvals).withdraw("order", before.id, note=note)

    async def draw(self, row: Order) -> None:
        """Let the order draw its total on its contract, where it names one. Raises what drawing raises."""
        if row.contract_id is not None:
            total = Money(row.total, row.currency)
            await self._uow.of(Contracts).draw(row.contract_id, row.id, total)

    async def cancel(self, id: UUID, reason: str | None, *, expected_version: int) -> Order:
        """The whole order is off, and its goods are free again. Raises `InvalidTransition`, `StaleVersion`."""
        row = await self._orders.locked(id, expected_version)
        status = ORDER_STATES.next(OrderStatus(row.status), "cancel")
        lines = (await self._orders.lines.of([row.id]))[row.id]
        require_uninvoiced(lines, {line.id: line.quantity - line.cancelled for line in lines})
        await stock_of(self._uow).release([line.id for line in lines])
        if row.contract_id is not None:
            await self._uow.of(Contracts).release(row.contract_id, row.id)
        await self._orders.benefits.release(row)
        changes = {"status": status.value, "cancelled_at": self._uow.now, "cancel_reason": reason, **SETTLED}
        after = await self._orders.write(row, changes, action="cancelled", reason=reason)
        await self._nothing_to_approve(row, reason)
        self._uow.publish(OrderCancelled(id=row.id, account_id=row.account_id, reason=reason))
        return after

    async def close(self, id: UUID, *, expected_version: int) -> Order:
        """It is done with. Raises `InvalidTransition`, `StaleVersion`."""
        row = await self._orders.locked(id, expected_version)
        status = ORDER_STATES.next(OrderStatus(row.status), "close")
        return await self._orders.write(
            row, {"status": status.value, "closed_at": self._uow.now}, action="closed"
        )

    async def needs(self, lines: Sequence[OrderLine], quantities: Mapping[UUID, Decimal]) -> list[StockNeed]:
        """What these quantities of lines take from stock: those of products that are kept on hand."""
        products = {line.product_id for line in lines if line.product_id is not None}
        known = await self._uow.of(Catalog).get_many(products, hold=True) if products else {}
        stocked = {id for id, product in known.items() if product.stocked}
        return [need for need in of_products(lines, quantities) if need.product_id in stocked]

    def _publish_placed(self, row: Order) -> None:
        names = ("account_id", "contact_id", "opportunity_id", "quote_id", "contract_id", "partner_id")
        self._uow.publish(
            OrderPlaced(
                id=row.id,
                **{name: getattr(row, name) for name in (*names, "owner_id", "source", "channel")},
                net=Money(row.net, row.currency).to_texts(),
                total=Money(row.total, row.currency).to_texts(),
                placed_on=row.ordered_on,
            )
        )
