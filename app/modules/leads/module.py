"""Registers leads: who showed interest, and what they become."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.registry import Module, Permission
from app.modules.customers.interface import Poolable
from app.modules.leads.interface import Leads
from app.modules.leads.router import duplicates, records, router
from app.modules.leads.services.for_others import LeadsOfTenant
from app.modules.leads.services.leads import LEAD
from app.modules.leads.services.pools import LeadsInPools

MODULE = Module(
    name="leads",
    description="Leads, their touches and states, and their conversion.",
    routers=(records, duplicates, router),
    records=(LEAD,),
    interfaces={Leads: LeadsOfTenant},
    ports=((Poolable, LeadsInPools),),
    permissions=(
        Permission(
            "lead:convert",
            "Turn leads into accounts, contacts and opportunities.",
            {
                "owner": Scope.ALL,
                "admin": Scope.ALL,
                "manager": Scope.TEAM_AND_BELOW,
                "salesperson": Scope.OWN,
            },
        ),
        Permission(
            "lead_conversion_mapping:manage",
            "Say which fields of a lead go where when it is converted.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
)
