"""Returns: the record's own operations, and the steps from the wish to the decision."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.record_router import detail_response, record_router
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.orders.interface import OutOfStock
from app.modules.orders.schemas.returns import Decision, Inspection, RefundDecision, Rejection, ReturnDetail
from app.modules.orders.services.returns import RETURN, ReturnService

records = record_router(RETURN, tag="returns")
router = Router(tags=["returns"])

UPDATE = "return:update"
_STEP = problems(InvalidTransition, StaleVersion, VersionRequired)
OF = "/v1/returns/{id}"


def _note(decision: Decision | None) -> str | None:
    return None if decision is None else decision.note


@router.post(f"{OF}/approve", access=UPDATE, response_model=ReturnDetail, responses=_STEP)
async def approve_return(id: UUID, version: IfMatch, uow: Uow, body: Decision | None = None) -> Response:
    """The customer may send it."""
    service = ReturnService(uow)
    row = await service.step(id, "approve", _note(body), expected_version=version)
    return await detail_response(service, row)


@router.post(f"{OF}/receive", access=UPDATE, response_model=ReturnDetail, responses=_STEP)
async def receive_return(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """The goods are here."""
    service = ReturnService(uow)
    return await detail_response(service, await service.step(id, "receive", expected_version=version))


@router.post(f"{OF}/inspect", access=UPDATE, response_model=ReturnDetail, responses=_STEP)
async def inspect_return(id: UUID, body: Inspection, version: IfMatch, uow: Uow) -> Response:
    """Say how the goods look, and which of them go back into stock."""
    service = ReturnService(uow)
    return await detail_response(service, await service.inspect(id, body, expected_version=version))


@router.post(f"{OF}/refund", access=UPDATE, response_model=ReturnDetail, responses=_STEP)
async def refund_return(id: UUID, version: IfMatch, uow: Uow, body: RefundDecision | None = None) -> Response:
    """Give the money back: the return's amounts are final, and what was invoiced of them is credited at once."""
    method = None if body is None else body.method
    service = ReturnService(uow)
    row = await service.refund(id, _note(body), expected_version=version, method=method)
    return await detail_response(service, row)


@router.post(
    f"{OF}/replace",
    access=UPDATE,
    response_model=ReturnDetail,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, OutOfStock),
)
async def replace_return(id: UUID, version: IfMatch, uow: Uow, body: Decision | None = None) -> Response:
    """Send the same again: a confirmed order that costs nothing is made, and linked."""
    service = ReturnService(uow)
    return await detail_response(service, await service.replace(id, _note(body), expected_version=version))


@router.post(f"{OF}/repair", access=UPDATE, response_model=ReturnDetail, responses=_STEP)
async def repair_return(id: UUID, version: IfMatch, uow: Uow, body: Decision | None = None) -> Response:
    """Send the goods back repaired; nothing is refunded, and they may come back again."""
    service = ReturnService(uow)
    return await detail_response(service, await service.repair(id, _note(body), expected_version=version))


@router.post(f"{OF}/reject", access=UPDATE, response_model=ReturnDetail, responses=_STEP)
async def reject_return(id: UUID, body: Rejection, version: IfMatch, uow: Uow) -> Response:
    """Do not take the goods back."""
    service = ReturnService(uow)
    return await detail_response(service, await service.reject(id, body.note, expected_version=version))
