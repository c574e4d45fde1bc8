"""Registers what after_sales knows of cases."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Permission, Schedule
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.after_sales.interface import Cases
from app.modules.after_sales.services.cases import closing, reskilling
from app.modules.after_sales.services.cases.cases import CASE
from app.modules.after_sales.services.cases.for_others import CasesOfTenant
from app.modules.after_sales.services.cases.merging import attachments, commenters, comments
from app.modules.after_sales.services.cases.on_accounts import (
    CasePanel,
    CaseProducts,
    CaseTimeline,
    CaseUses,
    CaseWork,
    CommentTimeline,
)
from app.modules.after_sales.services.cases.to_dos import CaseToDos
from app.modules.after_sales.services.sla import recompute, watch
from app.modules.after_sales.services.sla.policies import PolicyCalendars
from app.modules.catalog.interface import ProductUser
from app.modules.customers.interface import AccountPanel, AccountUser
from app.tenants.interface import CalendarUser

PART = Module(
    name="after_sales",
    tags={"cases": "What customers ask for: cases, how they go on, and by when they are due."},
    routers=(
        "app.modules.after_sales.router.cases:records",
        "app.modules.after_sales.router.cases:router",
        "app.modules.after_sales.router.case_work:router",
        "app.modules.after_sales.router.sla:router",
    ),
    records=(CASE,),
    interfaces={Cases: CasesOfTenant},
    ports=(
        (AccountPanel, CasePanel),
        (AccountUser, CaseUses),
        (ProductUser, CaseProducts),
        (OpenWork, CaseWork),
        (TimelineSource, CaseTimeline),
        (TimelineSource, CommentTimeline),
        (ToDoSource, CaseToDos),
        (Merger, record_column(CASE, "account_id", "account")),
        (Merger, record_column(CASE, "contact_id", "contact")),
        (Merger, record_column(CASE, "parent_id", "case")),
        (Merger, comments),
        (Merger, commenters),
        (Merger, attachments),
        (CalendarUser, PolicyCalendars),
    ),
    jobs=(recompute.JOB, reskilling.JOB),
    schedules=(
        Schedule("after_sales.sla", watch.EVERY, watch.watch, per_tenant=True),
        Schedule("after_sales.close_resolved", closing.EVERY, closing.close_resolved, per_tenant=True),
    ),
    subscriptions=recompute.SUBSCRIPTIONS,
    notifications=watch.NOTIFICATIONS,
    permissions=(
        Permission(
            "case:configure",
            "Say what is promised to customers, and how cases end.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
)
