"""Registers leads: who showed interest, and what they become."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.registry import Module, Permission
from app.modules.leads.interface import Leads
from app.modules.leads.router import duplicates, records, router
from app.modules.leads.router.form_pages import router as capture_pages
from app.modules.leads.router.forms import TAG as FORMS_TAG
from app.modules.leads.router.forms import router as capture
from app.modules.leads.services.capture.retention import SCHEDULES
from app.modules.leads.services.for_others import LeadsOfTenant
from app.modules.leads.services.leads import LEAD

MODULE = Module(
    name="leads",
    description="Leads, their touches and states, and their conversion.",
    tags={
        "leads": "Leads, their touches and states, and their conversion.",
        FORMS_TAG: "Forms on websites that become leads.",
    },
    routers=(records, duplicates, router, capture, capture_pages),
    schedules=SCHEDULES,
    records=(LEAD,),
    interfaces={Leads: LeadsOfTenant},
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
        Permission(
            "lead_form:manage",
            "Make the forms that capture leads from websites, and see what was sent.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
)
