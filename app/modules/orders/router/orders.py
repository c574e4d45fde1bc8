"""Orders: the record's own operations, the steps of an order, shipments and stock."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import (
    Forbidden,
    InvalidTransition,
    NotFound,
    StaleVersion,
    VersionRequired,
    problems,
)
from app.kernel.figures import Language
from app.kernel.paging import Cursor, Limit
from app.kernel.pdf.answers import PDF, pdf_answer
from app.kernel.pdf.documents import Document
from app.kernel.pdf.kept import fresh_pdf
from app.kernel.pdf.render import DocumentNotRendered
from app.kernel.record_router import detail_response, record_router
from app.kernel.routing import CurrentActor, IfMatch, KernelDep, Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of
from app.modules.automation.interface import ApprovalNotNeeded, ApprovalPending, NoApprover
from app.modules.contracts.interface import ContractNotActive, FrameExceeded
from app.modules.orders.interface import (
    CouponNotApplicable,
    CreditRefused,
    OutOfStock,
    PointsNotApplicable,
)
from app.modules.orders.models.orders import OrderStatus
from app.modules.orders.schemas.orders import (
    Cancellation,
    CreditApprovalAsk,
    LineCancellation,
    OnlineOrder,
    OrderDetail,
    ShipmentCreate,
    ShipmentRead,
    Shipments,
    StockAdjustment,
    StockLevelRead,
    StockMovementRead,
)
from app.modules.orders.services.fulfilment import FulfilmentService
from app.modules.orders.services.orders import ORDER, OrderService
from app.modules.orders.services.paper import describe_order
from app.modules.orders.services.placing import Placing
from app.modules.orders.services.states import (
    CancellationTooLarge,
    OrderEmpty,
    OrderReferenceUsed,
    ShipmentTooLarge,
)
from app.modules.orders.services.steps import OrderSteps
from app.modules.orders.services.stock import StockService, read_movement

records = record_router(ORDER)
router = Router(tags=["orders"])
stock = Router(tags=["stock"])

READ, CREATE, UPDATE = "order:read", "order:create", "order:update"
_STEP = (InvalidTransition, StaleVersion, VersionRequired)
_CONFIRM = (
    OutOfStock, CreditRefused, ContractNotActive, FrameExceeded, CouponNotApplicable, PointsNotApplicable,
)  # fmt: skip
OF = "/v1/orders/{id}"


@router.post(
    "/v1/orders/place",
    access=CREATE,
    status_code=201,
    response_model=OrderDetail,
    responses=problems(OrderReferenceUsed, *_CONFIRM),
)
async def place_order(body: OnlineOrder, uow: Uow) -> Response:
    """Make and confirm an order in one step, as shops do. The same order sent again answers with the first one."""
    service = OrderService(uow)
    row = await service.create(fields_of(body), explicit=body.model_fields_set)
    if row.status == OrderStatus.DRAFT:
        row = await OrderSteps(service).confirm(row.id, expected_version=row.version)
    return await detail_response(OrderService(uow), row, 201)


@router.post(
    f"{OF}/confirm",
    access=UPDATE,
    response_model=OrderDetail,
    responses=problems(*_STEP, OrderEmpty, *_CONFIRM),
)
async def confirm_order(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """The customer bought: goods are reserved, all or none."""
    service = OrderService(uow)
    return await detail_response(service, await OrderSteps(service).confirm(id, expected_version=version))


@router.post(
    f"{OF}/request-approval",
    access=UPDATE,
    response_model=OrderDetail,
    responses=problems(*_STEP, OrderEmpty, CreditRefused, ApprovalNotNeeded, ApprovalPending, NoApprover),
)
async def request_order_approval(
    id: UUID, version: IfMatch, uow: Uow, given: CreditApprovalAsk | None = None
) -> Response:
    """Ask for approval of a draft beyond the account's credit limit; approved, it is confirmed by itself."""
    asked = given or CreditApprovalAsk()
    return await detail_response(
        OrderService(uow), await Placing(uow).request_approval(id, asked, expected_version=version)
    )


@router.post(f"{OF}/cancel", access=UPDATE, response_model=OrderDetail, responses=problems(*_STEP))
async def cancel_order(id: UUID, version: IfMatch, uow: Uow, why: Cancellation | None = None) -> Response:
    """Cancel a whole order of which nothing was shipped; its goods are free again."""
    reason = (why or Cancellation()).reason
    service = OrderService(uow)
    return await detail_response(
        service, await OrderSteps(service).cancel(id, reason, expected_version=version)
    )


@router.post(
    f"{OF}/cancel-lines",
    access=UPDATE,
    response_model=OrderDetail,
    responses=problems(*_STEP, CancellationTooLarge),
)
async def cancel_order_lines(id: UUID, body: LineCancellation, version: IfMatch, uow: Uow) -> Response:
    """Cancel what has not been shipped, or some of it; the amounts fall in proportion."""
    row = await FulfilmentService(uow).cancel_lines(id, body, expected_version=version)
    return await detail_response(OrderService(uow), row)


@router.post(f"{OF}/close", access=UPDATE, response_model=OrderDetail, responses=problems(*_STEP))
async def close_order(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """A fulfilled order is done with."""
    service = OrderService(uow)
    return await detail_response(service, await OrderSteps(service).close(id, expected_version=version))


@router.get(f"{OF}/shipments", access=READ)
async def list_order_shipments(id: UUID, uow: Uow) -> Shipments:
    """What went out when, oldest first."""
    return await FulfilmentService(uow).shipments(id)


@router.post(
    f"{OF}/shipments",
    access=UPDATE,
    status_code=201,
    responses=problems(InvalidTransition, ShipmentTooLarge),
)
async def ship_order(id: UUID, body: ShipmentCreate, uow: Uow) -> ShipmentRead:
    """Send goods out: all that is open, or parts of lines. The order is fulfilled when nothing is open any more."""
    return await FulfilmentService(uow).ship(id, body)


# -- stock ---------------------------------------------------------------------------------------------------


@stock.get("/v1/stock-levels", access="stock:read")
async def list_stock_levels(
    uow: Uow,
    product_id: Annotated[list[UUID] | None, Query(max_length=100, description="Only of these.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[StockLevelRead]:
    """How much of each product lies here, and how much of it is not promised."""
    return await StockService(uow).levels(product_id, limit=limit, cursor=cursor)


@stock.get("/v1/stock-movements", access="stock:read")
async def list_stock_movements(
    uow: Uow,
    product_id: Annotated[UUID | None, Query(description="Only of this product.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[StockMovementRead]:
    """What came in and went out, newest first."""
    return await StockService(uow).movements(product_id, limit=limit, cursor=cursor)


@stock.post("/v1/stock-movements", access="stock:manage", status_code=201, responses=problems(OutOfStock))
async def adjust_stock(body: StockAdjustment, uow: Uow) -> StockMovementRead:
    """Say what came in, went out or was counted. What is promised to orders cannot go out."""
    return read_movement(await StockService(uow).adjust(body))


@router.get(
    f"{OF}/pdf",
    access=READ,
    own_transaction=True,
    response_class=Response,
    responses=PDF | problems(NotFound, Forbidden, DocumentNotRendered),
)
async def get_order_pdf(
    id: UUID,
    kernel: KernelDep,
    actor: CurrentActor,
    language: Annotated[Language | None, Query(description="Absent: the company's.")] = None,
) -> Response:
    """The confirmation of an order as PDF, as it stands; a draft is marked as one."""

    async def described(uow: UnitOfWork) -> Document:
        return await describe_order(uow, id, language)

    return pdf_answer(await fresh_pdf(kernel, actor, described))
