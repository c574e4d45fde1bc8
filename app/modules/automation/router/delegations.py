"""`/v1/approval-delegations`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import AwareDatetime

from app.kernel.errors import InvalidCursor, StaleVersion, VersionRequired, problems
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Page
from app.kernel.validation import fields_of, refuse_nulls, set_fields_of
from app.modules.automation.models import Delegation
from app.modules.automation.schemas import (
    ApprovalDelegationCreate,
    ApprovalDelegationRead,
    ApprovalDelegationUpdate,
)
from app.modules.automation.services.delegations import Delegations

router = Router(prefix="/v1/approval-delegations", tags=["approvals"])
_CHANGE = problems(StaleVersion, VersionRequired)


@router.get("", access="signed_in", responses=problems(InvalidCursor))
async def list_approval_delegations(
    uow: Uow,
    at: Annotated[AwareDatetime | None, Query(description="Only those of this moment.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ApprovalDelegationRead]:
    """Delegations from you and to you, in the order they were made; everybody's if you run approvals."""
    return (await Delegations(uow).page(at=at, limit=limit, cursor=cursor)).page(_read)


@router.post("", access="signed_in", status_code=201)
async def create_approval_delegation(
    body: ApprovalDelegationCreate, uow: Uow, response: Response
) -> ApprovalDelegationRead:
    """Name who decides for you while you are away. You may still decide, too."""
    made = await Delegations(uow).create(fields_of(body))
    response.headers["Location"] = f"/v1/approval-delegations/{made.id}"
    return _read(made, response)


@router.get("/{id}", access="signed_in")
async def get_approval_delegation(id: UUID, uow: Uow, response: Response) -> ApprovalDelegationRead:
    """One delegation from you or to you."""
    return _read(await Delegations(uow).get(id), response)


@router.patch("/{id}", access="signed_in", responses=_CHANGE)
async def update_approval_delegation(
    id: UUID, body: ApprovalDelegationUpdate, version: IfMatch, uow: Uow, response: Response
) -> ApprovalDelegationRead:
    """Change the time or the delegate."""
    changes = set_fields_of(body)
    refuse_nulls(changes, {"note"})
    return _read(await Delegations(uow).update(id, changes, expected_version=version), response)


@router.delete("/{id}", access="signed_in", status_code=204, responses=_CHANGE)
async def delete_approval_delegation(id: UUID, version: IfMatch, uow: Uow) -> None:
    """Nobody decides for you any more."""
    await Delegations(uow).delete(id, expected_version=version)


def _read(row: Delegation, response: Response | None = None) -> ApprovalDelegationRead:
    if response is not None:
        tag(response, row)
    return ApprovalDelegationRead.model_validate(
        {name: getattr(row, name) for name in ApprovalDelegationRead.model_fields}
    )
