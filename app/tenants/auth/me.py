"""Who am I, and what may I do?"""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

from fastapi import Response

from app.kernel.errors import Invalid, Unauthenticated, require_version
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.uow import UnitOfWork
from app.tenants.auth.caller import CallerDep
from app.tenants.auth.control import access_changed
from app.tenants.auth.control_route import ControlRoute
from app.tenants.auth.sessions import memberships_of
from app.tenants.models import Member, Tenant
from app.tenants.people.grants import effective_grants
from app.tenants.schemas import (
    FieldRulesRead,
    GrantRead,
    Me,
    MeUpdate,
    MyPermissions,
    TenantBrief,
    TenantChoice,
)

router = Router(prefix="/v1/me", tags=["me"])
Kind = Literal["member", "api_key", "impersonation"]
_KINDS: Final[dict[str, Kind]] = {"member": "member", "api_key": "api_key", "impersonation": "impersonation"}


@router.get("", access="signed_in", while_cancelled=True, route_class=ControlRoute, response_model=Me)
async def get_me(uow: Uow, response: Response) -> Me:
    """The person or key behind the credential, the company it works for, and those it may switch to."""
    me = await _me(uow)
    tag(response, me)
    return me


@router.patch("", access="signed_in", route_class=ControlRoute, response_model=Me)
async def update_me(body: MeUpdate, uow: Uow, caller: CallerDep, version: IfMatch, response: Response) -> Me:
    """Change your name or title in this company, or the language of your mails."""
    person = caller.person
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    for name in ("name", "locale"):
        if name in changes and changes[name] is None:
            raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
    member = await uow.get(Member, person.member_id, lock="update")
    require_version(member.version, expected=version)
    locale = changes.pop("locale", None)
    if locale is not None:
        await uow.fetch(
            "UPDATE tenants.users SET locale = $2, updated_at = $3 WHERE id = $1",
            member.user_id,
            locale,
            uow.now,
        )
    if await uow.update(member, audit="member", **changes) is not member:
        await access_changed(uow)
    me = await _me(uow)
    tag(response, me)
    return me


@router.get("/permissions", access="signed_in", while_cancelled=True, response_model=MyPermissions)
async def get_my_permissions(uow: Uow) -> MyPermissions:
    """Every permission you have with its reach, and the fields that you may not see or change."""
    known = uow.kernel.registry.permissions
    grants = [
        GrantRead.model_validate(
            {"permission": name, "description": known[name].description, "scope": scope.label}
        )
        for name, scope in sorted(effective_grants(uow).items())
    ]
    actor = uow.actor
    objects = sorted({*actor.hidden_fields, *actor.readonly_fields})
    fields = [
        FieldRulesRead(
            object=name,
            hidden=sorted(actor.hidden(name)),
            readonly=sorted(actor.readonly_fields.get(name, ())),
        )
        for name in objects
    ]
    return MyPermissions(grants=grants, fields=fields)


def _member_id(uow: UnitOfWork) -> UUID:
    if uow.actor.member_id is None:
        raise Unauthenticated
    return uow.actor.member_id


async def _me(uow: UnitOfWork) -> Me:
    actor = uow.actor
    member = await uow.get(Member, _member_id(uow))
    tenant = await uow.get(Tenant, uow.tenant_id)
    user = await uow.fetchrow(
        "SELECT email_verified_at IS NOT NULL AS verified, totp_confirmed_at IS NOT NULL AS two_factor, locale,"
        " ARRAY(SELECT key FROM tenants.roles r WHERE r.tenant_id = $2 AND r.id = ANY($3::uuid[]) ORDER BY key)"
        " AS role_keys FROM tenants.users WHERE id = $1",
        member.user_id,
        uow.tenant_id,
        member.role_ids,
    )
    if user is None:
        raise Unauthenticated
    choices = await memberships_of(uow, member.user_id) if actor.kind == "member" else []
    return Me(
        kind=_KINDS[actor.kind],
        member_id=member.id,
        user_id=actor.user_id,
        name=actor.name if actor.kind == "api_key" else member.name,
        email=member.email,
        title=member.title,
        email_verified=user["verified"],
        two_factor=user["two_factor"],
        locale=user["locale"],
        version=member.version,
        role_keys=user["role_keys"],
        team_ids=member.team_ids,
        manager_id=member.manager_id,
        session_id=actor.session_id,
        tenant=TenantBrief.model_validate({name: tenant.__dict__[name] for name in TenantBrief.model_fields}),
        tenants=[TenantChoice(id=m.tenant.id, name=m.tenant.name, status=m.tenant.status) for m in choices],
    )
