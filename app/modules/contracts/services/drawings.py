"""What orders draw on contracts: never more than the value, however many draw at once."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from app.kernel.errors import Conflict, Invalid
from app.kernel.log_pages import BY_ID, select_page
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import ContractNotActive, FrameExceeded
from app.modules.contracts.models import Contract, ContractStatus, Drawing
from app.modules.contracts.schemas import DrawingRead, Drawings
from app.modules.contracts.services.contracts import CONTRACT, ContractService


class DrawingService:
    """Drawings: one for each order. Whoever changes one holds the contract meanwhile."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def page(self, contract_id: UUID, *, limit: int, cursor: str | None) -> Drawings:
        """Oldest first. Raises `NotFound` for a contract that is not visible; `InvalidCursor`."""
        contracts = ContractService(self._uow)
        row = await contracts.get(contract_id)
        drawn = self._uow.select(Drawing).where(Drawing.contract_id == contract_id)
        name = f"contract_drawings:{contract_id}"
        found = await select_page(self._uow, drawn, BY_ID, name=name, limit=limit, cursor=cursor)
        hidden = contracts.hides_value
        return Drawings(
            data=[
                DrawingRead(
                    id=one.id,
                    order_id=one.order_id,
                    amount=None if hidden else Money(one.amount, one.currency),
                )
                for one in found.rows
            ],
            **found.onward,
            drawn=None if hidden else Money(row.drawn, row.currency),
            left=None if hidden else Money(row.value - row.drawn, row.currency),
        )

    async def draw(self, contract_id: UUID, order_id: UUID, amount: Money) -> Money:
        """Set what an order draws; what is left. Raises `NotFound` and as the interface says."""
        row = await self._uow.get(Contract, contract_id, lock="update")
        if amount.currency != row.currency:
            raise Invalid.at("/currency", "other_currency", f"The contract is in {row.currency}.")
        if amount.amount_minor < 0:
            raise Invalid.at("/amount", "negative", "Nobody draws less than nothing.")
        former = await self._of(order_id)
        if former is not None and former.contract_id != contract_id:
            raise Conflict("The order draws on another contract; release that first.")
        more = amount.amount_minor - (former.amount if former else 0)
        if more > 0:
            self._require_in_force(row)
        left = row.value - row.drawn
        if more > left:
            covered = Money(left, row.currency)
            raise FrameExceeded(f"{covered} is left.", left=covered.to_wire())
        if former is None:
            await self._uow.insert(
                Drawing,
                contract_id=contract_id,
                order_id=order_id,
                amount=amount.amount_minor,
                currency=amount.currency,
            )
        else:
            await self._uow.update(former, amount=amount.amount_minor, updated_at=self._uow.now)
        await self._move(row, more, "drawn")
        return Money(left - more, row.currency)

    async def release(self, contract_id: UUID, order_id: UUID) -> None:
        """Give back what an order drew on this contract, whatever has become of the contract."""
        row = await self._uow.get(Contract, contract_id, lock="update", deleted=True)
        former = await self._of(order_id)
        if former is None or former.contract_id != contract_id:
            return
        await self._uow.delete(former)
        await self._move(row, -former.amount, "released")

    async def _of(self, order_id: UUID) -> Drawing | None:
        return await self._uow.first(self._uow.select(Drawing).where(Drawing.order_id == order_id))

    async def _move(self, row: Contract, change: int, action: str) -> None:
        if not change:
            return
        after = await self._uow.update(row, audit="contract", action=action, drawn=row.drawn + change)
        self._uow.publish_record(CONTRACT.updated, row.id, after.version, changed=["drawn"])

    def _require_in_force(self, row: Contract) -> None:
        today: date = self._uow.actor.tenant.day_of(self._uow.now)
        if row.status != ContractStatus.ACTIVE:
            told = f"It is {row.status.replace('_', ' ')}."
        elif today < row.starts_on:
            told = f"It starts on {row.starts_on}."
        elif row.ends_on is not None and row.ends_on < today:
            told = f"It ended on {row.ends_on}."
        elif row.terminates_on is not None and row.terminates_on <= today:
            told = "It was terminated."
        else:
            return
        raise ContractNotActive(told, status_now=row.status)
