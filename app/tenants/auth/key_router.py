"""API keys over HTTP."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import problems
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.tenants.auth.caller import CallerDep
from app.tenants.auth.control import MembersOnly
from app.tenants.auth.control_route import ControlRoute
from app.tenants.auth.key_service import ApiKeys
from app.tenants.interface import GrantTooWide
from app.tenants.models import ApiKey
from app.tenants.schemas import ApiKeyCreate, ApiKeyList, ApiKeyMade, ApiKeyRead, ApiKeyUpdate

router = Router(prefix="/v1/api-keys", tags=["api-keys"])


@router.post(
    "",
    access="api_key:create",
    route_class=ControlRoute,
    shown_once=True,
    status_code=201,
    response_model=ApiKeyMade,
    responses=problems(GrantTooWide, MembersOnly),
)
async def create_api_key(body: ApiKeyCreate, uow: Uow, caller: CallerDep, response: Response) -> ApiKeyMade:
    """A key for a machine, which works on your behalf and never may do more than you. It is shown this once."""
    row, key = await ApiKeys(uow).create(caller.person.member_id, body.name, body.grants, body.expires_at)
    response.headers["Cache-Control"] = "no-store"
    tag(response, row)
    return ApiKeyMade.model_validate(_fields(row) | {"key": key})


@router.get("", access="api_key:read", response_model=ApiKeyList)
async def list_api_keys(uow: Uow) -> ApiKeyList:
    """Your keys, or all of the company's if you manage keys; newest first, revoked ones too."""
    return ApiKeyList(data=[_read(row) for row in await ApiKeys(uow).list()])


@router.get("/{id}", access="api_key:read", response_model=ApiKeyRead)
async def get_api_key(id: UUID, uow: Uow, response: Response) -> ApiKeyRead:
    """One key, without its secret."""
    row = await ApiKeys(uow).get(id)
    tag(response, row)
    return _read(row)


@router.patch("/{id}", access="api_key:create", response_model=ApiKeyRead)
async def update_api_key(
    id: UUID, body: ApiKeyUpdate, uow: Uow, version: IfMatch, response: Response
) -> ApiKeyRead:
    """Rename a key. What it may do never changes: make a new one and revoke this."""
    row = await ApiKeys(uow).rename(id, body.name, expected_version=version)
    tag(response, row)
    return _read(row)


@router.delete("/{id}", access="api_key:create", status_code=204)
async def revoke_api_key(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Revoke a key: it stops working at once, for good, and stays in the list."""
    await ApiKeys(uow).revoke(id, expected_version=version)


def _fields(row: ApiKey) -> dict[str, object]:
    return {name: row.__dict__[name] for name in ApiKeyRead.model_fields}


def _read(row: ApiKey) -> ApiKeyRead:
    return ApiKeyRead.model_validate(_fields(row))
