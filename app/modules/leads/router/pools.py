"""Leads in pools: claimed, released, kept from being recycled."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query as QueryParameter
from fastapi import Response

from app.kernel.errors import InvalidTransition, StaleVersion, VersionRequired, problems
from app.kernel.record_router import record_response
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.modules.customers.interface import (
    AlreadyPooled,
    ClaimLimitReached,
    ClaimRequestLimitReached,
    FormerOwnerBanned,
    HoldingLimitReached,
    NoPool,
    NotInPool,
    PoolDisabled,
    PoolEmbargo,
    PoolMovementRead,
    PoolRelease,
    Pools,
    RecordClosed,
)
from app.modules.leads.interface import LeadAlreadyConverted
from app.modules.leads.schemas import LeadRead
from app.modules.leads.services.leads import LEAD, LeadService

router = Router(tags=["leads"])

_STEP = problems(InvalidTransition, LeadAlreadyConverted, StaleVersion, VersionRequired)
_CLAIM = problems(
    NotInPool, PoolDisabled, HoldingLimitReached, ClaimRequestLimitReached, ClaimLimitReached, FormerOwnerBanned,
    PoolEmbargo,
)  # fmt: skip


@router.post("/v1/leads/{id}/claim", access="pool:claim", response_model=LeadRead, responses=_CLAIM)
async def claim_lead(id: UUID, uow: Uow) -> Response:
    """Claim a lead from the pool that it lies in."""
    await uow.of(Pools).claim("lead", id)
    return record_response(uow, LEAD, await LeadService(uow).get(id))


@router.post(
    "/v1/leads/{id}/release",
    access="lead:update",
    status_code=204,
    responses=problems(AlreadyPooled, NoPool, PoolDisabled, RecordClosed, StaleVersion, VersionRequired),
)
async def release_lead(id: UUID, given: PoolRelease, version: IfMatch, uow: Uow) -> None:
    """Put a lead into a pool. You may not see it afterwards."""
    await uow.of(Pools).release("lead", id, given, expected_version=version)


@router.post("/v1/leads/{id}/lock", access="pool:manage", response_model=LeadRead, responses=_STEP)
async def lock_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Keep a lead from being recycled."""
    await uow.of(Pools).lock("lead", id, locked=True, expected_version=version)
    return record_response(uow, LEAD, await LeadService(uow).get(id))


@router.post("/v1/leads/{id}/unlock", access="pool:manage", response_model=LeadRead, responses=_STEP)
async def unlock_lead(id: UUID, version: IfMatch, uow: Uow) -> Response:
    """Let a lead be recycled again."""
    await uow.of(Pools).lock("lead", id, locked=False, expected_version=version)
    return record_response(uow, LEAD, await LeadService(uow).get(id))


@router.get("/v1/leads/{id}/pool-movements", access="lead:read")
async def list_lead_pool_movements(
    id: UUID,
    uow: Uow,
    limit: Annotated[int, QueryParameter(ge=1, description="Above 200 counts as 200.")] = 50,
    cursor: Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")] = None,
) -> Page[PoolMovementRead]:
    """A lead's ways into pools and out of them, newest first: who had it from when to when, and why it left."""
    return await uow.of(Pools).movements("lead", id, limit=limit, cursor=cursor)
