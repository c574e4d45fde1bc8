"""Goods that come back because of a case: returns of orders, opened from it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.schemas.returns import CaseReturnCreate, CaseReturnLine, CaseReturnRead
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.orders.interface import NewReturn, NewReturnLine, Orders, ReturnRef


class CaseReturns:
    """The returns of cases."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._cases = CaseService(uow)

    async def open(self, case_id: UUID, body: CaseReturnCreate) -> CaseReturnRead:
        """Ask for goods of the case's order to come back. Raises: NotFound; Forbidden; Invalid; Conflict."""
        case = await self._cases.locked(case_id)
        order_id = body.order_id or case.order_id
        if order_id is None:
            raise Invalid.at("/order_id", "required", "Name the order: the case names none.")
        made = await self._uow.of(Orders).open_return(
            NewReturn(
                order_id=order_id,
                reason=body.reason or case.subject,
                contact_id=case.contact_id,
                case_id=case.id,
                lines=tuple(
                    NewReturnLine(
                        order_line_id=line.order_line_id,
                        quantity=Decimal(line.quantity),
                        reason=line.reason,
                        serial_numbers=tuple(line.serial_numbers),
                    )
                    for line in await self._lines(case, body)
                ),
            )
        )
        self._uow.record_audit("case", case.id, "return_opened", {"return": [None, made.number]})
        return _read(made)

    async def _lines(self, case: Case, body: CaseReturnCreate) -> Sequence[CaseReturnLine]:
        """What the caller says, else one of the case's order line, with the asset's serial number."""
        if body.lines is not None:
            return body.lines
        if case.order_line_id is None:
            raise Invalid.at("/lines", "required", "Say what comes back: the case names no order line.")
        row = await self._uow.fetchrow(
            "SELECT serial_number FROM after_sales.assets WHERE tenant_id = $1 AND id = $2 AND order_line_id = $3",
            case.tenant_id,
            case.asset_id,
            case.order_line_id,
        )
        serial = None if row is None else row["serial_number"]
        return [
            CaseReturnLine(
                order_line_id=case.order_line_id, quantity="1", serial_numbers=[serial] if serial else []
            )
        ]

    async def of(self, case_id: UUID) -> list[CaseReturnRead]:
        """The visible returns of a visible case, oldest first. Raises `NotFound`."""
        await self._cases.get(case_id)
        found = await self._uow.of(Orders).returns_of([case_id])
        return [_read(one) for one in found.get(case_id, ())]


def _read(one: ReturnRef) -> CaseReturnRead:
    return CaseReturnRead.model_validate({name: getattr(one, name) for name in CaseReturnRead.model_fields})
