"""Promises to customers as settings."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import DuplicateValue, StaleVersion, VersionRequired, problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.modules.after_sales.models.sla import SlaPolicy
from app.modules.after_sales.schemas.sla import (
    RecomputeStarted,
    SlaPolicies,
    SlaPolicyCreate,
    SlaPolicyRead,
    SlaPolicyUpdate,
)
from app.modules.after_sales.services.sla.policies import SlaPolicyService

router = Router(prefix="/v1/sla-policies", tags=["cases"])
READ, CONFIGURE = "case:read", "case:configure"


@router.get("", access=READ)
async def list_sla_policies(uow: Uow) -> SlaPolicies:
    """All promises, in the order in which they are asked; of each target the first that holds for a case counts."""
    return SlaPolicies(data=[_read(row) for row in await SlaPolicyService(uow).list()])


@router.post("", access=CONFIGURE, status_code=201, responses=problems(DuplicateValue))
async def create_sla_policy(body: SlaPolicyCreate, uow: Uow, response: Response) -> SlaPolicyRead:
    """Promise something, from the next case on. Clocks that run are measured anew by a job."""
    row = await SlaPolicyService(uow).create(body)
    response.headers["Location"] = f"/v1/sla-policies/{row.id}"
    tag(response, row)
    return _read(row)


@router.post("/recompute", access=CONFIGURE, status_code=202)
async def recompute_sla(uow: Uow) -> RecomputeStarted:
    """Work out all open deadlines anew; changes of policies and calendars do so by themselves."""
    return RecomputeStarted(job_id=SlaPolicyService(uow).recompute())


@router.get("/{id}", access=READ)
async def get_sla_policy(id: UUID, uow: Uow, response: Response) -> SlaPolicyRead:
    """One promise."""
    row = await SlaPolicyService(uow).get(id)
    tag(response, row)
    return _read(row)


@router.patch("/{id}", access=CONFIGURE, responses=problems(DuplicateValue, StaleVersion, VersionRequired))
async def update_sla_policy(
    id: UUID, body: SlaPolicyUpdate, version: IfMatch, uow: Uow, response: Response
) -> SlaPolicyRead:
    """Change a promise. Clocks that run are measured anew by a job; what was missed stays missed."""
    row = await SlaPolicyService(uow).update(id, body, expected_version=version)
    tag(response, row)
    return _read(row)


@router.delete("/{id}", access=CONFIGURE, status_code=204, responses=problems(StaleVersion, VersionRequired))
async def delete_sla_policy(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Promise it no more; open cases go by the other policies."""
    await SlaPolicyService(uow).delete(id, expected_version=version)


def _read(row: SlaPolicy) -> SlaPolicyRead:
    return SlaPolicyRead.model_validate({name: row.__dict__[name] for name in SlaPolicyRead.model_fields})
