"""Cases: the record's own operations, and the steps of a case."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from app.kernel.errors import InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.record_router import detail_response, record_router
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.after_sales.interface import ReopenWindowOver
from app.modules.after_sales.schemas.case_statistics import CaseQuestion, CaseStatistics
from app.modules.after_sales.schemas.cases import CaseDetail, CaseReason, CaseResolution
from app.modules.after_sales.services.cases.cases import CASE, CaseService
from app.modules.after_sales.services.cases.states import CaseAlreadyOpen, CaseEnded
from app.modules.after_sales.services.cases.statistics import CaseStatisticsService

records = record_router(CASE, tag="cases")
router = Router(tags=["cases"])

READ, UPDATE = "case:read", "case:update"
_STEP = problems(InvalidTransition, StaleVersion, VersionRequired)
OF = "/v1/cases/{id}"


@router.get("/v1/cases/statistics", access=READ)
async def get_case_statistics(question: Annotated[CaseQuestion, Query()], uow: Uow) -> CaseStatistics:
    """Volume, backlog, times, kept promises and reopening of the cases that you see, by agent, queue and others."""
    return await CaseStatisticsService(uow).answer(question)


@router.post(f"{OF}/start", access=UPDATE, response_model=CaseDetail, responses=_STEP)
async def start_case(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Somebody works on it, for the first time or again after waiting."""
    return await _step(uow, id, "start", version)


@router.post(f"{OF}/wait-for-customer", access=UPDATE, response_model=CaseDetail, responses=_STEP)
async def hold_case_for_customer(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """It is the customer's turn: no deadline runs until they answer, or somebody goes on."""
    return await _step(uow, id, "wait_for_customer", version)


@router.post(f"{OF}/wait-internally", access=UPDATE, response_model=CaseDetail, responses=_STEP)
async def hold_case_internally(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Somebody else of ours has to do something first; deadlines run on."""
    return await _step(uow, id, "wait_internally", version)


@router.post(f"{OF}/resolve", access=UPDATE, response_model=CaseDetail, responses=_STEP)
async def resolve_case(id: UUID, version: IfMatch, uow: Uow, how: CaseResolution | None = None) -> Response:
    """It is solved; the customer may have it opened again for some time."""
    service = CaseService(uow)
    resolution = (how or CaseResolution()).resolution
    return await detail_response(service, await service.resolve(id, resolution, expected_version=version))


@router.post(
    f"{OF}/reopen",
    access=UPDATE,
    response_model=CaseDetail,
    responses=problems(InvalidTransition, StaleVersion, VersionRequired, ReopenWindowOver, CaseAlreadyOpen),
)
async def reopen_case(id: UUID, version: IfMatch, uow: Uow, why: CaseReason | None = None) -> Response:
    """It was not solved after all."""
    service = CaseService(uow)
    reason = (why or CaseReason()).reason
    return await detail_response(service, await service.reopen(id, reason, expected_version=version))


@router.post(f"{OF}/close", access=UPDATE, response_model=CaseDetail, responses=_STEP)
async def close_case(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """A resolved case is done with."""
    return await _step(uow, id, "close", version)


@router.post(
    f"{OF}/escalate",
    access=UPDATE,
    response_model=CaseDetail,
    responses=problems(CaseEnded, StaleVersion, VersionRequired),
)
async def escalate_case(id: UUID, version: IfMatch, uow: Uow, why: CaseReason | None = None) -> Response:
    """Say that it needs more than it gets: one level up."""
    service = CaseService(uow)
    row = await service.locked(id, version)
    reason = (why or CaseReason()).reason
    return await detail_response(service, await service.escalate_row(row, reason or "asked"))


async def _step(uow: Uow, id: UUID, action: str, version: int) -> Response:
    service = CaseService(uow)
    return await detail_response(service, await service.step(id, action, expected_version=version))
