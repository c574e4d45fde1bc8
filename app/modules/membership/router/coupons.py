"""`/v1/coupons` beyond the generated operations: their life, their codes, and baskets that they are tried on."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import InvalidCursor, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import detail_response, record_router
from app.kernel.routing import CurrentActor, IfMatch, KernelDep, Router, Uow
from app.kernel.uow import transaction
from app.kernel.uploads import Streamed, attachment
from app.modules.membership.interface import CouponNotIssuable, MemberNotActive
from app.modules.membership.schemas.coupons import (
    BasketInput,
    Batches,
    BatchInput,
    BatchRead,
    CouponCodePage,
    CouponCodeRead,
    CouponRead,
    CouponUsePage,
    Evaluation,
    IssueInput,
    MemberCoupons,
)
from app.modules.membership.services.coupons.codes import ISSUE, Coupons, exported
from app.modules.membership.services.coupons.definitions import COUPON, CouponService
from app.modules.membership.services.coupons.reading import CouponReading, read_batch, read_code

coupons = record_router(COUPON)
router = Router(tags=["coupons"])

READ, UPDATE, GIVE_OUT, APPLY = "coupon:read", "coupon:update", f"coupon:{ISSUE}", "coupon:apply"
OF = "/v1/coupons/{id}"
_STEP = problems(InvalidTransition, StaleVersion, VersionRequired)


@router.post("/v1/coupons/evaluate", access=APPLY)
async def evaluate_coupons(body: BasketInput, uow: Uow) -> Evaluation:
    """Try codes on a basket: what each takes off which line, and why others do not apply. Nothing is reserved."""
    return await CouponReading(uow).evaluate(body)


@router.post(f"{OF}/activate", access=UPDATE, response_model=CouponRead, responses=_STEP)
async def activate_coupon(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Let customers use a coupon, or use it again after a pause."""
    service = CouponService(uow)
    return await detail_response(service, await service.step(id, "activate", expected_version=version))


@router.post(f"{OF}/pause", access=UPDATE, response_model=CouponRead, responses=_STEP)
async def pause_coupon(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Let nobody use a coupon for a while; orders that are confirmed keep it."""
    service = CouponService(uow)
    return await detail_response(service, await service.step(id, "pause", expected_version=version))


@router.post(f"{OF}/end", access=UPDATE, response_model=CouponRead, responses=_STEP)
async def end_coupon(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Let nobody use a coupon any more, for good."""
    service = CouponService(uow)
    return await detail_response(service, await service.step(id, "end", expected_version=version))


@router.get(f"{OF}/batches", access=GIVE_OUT)
async def list_coupon_batches(id: UUID, uow: Uow) -> Batches:
    """The batches of codes that were ordered, newest first."""
    return await CouponReading(uow).batches(id)


@router.post(f"{OF}/batches", access=GIVE_OUT, status_code=202, responses=problems(CouponNotIssuable))
async def order_coupon_batch(id: UUID, body: BatchInput, uow: Uow, response: Response) -> BatchRead:
    """Order up to 100,000 codes that nobody can guess, each for one use; a job makes them."""
    batch = await Coupons(uow).order_batch(id, body)
    response.headers["Location"] = f"/v1/jobs/{batch.job_id}"
    return read_batch(batch)


@router.get(f"{OF}/codes", access=GIVE_OUT, responses=problems(InvalidCursor))
async def list_coupon_codes(
    id: UUID,
    uow: Uow,
    code: Annotated[str | None, Query(max_length=40, description="Only this one.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CouponCodePage:
    """The codes of a coupon, newest first."""
    return await CouponReading(uow).codes(id, code=code, limit=limit, cursor=cursor)


@router.get(
    f"{OF}/codes.csv",
    access=GIVE_OUT,
    own_transaction=True,
    response_class=Response,
    responses={200: {"description": "A CSV file.", "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export_coupon_codes(id: UUID, kernel: KernelDep, actor: CurrentActor) -> Response:
    """All codes of a coupon as CSV, as a stream."""
    async with transaction(kernel, actor, read_only=True) as uow:
        await CouponService(uow).get(id, action=ISSUE)
    return Streamed(
        exported(kernel, actor, id), media_type="text/csv", headers=attachment(f"coupon-{str(id)[:8]}.csv")
    )


@router.post(
    f"{OF}/issue",
    access=GIVE_OUT,
    status_code=201,
    responses=problems(CouponNotIssuable, MemberNotActive),
)
async def issue_coupon(id: UUID, body: IssueInput, uow: Uow) -> CouponCodeRead:
    """Give a loyalty member a code of their own, for one use; with a reference only once."""
    return read_code(await Coupons(uow).issue(id, body))


@router.get(f"{OF}/uses", access=READ, responses=problems(InvalidCursor))
async def list_coupon_uses(id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None) -> CouponUsePage:
    """The orders that a coupon was reserved for and redeemed on, newest first."""
    return await CouponReading(uow).uses(id, limit=limit, cursor=cursor)


@router.get("/v1/loyalty-members/{id}/coupons", access="loyalty_member:read")
async def list_member_coupons(id: UUID, uow: Uow) -> MemberCoupons:
    """A member's own coupons, newest first, used ones too."""
    return await CouponReading(uow).of_member(id)
