"""Roles, permissions, teams and the company's settings over HTTP."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.kernel.errors import DuplicateValue, problems
from app.kernel.pages.public import logo_path
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.uow import UnitOfWork
from app.tenants.interface import BuiltInRoleFixed, GrantTooWide, RoleInUse, TeamInUse
from app.tenants.models import Role, Tenant
from app.tenants.people.roles import Roles
from app.tenants.people.schemas import (
    PermissionList,
    PermissionRead,
    RoleClone,
    RoleCreate,
    RoleList,
    RoleRead,
    RoleUpdate,
    TeamCreate,
    TeamList,
    TeamRead,
    TeamUpdate,
    TenantRead,
    TenantUpdate,
)
from app.tenants.people.settings import change_settings
from app.tenants.people.teams import TeamService
from app.tenants.people.wire import answer, changes_of

roles_router = Router(prefix="/v1/roles", tags=["roles"])
permissions_router = Router(prefix="/v1/permissions", tags=["roles"])
teams_router = Router(prefix="/v1/teams", tags=["teams"])
tenant_router = Router(prefix="/v1/tenant", tags=["tenant"])


def _role(service: Roles, row: Role, response: Response | None = None) -> RoleRead:
    if response is not None:
        tag(response, row)
    grants = {name: scope.label for name, scope in sorted(service.grants_of(row).items())}
    rules = {name: {"hidden": [], "readonly": []} | rule for name, rule in row.field_rules.items()}
    return answer(RoleRead, row, grants=grants, field_rules=rules)


@permissions_router.get("", access="role:read", response_model=PermissionList)
async def list_permissions(uow: Uow) -> PermissionList:
    """Every permission that a role may grant."""
    known = sorted(uow.kernel.registry.permissions.values(), key=lambda permission: permission.name)
    return PermissionList(data=[PermissionRead(name=p.name, description=p.description) for p in known])


@roles_router.get("", access="role:read", response_model=RoleList)
async def list_roles(uow: Uow) -> RoleList:
    """The built-in roles, and your own."""
    service = Roles(uow)
    return RoleList(data=[_role(service, row) for row in await service.list()])


@roles_router.post(
    "",
    access="role:manage",
    status_code=201,
    response_model=RoleRead,
    responses=problems(DuplicateValue, GrantTooWide),
)
async def create_role(body: RoleCreate, uow: Uow, response: Response) -> RoleRead:
    """A role of your own; it can grant what you may do yourself."""
    service = Roles(uow)
    rules = {name: rule.model_dump() for name, rule in body.field_rules.items()}
    return _role(service, await service.create(body.name, body.description, body.grants, rules), response)


@roles_router.get("/{id}", access="role:read", response_model=RoleRead)
async def get_role(id: UUID, uow: Uow, response: Response) -> RoleRead:
    """One role with its grants."""
    service = Roles(uow)
    return _role(service, await service.get(id), response)


@roles_router.post(
    "/{id}/clone",
    access="role:manage",
    status_code=201,
    response_model=RoleRead,
    responses=problems(DuplicateValue, GrantTooWide),
)
async def clone_role(id: UUID, body: RoleClone, uow: Uow, response: Response) -> RoleRead:
    """A role of your own that starts as a copy of this one."""
    service = Roles(uow)
    return _role(service, await service.clone(id, body.name), response)


@roles_router.patch(
    "/{id}",
    access="role:manage",
    response_model=RoleRead,
    responses=problems(BuiltInRoleFixed, DuplicateValue, GrantTooWide),
)
async def update_role(id: UUID, body: RoleUpdate, uow: Uow, version: IfMatch, response: Response) -> RoleRead:
    """Change one of your own roles, for everybody who has it, at once. Grants and field rules are replaced whole."""
    changes = changes_of(body)
    if "field_rules" in changes:
        changes["field_rules"] = {name: rule.model_dump() for name, rule in changes["field_rules"].items()}
    service = Roles(uow)
    return _role(service, await service.update(id, changes, expected_version=version), response)


@roles_router.delete(
    "/{id}", access="role:manage", status_code=204, responses=problems(BuiltInRoleFixed, RoleInUse)
)
async def delete_role(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Delete one of your own roles that nobody has."""
    await Roles(uow).delete(id, expected_version=version)


@teams_router.get("", access="team:read", response_model=TeamList)
async def list_teams(uow: Uow) -> TeamList:
    """All teams by name; `parent_id` makes the tree."""
    service = TeamService(uow)
    counts = await service.member_counts()
    return TeamList(
        data=[answer(TeamRead, row, member_count=counts.get(row.id, 0)) for row in await service.list()]
    )


@teams_router.post(
    "", access="team:manage", status_code=201, response_model=TeamRead, responses=problems(DuplicateValue)
)
async def create_team(body: TeamCreate, uow: Uow, response: Response) -> TeamRead:
    """A team, below another or at the top."""
    values = {name: getattr(body, name) for name in TeamCreate.model_fields}
    row = await TeamService(uow).create(**values)
    tag(response, row)
    return answer(TeamRead, row, member_count=0)


@teams_router.get("/{id}", access="team:read", response_model=TeamRead)
async def get_team(id: UUID, uow: Uow, response: Response) -> TeamRead:
    """One team."""
    service = TeamService(uow)
    row = await service.get(id)
    tag(response, row)
    return answer(TeamRead, row, member_count=(await service.member_counts()).get(id, 0))


@teams_router.patch(
    "/{id}", access="team:manage", response_model=TeamRead, responses=problems(DuplicateValue)
)
async def update_team(id: UUID, body: TeamUpdate, uow: Uow, version: IfMatch, response: Response) -> TeamRead:
    """Rename a team, move it in the tree, or give it another manager."""
    service = TeamService(uow)
    changes = changes_of(body, nullable=("parent_id", "manager_id", "calendar_id"))
    row = await service.update(id, changes, expected_version=version)
    tag(response, row)
    return answer(TeamRead, row, member_count=(await service.member_counts()).get(id, 0))


@teams_router.delete("/{id}", access="team:manage", status_code=204, responses=problems(TeamInUse))
async def delete_team(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Delete a team without people, teams below or records."""
    await TeamService(uow).delete(id, expected_version=version)


@tenant_router.get("", access="tenant:read", while_cancelled=True, response_model=TenantRead)
async def get_tenant(uow: Uow, response: Response) -> TenantRead:
    """Your company's settings."""
    return tenant_answer(uow, await uow.get(Tenant, uow.tenant_id), response)


@tenant_router.patch("", access="tenant:update", response_model=TenantRead)
async def update_tenant(body: TenantUpdate, uow: Uow, version: IfMatch, response: Response) -> TenantRead:
    """Change your company's settings; amounts that are stored keep their currency."""
    changes = changes_of(
        body, nullable=("legal_name", "address", "tax_number", "bank_details", "brand_color")
    )
    if "business_calendar" in changes:
        changes["business_calendar"] = changes["business_calendar"].model_dump(mode="json")
    return tenant_answer(uow, await change_settings(uow, changes, expected_version=version), response)


def tenant_answer(uow: UnitOfWork, row: Tenant, response: Response) -> TenantRead:
    """The company's settings as they are answered, with the address of the logo that it has by now."""
    tag(response, row)
    path = logo_path(uow.kernel, row.id, row.logo_hash)
    return answer(TenantRead, row, logo_url=path and uow.kernel.settings.address_of(path))
