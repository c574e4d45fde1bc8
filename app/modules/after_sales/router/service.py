"""Service contracts, maintenance plans and work orders."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response

from app.kernel.errors import InvalidCursor, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import detail_response, record_router
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.modules.after_sales.models.service import WorkOrder
from app.modules.after_sales.schemas.service import (
    EntitlementDrawCreate,
    EntitlementDrawRead,
    WorkOrderCancellation,
    WorkOrderPartCreate,
    WorkOrderPartRead,
    WorkOrderParts,
    WorkOrderRead,
    WorkOrderReport,
    WorkOrderSchedule,
    WorkOrderSignature,
    WorkOrderTimeCreate,
    WorkOrderTimeRead,
    WorkOrderTimes,
)
from app.modules.after_sales.services.service.contracts import (
    SERVICE_CONTRACT,
    EntitlementExhausted,
    ServiceContractNotInForce,
    ServiceContractService,
)
from app.modules.after_sales.services.service.maintenance import MAINTENANCE_PLAN
from app.modules.after_sales.services.service.work import WorkService
from app.modules.after_sales.services.service.work_orders import WORK_ORDER, WorkOrderEnded, WorkOrderService
from app.modules.orders.interface import OutOfStock

contracts = record_router(SERVICE_CONTRACT, tag="service contracts")
plans = record_router(MAINTENANCE_PLAN, tag="work orders")
orders = record_router(WORK_ORDER, tag="work orders")
drawing = Router(tags=["service contracts"])
router = Router(tags=["work orders"])

READ, UPDATE = "work_order:read", "work_order:update"
OF = "/v1/work-orders/{id}"
PartId = Annotated[UUID, Path(description="The part that was noted.")]
_STEP = problems(InvalidTransition, StaleVersion, VersionRequired)
_KEEPING = problems(InvalidTransition, StaleVersion, VersionRequired, OutOfStock)
_DRAW = (EntitlementExhausted, ServiceContractNotInForce)


@drawing.post(
    "/v1/service-contracts/{id}/draws",
    access="service_contract:update",
    status_code=201,
    responses=problems(*_DRAW),
)
async def draw_service_contract(id: UUID, body: EntitlementDrawCreate, uow: Uow) -> EntitlementDrawRead:
    """Take minutes or visits from what is included, never more than is left."""
    return await ServiceContractService(uow).draw(id, body)


@drawing.get(
    "/v1/service-contracts/{id}/draws", access="service_contract:read", responses=problems(InvalidCursor)
)
async def list_service_contract_draws(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> Page[EntitlementDrawRead]:
    """What was taken and for what, newest first."""
    return await ServiceContractService(uow).draws(id, limit=limit, cursor=cursor)


# -- steps of work orders ------------------------------------------------------------------------------------


async def _answer(uow: Uow, row: WorkOrder) -> Response:
    return await detail_response(WorkOrderService(uow), row)


@router.post(f"{OF}/schedule", access=UPDATE, response_model=WorkOrderRead, responses=_KEEPING)
async def schedule_work_order(id: UUID, body: WorkOrderSchedule, version: IfMatch, uow: Uow) -> Response:
    """Say in which window it is done, and by whom; also to say so anew. Its parts are kept in stock from then on."""
    return await _answer(uow, await WorkOrderService(uow).schedule(id, body, expected_version=version))


@router.post(f"{OF}/start", access=UPDATE, response_model=WorkOrderRead, responses=_KEEPING)
async def start_work_order(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Somebody works on it."""
    return await _answer(uow, await WorkOrderService(uow).step(id, "start", expected_version=version))


@router.post(
    f"{OF}/finish",
    access=UPDATE,
    response_model=WorkOrderRead,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, *_DRAW),
)
async def finish_work_order(
    id: UUID, version: IfMatch, uow: Uow, body: WorkOrderReport | None = None
) -> Response:
    """It is done. Where its service contract includes visits, this was one of them."""
    report = body or WorkOrderReport()
    return await _answer(uow, await WorkOrderService(uow).finish(id, report, expected_version=version))


@router.post(f"{OF}/resume", access=UPDATE, response_model=WorkOrderRead, responses=_STEP)
async def resume_work_order(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """It was not done after all; a visit that was drawn stays drawn, and no other is."""
    return await _answer(uow, await WorkOrderService(uow).step(id, "resume", expected_version=version))


@router.post(f"{OF}/sign-off", access=UPDATE, response_model=WorkOrderRead, responses=_STEP)
async def sign_work_order(id: UUID, body: WorkOrderSignature, version: IfMatch, uow: Uow) -> Response:
    """The customer agrees that it was done; it changes no more, and its parts are taken out of stock."""
    return await _answer(uow, await WorkOrderService(uow).sign_off(id, body, expected_version=version))


@router.post(f"{OF}/cancel", access=UPDATE, response_model=WorkOrderRead, responses=_STEP)
async def cancel_work_order(id: UUID, body: WorkOrderCancellation, version: IfMatch, uow: Uow) -> Response:
    """It will not be done; what was kept in stock for it is free again."""
    row = await WorkOrderService(uow).step(
        id, "cancel", expected_version=version, reason=body.reason, cancel_reason=body.reason
    )
    return await _answer(uow, row)


# -- parts and time ------------------------------------------------------------------------------------------


@router.get(f"{OF}/parts", access=READ)
async def list_work_order_parts(id: UUID, uow: Uow) -> WorkOrderParts:
    """What is used."""
    return WorkOrderParts(data=await WorkService(uow).parts(id))


@router.post(f"{OF}/parts", access=UPDATE, status_code=201, responses=problems(WorkOrderEnded, OutOfStock))
async def add_work_order_part(id: UUID, body: WorkOrderPartCreate, uow: Uow) -> WorkOrderPartRead:
    """Note something that is used. A stocked product is kept for it, once the work is scheduled or begun."""
    return await WorkService(uow).add_part(id, body)


@router.delete(f"{OF}/parts/{{part_id}}", access=UPDATE, status_code=204, responses=problems(WorkOrderEnded))
async def remove_work_order_part(id: UUID, part_id: PartId, uow: Uow) -> None:
    """It is not used after all."""
    await WorkService(uow).remove_part(id, part_id)


@router.get(f"{OF}/time-entries", access=READ)
async def list_work_order_times(id: UUID, uow: Uow) -> WorkOrderTimes:
    """Who worked when."""
    return WorkOrderTimes(data=await WorkService(uow).times(id))


@router.post(f"{OF}/time-entries", access=UPDATE, status_code=201, responses=problems(WorkOrderEnded, *_DRAW))
async def add_work_order_time(id: UUID, body: WorkOrderTimeCreate, uow: Uow) -> WorkOrderTimeRead:
    """Note time. Where the service contract includes working time, it is drawn from there."""
    return await WorkService(uow).add_time(id, body)
