"""Registers opportunities: pipelines, deals, and what they add to accounts."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.registry import Module, Permission, Schedule
from app.modules.activities.interface import TimelineSource
from app.modules.customers.interface import AccountPanel, AccountUser
from app.modules.opportunities.handlers import SUBSCRIPTIONS
from app.modules.opportunities.interface import Opportunities
from app.modules.opportunities.router import records, router, selling, work
from app.modules.opportunities.services.competitors import COMPETITOR
from app.modules.opportunities.services.for_others import OpportunitiesOfTenant
from app.modules.opportunities.services.on_accounts import (
    OpportunityPanel,
    OpportunityTimeline,
    OpportunityUses,
)
from app.modules.opportunities.services.opportunities import OPPORTUNITY
from app.modules.opportunities.services.presales import PRESALES_REQUEST
from app.modules.opportunities.services.rotting import EVERY, mark_rotting

MODULE = Module(
    name="opportunities",
    description="Pipelines, stages, opportunities and their outcomes.",
    routers=(
        records,
        router,
        selling.competitors,
        selling.router,
        work.presales_requests,
        work.router,
    ),
    records=(OPPORTUNITY, COMPETITOR, PRESALES_REQUEST),
    interfaces={Opportunities: OpportunitiesOfTenant},
    ports=(
        (AccountPanel, OpportunityPanel),
        (AccountUser, OpportunityUses),
        (TimelineSource, OpportunityTimeline),
    ),
    subscriptions=SUBSCRIPTIONS,
    schedules=(Schedule("opportunities.rotting", EVERY, mark_rotting, per_tenant=True),),
    permissions=(
        Permission(
            "pipeline:manage",
            "Make and change pipelines and their stages.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
)
