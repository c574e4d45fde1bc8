"""`/v1/leads/assignments`: plans of optimised assignment."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path, Response
from fastapi import Query as QueryParameter

from app.kernel.errors import InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.job_router import RETRY_AFTER
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.leads.models import ItemOutcome, Optimisation
from app.modules.leads.schemas.optimisation import (
    OptimisationAdjustment,
    OptimisationApplication,
    OptimisationItemRead,
    OptimisationRead,
    OptimisationRequest,
)
from app.modules.leads.services.optimisation.apply import PlanApplier
from app.modules.leads.services.optimisation.events import PlanCapacityReached, PlanConflicts
from app.modules.leads.services.optimisation.plan import show_plan
from app.modules.leads.services.optimisation.plans import Optimisations

router = Router(prefix="/v1/leads/assignments", tags=["leads"])

PlanId = Annotated[UUID, Path(description="The plan.")]
_CHANGE = (InvalidTransition, StaleVersion, VersionRequired)


@router.post("/optimize", access="lead:assign", status_code=202)
async def optimise_assignment(body: OptimisationRequest, uow: Uow, response: Response) -> OptimisationRead:
    """Have open leads shared out among members for the largest expected value. Nothing moves before it is applied."""
    plan = await Optimisations(uow).request(body)
    await uow.flush()
    response.headers["Location"] = f"/v1/leads/assignments/{plan.id}"
    response.headers["Retry-After"] = RETRY_AFTER
    return await _answer(uow, plan, response)


@router.get("/{assignment_id}", access="lead:assign")
async def get_optimised_assignment(assignment_id: PlanId, uow: Uow, response: Response) -> OptimisationRead:
    """Read a plan: what it is worth, how good it is, who gets how much. `Retry-After` says when to look again."""
    shown = await _answer(uow, await Optimisations(uow).get(assignment_id), response)
    if shown.state in ("draft", "solving"):
        response.headers["Retry-After"] = RETRY_AFTER
    return shown


@router.get("/{assignment_id}/items", access="lead:assign", response_model=Page[OptimisationItemRead])
async def list_optimised_assignment_items(
    assignment_id: PlanId,
    uow: Uow,
    member_id: Annotated[UUID | None, QueryParameter(description="Only what this member gets.")] = None,
    outcome: Annotated[
        ItemOutcome | None, QueryParameter(description="Only what came to this, `conflict` say.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OptimisationItemRead]:
    """List where every lead goes and why."""
    return await Optimisations(uow).items(
        assignment_id, member_id=member_id, outcome=outcome, limit=limit, cursor=cursor
    )


@router.patch(
    "/{assignment_id}/items/{lead_id}",
    access="lead:assign",
    responses=problems(*_CHANGE, PlanCapacityReached),
)
async def adjust_optimised_assignment(
    assignment_id: PlanId,
    lead_id: Annotated[UUID, Path(description="A lead of the plan.")],
    body: OptimisationAdjustment,
    version: IfMatch,
    uow: Uow,
    response: Response,
) -> OptimisationItemRead:
    """Give one lead of a solved plan to another of its members. `If-Match` and `ETag` are the plan's version."""
    plans = Optimisations(uow)
    plan, item = await plans.adjust(assignment_id, lead_id, body.member_id, expected_version=version)
    tag(response, plan)
    return (await plans.shown(plan, [item]))[0]


@router.post("/{assignment_id}/apply", access="lead:assign", responses=problems(*_CHANGE, PlanConflicts))
async def apply_optimised_assignment(
    assignment_id: PlanId,
    version: IfMatch,
    uow: Uow,
    response: Response,
    body: OptimisationApplication | None = None,
) -> OptimisationRead:
    """Carry a solved plan out, in one transaction. Leads that changed meanwhile refuse it, or are skipped."""
    how = body or OptimisationApplication()
    plan = await PlanApplier(uow).apply(assignment_id, how, expected_version=version)
    return await _answer(uow, plan, response)


@router.post("/{assignment_id}/undo", access="lead:assign", responses=problems(*_CHANGE))
async def undo_optimised_assignment(
    assignment_id: PlanId, version: IfMatch, uow: Uow, response: Response
) -> OptimisationRead:
    """Give the former owners back their leads, where nobody changed the owner since."""
    plan = await PlanApplier(uow).undo(assignment_id, expected_version=version)
    return await _answer(uow, plan, response)


async def _answer(uow: UnitOfWork, plan: Optimisation, response: Response) -> OptimisationRead:
    tag(response, plan)
    return await show_plan(uow, plan)
