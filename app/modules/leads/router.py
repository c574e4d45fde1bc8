"""`/v1/leads` beyond the generated operations: steps, touches, duplicates, conversion, sources, scoring."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query as QueryParameter
from fastapi import Response
from starlette.requests import Request

from app.kernel.duplicate_router import duplicate_routes
from app.kernel.duplicates import DuplicateFound
from app.kernel.errors import InvalidCursor, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.job_router import Cursor, JobRead, Limit, answer, read_job, read_position, sign_position
from app.kernel.listing import query_from_parameters
from app.kernel.record_router import etag, fields_of, record_router
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.leads.interface import (
    BehaviourDiffers,
    LeadAlreadyConverted,
    LeadStageInUse,
    ScoringModelActive,
)
from app.modules.leads.models import Behaviour, Lead, ScoringModel
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
from app.modules.leads.services.scoring.behaviours import Behaviours
from app.modules.leads.services.scoring.explain import explain
from app.modules.leads.services.scoring.models import JOB, ScoringModels
from app.modules.leads.services.scoring.preview import preview as preview_model
from app.modules.leads.services.scoring.schemas import (
    BehaviourInput,
    BehaviourRead,
    Explanation,
    Preview,
    PreviewRequest,
    RecordedBehaviour,
    ScoringModelCreate,
    ScoringModelRead,
    ScoringModelUpdate,
)
from app.modules.leads.services.sources import sources
from app.modules.leads.services.stages import LeadStages, LeadStagesInput, Stages

records = record_router(LEAD)
duplicates = duplicate_routes(LEAD, LeadQuery)
router = Router(tags=["leads"])

_STEP = problems(InvalidTransition, LeadAlreadyConverted, StaleVersion, VersionRequired)


@router.post("/v1/leads/{id}/start-working", access="lead:update", response_model=LeadRead, responses=_STEP)
async def start_working_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Take up a lead that is new, nurtured or qualified."""
    return _answer(uow, await LeadService(uow).step(id, "start_working", expected_version=version))


@router.post("/v1/leads/{id}/nurture", access="lead:update", response_model=LeadRead, responses=_STEP)
async def nurture_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Put a lead aside for marketing to keep warm."""
    return _answer(uow, await LeadService(uow).step(id, "nurture", expected_version=version))


@router.post("/v1/leads/{id}/qualify", access="lead:update", response_model=LeadRead, responses=_STEP)
async def qualify_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Say that a lead is worth selling to."""
    return _answer(uow, await LeadService(uow).step(id, "qualify", expected_version=version))


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
    return _answer(uow, row)


@router.post("/v1/leads/{id}/reopen", access="lead:update", response_model=LeadRead, responses=_STEP)
async def reopen_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Work on a disqualified lead again."""
    return _answer(uow, await LeadService(uow).step(id, "reopen", expected_version=version))


@router.post("/v1/leads/{id}/touches", access="lead:update", response_model=LeadRead, responses=_STEP)
async def touch_lead(id: UUID, version: IfMatch, touch: Touch, uow: Uow) -> Response:
    """Note a later touch: it becomes the last one, the first stays."""
    return _answer(uow, await LeadService(uow).touch(id, fields_of(touch), expected_version=version))


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
    response.headers["ETag"] = etag(found.version)
    return found


@router.put("/v1/lead-conversion-mapping", access="lead_conversion_mapping:manage")
async def set_lead_conversion_mapping(
    body: ConversionMappingInput, version: IfMatch, uow: Uow, response: Response
) -> ConversionMappingRead:
    """Set the whole mapping. The version is 0 while nothing has been set."""
    found = await ConversionMappings(uow).replace(body, expected_version=version)
    response.headers["ETag"] = etag(found.version)
    return found


@router.get("/v1/lead-stages", access="lead:read")
async def get_lead_stages(uow: Uow, response: Response) -> LeadStages:
    """The company's own stages of leads, in their order, each within a built-in status."""
    found = await Stages(uow).read()
    response.headers["ETag"] = etag(found.version)
    return found


@router.put("/v1/lead-stages", access="lead_stage:manage", responses=problems(LeadStageInUse))
async def set_lead_stages(
    body: LeadStagesInput, version: IfMatch, uow: Uow, response: Response
) -> LeadStages:
    """Set all stages. The version is 0 while nothing has been set."""
    found = await Stages(uow).replace(body, expected_version=version)
    response.headers["ETag"] = etag(found.version)
    return found


# -- scoring -------------------------------------------------------------------------------------------------


@router.get("/v1/leads/{id}/score", access="lead:read")
async def get_lead_score(id: UUID, uow: Uow) -> Explanation:
    """Why a lead has its score. Every rule with what it gives; parts and adjustments sum to the score exactly."""
    return await explain(uow, id)


@router.post(
    "/v1/leads/{id}/behaviours",
    access="lead:update",
    status_code=201,
    responses=problems(LeadAlreadyConverted, BehaviourDiffers)
    | {200: {"model": RecordedBehaviour, "description": "This occurrence is recorded already."}},
)
async def record_lead_behaviour(
    id: UUID, body: BehaviourInput, uow: Uow, response: Response
) -> RecordedBehaviour:
    """Record something that a lead did, and score it. The same `source_id` again is the same occurrence."""
    behaviour, is_new, (score, grade) = await LeadService(uow).behave(id, body.model_dump())
    if not is_new:
        response.status_code = 200
    hidden = uow.actor.hidden("lead")
    return RecordedBehaviour(
        **_behaviour(behaviour),
        score=None if "score" in hidden else score,
        grade=None if "grade" in hidden else grade,
    )


@router.get("/v1/leads/{id}/behaviours", access="lead:read")
async def list_lead_behaviours(
    id: UUID, uow: Uow, limit: Limit = 50, cursor: Cursor = None
) -> Page[BehaviourRead]:
    """What a lead did, newest first."""
    await LeadService(uow).get(id)
    name = f"behaviours:{id}"
    position = read_position(uow, name, cursor)
    try:
        after = (datetime.fromisoformat(position[0]), UUID(position[1])) if position else None
    except (ValueError, IndexError):
        raise InvalidCursor from None
    rows, has_more = await Behaviours(uow).page(id, after=after, limit=min(limit, 200))
    last = [rows[-1].occurred_at.isoformat(), rows[-1].id] if has_more else []
    return Page[BehaviourRead](
        data=[BehaviourRead(**_behaviour(row)) for row in rows],
        next_cursor=sign_position(uow, name, last) if has_more else None,
        has_more=has_more,
        total=None,
        total_is_estimate=None,
    )


@router.post("/v1/leads/scoring/recompute", access="lead_scoring:manage", status_code=202)
async def recompute_lead_scores(uow: Uow, response: Response) -> JobRead:
    """Score all leads again, as a job. It runs by itself every day and when a model in use changes."""
    id = uow.enqueue(JOB, {})
    await uow.flush()
    response.headers["Location"] = f"/v1/jobs/{id}"
    response.headers["Retry-After"] = "2"
    return answer(await read_job(uow, id))


@router.post("/v1/leads/scoring/preview", access="lead_scoring:manage")
async def preview_lead_scoring(body: PreviewRequest, uow: Uow) -> Preview:
    """Show what a draft would do to the newest 5,000 leads that you see; nothing is written."""
    return await preview_model(uow, body)


@router.get("/v1/lead-scoring-models", access="lead:read")
async def list_lead_scoring_models(uow: Uow) -> Page[ScoringModelRead]:
    """The company's scoring models, the oldest first. One page holds all."""
    rows = await ScoringModels(uow, LEAD).list()
    return Page[ScoringModelRead](
        data=[_model(row) for row in rows],
        next_cursor=None,
        has_more=False,
        total=None,
        total_is_estimate=None,
    )


@router.post("/v1/lead-scoring-models", access="lead_scoring:manage", status_code=201)
async def create_lead_scoring_model(
    body: ScoringModelCreate, uow: Uow, response: Response
) -> ScoringModelRead:
    """Make a scoring model. It scores nothing before it is activated."""
    made = await ScoringModels(uow, LEAD).create(body)
    response.headers["Location"] = f"/v1/lead-scoring-models/{made.id}"
    return _model(made, response)


@router.get("/v1/lead-scoring-models/{id}", access="lead:read")
async def get_lead_scoring_model(id: UUID, uow: Uow, response: Response) -> ScoringModelRead:
    """Read one model."""
    return _model(await ScoringModels(uow, LEAD).get(id), response)


@router.patch("/v1/lead-scoring-models/{id}", access="lead_scoring:manage")
async def update_lead_scoring_model(
    id: UUID, body: ScoringModelUpdate, version: IfMatch, uow: Uow, response: Response
) -> ScoringModelRead:
    """Change a model by merge patch. If it is in use, all leads are scored again by a job."""
    return _model(await ScoringModels(uow, LEAD).update(id, body, expected_version=version), response)


@router.delete(
    "/v1/lead-scoring-models/{id}",
    access="lead_scoring:manage",
    status_code=204,
    responses=problems(ScoringModelActive),
)
async def delete_lead_scoring_model(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a model that is not in use."""
    await ScoringModels(uow, LEAD).delete(id, expected_version=version)


@router.post("/v1/lead-scoring-models/{id}/activate", access="lead_scoring:manage")
async def activate_lead_scoring_model(
    id: UUID, version: IfMatch, uow: Uow, response: Response
) -> ScoringModelRead:
    """Score by this model and no other from here on; a job scores the leads that are there."""
    return _model(await ScoringModels(uow, LEAD).activate(id, expected_version=version), response)


@router.post("/v1/lead-scoring-models/{id}/deactivate", access="lead_scoring:manage")
async def deactivate_lead_scoring_model(
    id: UUID, version: IfMatch, uow: Uow, response: Response
) -> ScoringModelRead:
    """Score by no model: scores stay and can be entered again, grades go."""
    return _model(await ScoringModels(uow, LEAD).deactivate(id, expected_version=version), response)


def _model(row: ScoringModel, response: Response | None = None) -> ScoringModelRead:
    if response is not None:
        response.headers["ETag"] = etag(row.version)
    return ScoringModelRead.model_validate(
        {name: getattr(row, name) for name in ScoringModelRead.model_fields}
    )


def _behaviour(row: Behaviour) -> dict[str, Any]:
    return {name: getattr(row, name) for name in BehaviourRead.model_fields}


def _answer(uow: UnitOfWork, row: Lead) -> Response:
    return Response(
        LEAD.dump(row, uow.actor.hidden("lead")),
        media_type="application/json",
        headers={"ETag": etag(row.version)},
    )
