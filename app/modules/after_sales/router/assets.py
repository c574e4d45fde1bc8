"""Assets and their warranty, what they report, and the returns of cases."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import AwareDatetime

from app.kernel.errors import Conflict, InvalidCursor, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import record_router
from app.kernel.routing import Router, Uow
from app.kernel.schemas import Page
from app.modules.after_sales.schemas.assets import AssetWarranty
from app.modules.after_sales.schemas.returns import CaseReturnCreate, CaseReturnRead, CaseReturns
from app.modules.after_sales.schemas.service import Metric
from app.modules.after_sales.schemas.telemetry import Meters, ReadingRead, TelemetryAnswer, TelemetryBatch
from app.modules.after_sales.services.assets import returns
from app.modules.after_sales.services.assets.assets import ASSET, AssetService
from app.modules.after_sales.services.assets.warranties import WARRANTY_TERM
from app.modules.after_sales.services.telemetry.readings import TelemetryService
from app.modules.after_sales.services.telemetry.rules import TELEMETRY_RULE

records = record_router(ASSET, tag="assets")
terms = record_router(WARRANTY_TERM, tag="assets")
rules = record_router(TELEMETRY_RULE, tag="telemetry")
router = Router(tags=["assets"])
telemetry = Router(tags=["telemetry"])

READ = "asset:read"
OF = "/v1/assets/{id}"
Day = Annotated[date | None, Query(description="Absent means today.")]


@router.get(f"{OF}/warranty", access=READ)
async def get_asset_warranty(id: UUID, uow: Uow, on: Day = None) -> AssetWarranty:
    """Whether an asset is under warranty on a day."""
    return await AssetService(uow).warranty(id, on)


@telemetry.post(f"{OF}/telemetry", access="asset:telemetry")
async def send_asset_telemetry(id: UUID, body: TelemetryBatch, uow: Uow) -> TelemetryAnswer:
    """Take in up to 1,000 readings. Sent again they change nothing; what breaks a rule opens one case."""
    return await TelemetryService(uow).take(id, body)


@telemetry.get(f"{OF}/telemetry", access=READ, responses=problems(InvalidCursor))
async def list_asset_telemetry(
    id: UUID,
    uow: Uow,
    metric: Annotated[Metric, Query(description="Which metric.")],
    since: Annotated[AwareDatetime | None, Query(description="From this moment on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this moment.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ReadingRead]:
    """The readings of one metric, newest first. They are kept for 400 days."""
    return await TelemetryService(uow).page(id, metric, since=since, until=until, limit=limit, cursor=cursor)


@telemetry.get(f"{OF}/meters", access=READ)
async def list_asset_meters(id: UUID, uow: Uow) -> Meters:
    """The newest reading of each metric."""
    return Meters(data=await TelemetryService(uow).meters(id))


@router.post("/v1/cases/{id}/returns", access="case:update", status_code=201, responses=problems(Conflict))
async def open_case_return(id: UUID, body: CaseReturnCreate, uow: Uow) -> CaseReturnRead:
    """Ask for goods to come back because of a case; the return goes on at `/v1/returns`."""
    return await returns.CaseReturns(uow).open(id, body)


@router.get("/v1/cases/{id}/returns", access="case:read")
async def list_case_returns(id: UUID, uow: Uow) -> CaseReturns:
    """The returns that were opened from a case."""
    return CaseReturns(data=await returns.CaseReturns(uow).of(id))
