"""`/v1/leads` beyond the generated operations: steps, touches, duplicates, conversion, sources."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query as QueryParameter
from fastapi import Response
from starlette.requests import Request

from app.kernel.duplicate_router import duplicate_routes
from app.kernel.duplicates import DuplicateFound
from app.kernel.errors import InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.listing import query_from_parameters
from app.kernel.record_router import record_response, record_router, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.validation import fields_of
from app.modules.leads.interface import LeadAlreadyConverted, LeadStageInUse
from app.modules.leads.router import assignment, form_pages, forms, optimisation, pools, scoring
from app.modules.leads.schemas import (
    Conversion,
    ConversionMappingInput,
    ConversionMappingRead,
    ConversionPlan,
    ConversionPreview,
    Disqualification,
    LeadQuery,
    LeadRead,
    Period,
    SourcesReport,
    Touch,
    TouchKind,
)
from app.modules.leads.services.conversion import Converter
from app.modules.leads.services.leads import LEAD, LeadService
from app.modules.leads.services.mapping import ConversionMappings
from app.modules.leads.services.preview import preview
from app.modules.leads.services.sources import sources
from app.modules.leads.services.stages import LeadStages, LeadStagesInput, Stages

records = record_router(LEAD)
duplicates = duplicate_routes(LEAD, LeadQuery)
router = Router(tags=["leads"])

_STEP = problems(InvalidTransition, LeadAlreadyConverted, StaleVersion, VersionRequired)


@router.post("/v1/leads/{id}/start-working", access="lead:update", response_model=LeadRead, responses=_STEP)
async def start_working_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Take up a lead that is new, nurtured or qualified."""
    return record_response(
        uow, LEAD, await LeadService(uow).step(id, "start_working", expected_version=version)
    )


@router.post("/v1/leads/{id}/nurture", access="lead:update", response_model=LeadRead, responses=_STEP)
async def nurture_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Put a lead aside for marketing to keep warm."""
    return record_response(uow, LEAD, await LeadService(uow).step(id, "nurture", expected_version=version))


@router.post("/v1/leads/{id}/qualify", access="lead:update", response_model=LeadRead, responses=_STEP)
async def qualify_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Say that a lead is worth selling to."""
    return record_response(uow, LEAD, await LeadService(uow).step(id, "qualify", expected_version=version))


@router.post("/v1/leads/{id}/disqualify", access="lead:update", response_model=LeadRead, responses=_STEP)
async def disqualify_lead(id: UUID, version: IfMatch, why: Disqualification, uow: Uow) -> Response:
    """Say that a lead is not worth more work, and why."""
    row = await LeadService(uow).step(
        id,
        "disqualify",
        expected_version=version,
        disqualified_reason=why.reason,
        disqualified_note=why.note,
    )
    return record_response(uow, LEAD, row)


@router.post("/v1/leads/{id}/reopen", access="lead:update", response_model=LeadRead, responses=_STEP)
async def reopen_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Work on a disqualified lead again."""
    return record_response(uow, LEAD, await LeadService(uow).step(id, "reopen", expected_version=version))


@router.post("/v1/leads/{id}/touches", access="lead:update", response_model=LeadRead, responses=_STEP)
async def touch_lead(id: UUID, version: IfMatch, touch: Touch, uow: Uow) -> Response:
    """Note a later touch: it becomes the last one, the first stays."""
    return record_response(
        uow, LEAD, await LeadService(uow).touch(id, fields_of(touch), expected_version=version)
    )


@router.post(
    "/v1/leads/{id}/convert",
    access="lead:convert",
    responses=problems(DuplicateFound, InvalidTransition, StaleVersion, VersionRequired),
)
async def convert_lead(
    id: UUID, version: IfMatch, uow: Uow, plan: ConversionPlan | None = None
) -> Conversion:
    """Turn a lead into an account, a contact and, if asked, an opportunity. Again, it answers the same."""
    return await Converter(uow).convert(id, plan or ConversionPlan(), expected_version=version)


@router.post(
    "/v1/leads/{id}/convert/preview",
    access="lead:convert",
    responses=problems(InvalidTransition, LeadAlreadyConverted),
)
async def preview_lead_conversion(
    id: UUID, uow: Uow, plan: ConversionPlan | None = None
) -> ConversionPreview:
    """Show what a conversion would make, match and fill; nothing is written."""
    return await preview(uow, id, plan or ConversionPlan())


@router.get("/v1/leads/sources", access="lead:read", response_model=SourcesReport, open_query=True)
async def get_lead_sources(
    request: Request,
    uow: Uow,
    period: Annotated[
        Period, QueryParameter(description="Quarters and years are the tenant's fiscal ones.")
    ] = "all",
    touch: Annotated[TouchKind, QueryParameter(description="By the first or the last touch.")] = "first",
) -> SourcesReport:
    """Leads, qualified, converted and won amounts per source and period. Any field filters, as in the list."""
    own = {"period", "touch"}
    given = [(name, value) for name, value in request.query_params.multi_items() if name not in own]
    return await sources(uow, period, touch, query_from_parameters(given))


@router.get("/v1/lead-conversion-mapping", access="lead:read")
async def get_lead_conversion_mapping(uow: Uow, response: Response) -> ConversionMappingRead:
    """Where fields of a lead go when it is converted: what is set, and equal keys for the rest."""
    found = await ConversionMappings(uow).read()
    tag(response, found)
    return found


@router.put("/v1/lead-conversion-mapping", access="lead_conversion_mapping:manage")
async def set_lead_conversion_mapping(
    body: ConversionMappingInput, version: IfMatch, uow: Uow, response: Response
) -> ConversionMappingRead:
    """Set the whole mapping. The version is 0 while nothing has been set."""
    found = await ConversionMappings(uow).replace(body, expected_version=version)
    tag(response, found)
    return found


@router.get("/v1/lead-stages", access="lead:read")
async def get_lead_stages(uow: Uow, response: Response) -> LeadStages:
    """The company's own stages of leads, in their order, each within a built-in status."""
    found = await Stages(uow).read()
    tag(response, found)
    return found


@router.put("/v1/lead-stages", access="lead_stage:manage", responses=problems(LeadStageInUse))
async def set_lead_stages(
    body: LeadStagesInput, version: IfMatch, uow: Uow, response: Response
) -> LeadStages:
    """Set all stages. The version is 0 while nothing has been set."""
    found = await Stages(uow).replace(body, expected_version=version)
    tag(response, found)
    return found


ROUTERS = (
    records,
    duplicates,
    router,
    assignment.router,
    optimisation.router,
    pools.router,
    scoring.router,
    forms.router,
    form_pages.router,
)
