"""Registers leads: who showed interest, and what they become."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Permission
from app.modules.activities.interface import ActivityFollower, PersonDirectory, ToDoSource
from app.modules.customers.interface import Poolable
from app.modules.leads.handlers import SUBSCRIPTIONS
from app.modules.leads.interface import Leads, PoolTarget
from app.modules.leads.jobs import JOBS, SCHEDULES
from app.modules.leads.models.capture import (
    CapturedMail,
    FormAttempt,
    FormSubmission,
    LeadConsent,
    LeadForm,
)
from app.modules.leads.services.for_activities import LeadDirectory, LeadToDos
from app.modules.leads.services.for_others import LeadsOfTenant, ResponsesInActivities
from app.modules.leads.services.leads import LEAD
from app.modules.leads.services.merging import behaviours, consents
from app.modules.leads.services.personal_data import PEOPLE, PERSONAL_DATA
from app.modules.leads.services.pools import LeadsInPools, PoolsAsTarget

MODULE = Module(
    name="leads",
    description="Leads, their touches and states, and their conversion.",
    tags={
        "leads": "Leads, their touches and states, and their conversion.",
        "lead forms": "Forms on websites that become leads.",
    },
    routers=("app.modules.leads.router:ROUTERS",),
    records=(LEAD,),
    tables=(LeadForm, FormSubmission, FormAttempt, LeadConsent, CapturedMail),
    interfaces={Leads: LeadsOfTenant},
    ports=(
        (ActivityFollower, ResponsesInActivities),
        (Merger, record_column(LEAD, "converted_account_id", "account")),
        (Merger, record_column(LEAD, "converted_contact_id", "contact")),
        (Merger, behaviours),
        (Merger, consents),
        (PersonDirectory, LeadDirectory),
        (ToDoSource, LeadToDos),
        (Poolable, LeadsInPools),
        (PoolTarget, PoolsAsTarget),
    ),
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    schedules=SCHEDULES,
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
            "lead_assignment:read",
            "See the rules, queues and territories by which leads are shared out.",
            {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL, "salesperson": Scope.ALL},
        ),
        Permission(
            "lead_assignment:manage",
            "Say by which rules, queues and territories leads are shared out.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
        Permission(
            "lead_queue:pull",
            "Take leads from the queues that one is a member of.",
            {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL, "salesperson": Scope.ALL},
        ),
        Permission(
            "lead_scoring:manage",
            "Make scoring models, put one into use, and score all leads again.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
        Permission(
            "lead_stage:manage",
            "Set the company's own stages of leads.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
        Permission(
            "lead_form:manage",
            "Make the forms that capture leads from websites, and see what was sent.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
    people=PEOPLE,
    personal_data=PERSONAL_DATA,
)
