"""The work on an opportunity: playbook, costs, presales, and the reasons for which it ended."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response

from app.kernel.errors import DuplicateValue, InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.record_router import record_response, record_router, tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.opportunities.models.work import Outcome
from app.modules.opportunities.schemas import StageVisitCorrection, StageVisitRead
from app.modules.opportunities.schemas.work import (
    CostCreate,
    CostRead,
    Costs,
    CostUpdate,
    Playbook,
    PresalesCompletion,
    PresalesDecline,
    PresalesHandOver,
    PresalesRequestRead,
    ReasonCreate,
    ReasonRead,
    Reasons,
    ReasonUpdate,
)
from app.modules.opportunities.services.costs import CostService
from app.modules.opportunities.services.opportunities import OpportunityService
from app.modules.opportunities.services.playbook import Playbooks
from app.modules.opportunities.services.presales import PRESALES_REQUEST, PresalesService
from app.modules.opportunities.services.reasons import OutcomeReasons, read_reason

presales_requests = record_router(PRESALES_REQUEST)
router = Router(tags=["opportunities"])

READ, UPDATE = "opportunity:read", "opportunity:update"
MANAGE = "pipeline:manage"
STEP = "presales_request:update"
_CHANGE = problems(StaleVersion, VersionRequired)
_STEP = problems(InvalidTransition, StaleVersion, VersionRequired)
OF = "/v1/opportunities/{id}"
VisitId = Annotated[UUID, Path(description="The visit, as the stage history shows it.")]
CostId = Annotated[UUID, Path(description="The cost entry.")]


# -- stages --------------------------------------------------------------------------------------------------


@router.patch(f"{OF}/stage-history/{{visit_id}}", access="opportunity:import", responses=_CHANGE)
async def correct_opportunity_stage_visit(
    id: UUID, visit_id: VisitId, body: StageVisitCorrection, version: IfMatch, uow: Uow
) -> StageVisitRead:
    """Say when it really came into a stage; the stage before ends there. The version is the opportunity's."""
    service = OpportunityService(uow)
    return await service.correct_visit(id, visit_id, body.entered_at, expected_version=version)


@router.get(f"{OF}/playbook", access=READ)
async def get_opportunity_playbook(id: UUID, uow: Uow) -> Playbook:
    """The tasks that its stages gave out, and how far they are."""
    await OpportunityService(uow).get(id)
    return await Playbooks(uow).of(id)


# -- reasons -------------------------------------------------------------------------------------------------


@router.get("/v1/opportunity-reasons", access=READ)
async def list_opportunity_reasons(
    uow: Uow, outcome: Annotated[Outcome | None, Query(description="Only of winning, or of losing.")] = None
) -> Reasons:
    """The company's reasons for winning and losing. While there are none, any will do."""
    rows = await OutcomeReasons(uow).all()
    return Reasons(data=[read_reason(row) for row in rows if outcome in (None, row.outcome)])


@router.post("/v1/opportunity-reasons", access=MANAGE, status_code=201, responses=problems(DuplicateValue))
async def create_opportunity_reason(body: ReasonCreate, uow: Uow, response: Response) -> ReasonRead:
    """Add a reason. From then on only the reasons of its list, and `other`, are taken."""
    made = await OutcomeReasons(uow).create(body)
    tag(response, made)
    response.headers["Location"] = f"/v1/opportunity-reasons/{made.id}"
    return read_reason(made)


@router.get("/v1/opportunity-reasons/{id}", access=READ)
async def get_opportunity_reason(id: UUID, uow: Uow, response: Response) -> ReasonRead:
    """One reason."""
    found = await OutcomeReasons(uow).get(id)
    tag(response, found)
    return read_reason(found)


@router.patch("/v1/opportunity-reasons/{id}", access=MANAGE, responses=_CHANGE)
async def update_opportunity_reason(
    id: UUID, body: ReasonUpdate, version: IfMatch, uow: Uow, response: Response
) -> ReasonRead:
    """Rename a reason, move it, or take it out of use."""
    changed = await OutcomeReasons(uow).update(id, body, expected_version=version)
    tag(response, changed)
    return read_reason(changed)


@router.delete("/v1/opportunity-reasons/{id}", access=MANAGE, status_code=204, responses=_CHANGE)
async def delete_opportunity_reason(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Delete a reason; opportunities that were closed with it keep it."""
    await OutcomeReasons(uow).delete(id, expected_version=version)


# -- costs ---------------------------------------------------------------------------------------------------


@router.get(f"{OF}/costs", access=READ)
async def list_opportunity_costs(id: UUID, uow: Uow) -> Costs:
    """What selling it cost so far, and what remains of its budget."""
    return await CostService(uow).all(id)


@router.post(f"{OF}/costs", access=UPDATE, status_code=201)
async def add_opportunity_cost(id: UUID, body: CostCreate, uow: Uow, response: Response) -> CostRead:
    """Note a cost: a sum, or hours at a rate."""
    made = await CostService(uow).add(id, body)
    tag(response, made)
    return made


@router.patch(f"{OF}/costs/{{cost_id}}", access=UPDATE, responses=_CHANGE)
async def update_opportunity_cost(
    id: UUID, cost_id: CostId, body: CostUpdate, version: IfMatch, uow: Uow, response: Response
) -> CostRead:
    """Change a cost."""
    changed = await CostService(uow).update(id, cost_id, body, expected_version=version)
    tag(response, changed)
    return changed


@router.delete(f"{OF}/costs/{{cost_id}}", access=UPDATE, status_code=204, responses=_CHANGE)
async def remove_opportunity_cost(id: UUID, cost_id: CostId, version: IfMatch, uow: Uow) -> None:
    """Take a cost out."""
    await CostService(uow).remove(id, cost_id, expected_version=version)


# -- presales ------------------------------------------------------------------------------------------------


@router.post(
    "/v1/presales-requests/{id}/accept",
    access=STEP,
    response_model=PresalesRequestRead,
    responses=_STEP,
)
async def accept_presales_request(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Take a request that you were asked, or that is anybody's."""
    return record_response(
        uow, PRESALES_REQUEST, await PresalesService(uow).accept(id, expected_version=version)
    )


@router.post(
    "/v1/presales-requests/{id}/decline",
    access=STEP,
    response_model=PresalesRequestRead,
    responses=_STEP,
)
async def decline_presales_request(id: UUID, body: PresalesDecline, version: IfMatch, uow: Uow) -> Response:
    """Say no to a request, and why."""
    return record_response(
        uow, PRESALES_REQUEST, await PresalesService(uow).decline(id, body.reason, expected_version=version)
    )


@router.post(
    "/v1/presales-requests/{id}/hand-over",
    access=STEP,
    response_model=PresalesRequestRead,
    responses=_STEP,
)
async def hand_over_presales_request(
    id: UUID, body: PresalesHandOver, version: IfMatch, uow: Uow
) -> Response:
    """Ask somebody else instead; they accept or decline it anew."""
    row = await PresalesService(uow).hand_over(id, body.owner_id, body.note, expected_version=version)
    return record_response(uow, PRESALES_REQUEST, row)


@router.post(
    "/v1/presales-requests/{id}/complete",
    access=STEP,
    response_model=PresalesRequestRead,
    responses=_STEP,
)
async def complete_presales_request(
    id: UUID, body: PresalesCompletion, version: IfMatch, uow: Uow
) -> Response:
    """It is done; with a rate its hours become a cost of the opportunity."""
    return record_response(
        uow, PRESALES_REQUEST, await PresalesService(uow).complete(id, body, expected_version=version)
    )
