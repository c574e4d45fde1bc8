"""Scores of leads: models, behaviours, explanations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Response

from app.kernel.errors import problems
from app.kernel.job_reads import JobRead, answer, read_job
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.modules.leads.interface import BehaviourDiffers, LeadAlreadyConverted, ScoringModelActive
from app.modules.leads.models import Behaviour, ScoringModel
from app.modules.leads.schemas.scoring import (
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
from app.modules.leads.services.leads import LEAD, LeadService
from app.modules.leads.services.scoring.behaviours import Behaviours
from app.modules.leads.services.scoring.explain import explain
from app.modules.leads.services.scoring.models import JOB, ScoringModels
from app.modules.leads.services.scoring.preview import preview as preview_model

router = Router(tags=["leads"])


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
    found = await Behaviours(uow).page(id, limit=limit, cursor=cursor)
    return found.page(lambda row: BehaviourRead(**_behaviour(row)))


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
        tag(response, row)
    return ScoringModelRead.model_validate(
        {name: getattr(row, name) for name in ScoringModelRead.model_fields}
    )


def _behaviour(row: Behaviour) -> dict[str, Any]:
    return {name: getattr(row, name) for name in BehaviourRead.model_fields}
