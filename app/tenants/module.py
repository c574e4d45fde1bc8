"""What `app.tenants` brings to the product."""

from __future__ import annotations

from app.kernel.people import People
from app.kernel.registry import Module
from app.tenants.auth import key_router, me, session_router, well_known
from app.tenants.auth.authenticator import open_authenticator
from app.tenants.interface import Members, Teams, Tenants
from app.tenants.people.lookups import Lookups, TeamLookups, TenantLookups
from app.tenants.permissions import PERMISSIONS

MODULE = Module(
    name="tenants",
    description="Companies, their people, and how they prove who they are.",
    routers=[session_router.router, me.router, key_router.router, well_known.router],
    interfaces={People: Lookups, Members: Lookups, Teams: TeamLookups, Tenants: TenantLookups},
    permissions=PERMISSIONS,
    authenticator=open_authenticator,
)
