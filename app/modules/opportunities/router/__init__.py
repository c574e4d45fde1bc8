"""`/v1/opportunities` beyond the generated operations, and `/v1/pipelines`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query as QueryParameter
from fastapi import Response
from starlette.requests import Request

from app.kernel.errors import DuplicateValue, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.listing import query_from_parameters
from app.kernel.record_router import record_response, record_router, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.validation import fields_of
from app.modules.opportunities.interface import StageInUse
from app.modules.opportunities.models import OpportunityStatus
from app.modules.opportunities.schemas import (
    DateField,
    GroupBy,
    Loss,
    OpportunityRead,
    PipelineCreate,
    PipelineRead,
    Pipelines,
    PipelineUpdate,
    StageVisitRead,
    Statistics,
    Win,
)
from app.modules.opportunities.services.opportunities import OPPORTUNITY, OpportunityService
from app.modules.opportunities.services.pipeline_changes import PipelineChanges
from app.modules.opportunities.services.pipelines import PipelineService, read
from app.modules.opportunities.services.stage_history import StageHistory
from app.modules.opportunities.services.statistics import StatisticsService

records = record_router(OPPORTUNITY)
router = Router(tags=["opportunities"])

_ACTION = problems(InvalidTransition, StaleVersion, VersionRequired)


@router.post(
    "/v1/opportunities/{id}/win",
    access="opportunity:update",
    response_model=OpportunityRead,
    responses=_ACTION,
)
async def win_opportunity(id: UUID, version: IfMatch, uow: Uow, how: Win | None = None) -> Response:
    """Win an open opportunity: it moves to the won stage and counts 100 percent."""
    given = fields_of(how or Win())
    row = await OpportunityService(uow).close(
        id, given, status=OpportunityStatus.WON, expected_version=version
    )
    return record_response(uow, OPPORTUNITY, row)


@router.post(
    "/v1/opportunities/{id}/lose",
    access="opportunity:update",
    response_model=OpportunityRead,
    responses=_ACTION,
)
async def lose_opportunity(id: UUID, version: IfMatch, why: Loss, uow: Uow) -> Response:
    """Lose an open opportunity, with a reason; the last stage is kept."""
    row = await OpportunityService(uow).close(
        id, fields_of(why), status=OpportunityStatus.LOST, expected_version=version
    )
    return record_response(uow, OPPORTUNITY, row)


@router.post(
    "/v1/opportunities/{id}/reopen",
    access="opportunity:update",
    response_model=OpportunityRead,
    responses=_ACTION,
)
async def reopen_opportunity(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Open a won or lost opportunity again, in the last open stage."""
    return record_response(
        uow, OPPORTUNITY, await OpportunityService(uow).reopen(id, expected_version=version)
    )


@router.get("/v1/opportunities/{id}/stage-history", access="opportunity:read")
async def list_opportunity_stage_history(id: UUID, uow: Uow) -> list[StageVisitRead]:
    """The stages that an opportunity went through, oldest first."""
    await OpportunityService(uow).get(id)
    return await StageHistory(uow).of(id)


@router.get(
    "/v1/opportunities/statistics",
    access="opportunity:read",
    response_model=Statistics,
    open_query=True,
)
async def get_opportunity_statistics(
    request: Request,
    uow: Uow,
    group_by: Annotated[GroupBy, QueryParameter(description="Managers are those of the teams.")],
    date_field: Annotated[
        DateField, QueryParameter(description="The date by which months, quarters and years go.")
    ] = "closed_on",
) -> Statistics:
    """Counts and sums by group, of the opportunities that you see. Any field filters, as in the list."""
    own = {"group_by", "date_field"}
    given = [(name, value) for name, value in request.query_params.multi_items() if name not in own]
    return await StatisticsService(uow).grouped(group_by, date_field, query_from_parameters(given))


@router.get("/v1/pipelines", access="opportunity:read")
async def list_pipelines(uow: Uow) -> Pipelines:
    """The pipelines that you may use, with their stages, in their order."""
    return Pipelines(data=[read(pipeline) for pipeline in await PipelineService(uow).shown()])


@router.get("/v1/pipelines/{id}", access="opportunity:read")
async def get_pipeline(id: UUID, uow: Uow, response: Response) -> PipelineRead:
    """One pipeline with its stages, whoever may use it."""
    found = await PipelineService(uow).get(id)
    tag(response, found)
    return read(found)


@router.post("/v1/pipelines", access="pipeline:manage", status_code=201, responses=problems(DuplicateValue))
async def create_pipeline(body: PipelineCreate, uow: Uow, response: Response) -> PipelineRead:
    """Make a pipeline with its stages."""
    made = await PipelineChanges(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"/v1/pipelines/{made.id}"
    return read(made)


@router.patch("/v1/pipelines/{id}", access="pipeline:manage", responses=problems(StageInUse))
async def update_pipeline(
    id: UUID, body: PipelineUpdate, version: IfMatch, uow: Uow, response: Response
) -> PipelineRead:
    """Rename a pipeline, make it the default, or replace its stages."""
    changed = await PipelineChanges(uow).update(id, body, expected_version=version)
    tag(response, changed)
    return read(changed)
