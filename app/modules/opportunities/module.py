"""Registers opportunities: pipelines, deals, and what they add to accounts."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.registry import Module, Permission
from app.modules.activities.interface import TimelineSource
from app.modules.customers.interface import AccountPanel, AccountUser, PoolFact
from app.modules.opportunities.interface import Opportunities
from app.modules.opportunities.router import records, router
from app.modules.opportunities.services.for_others import OpportunitiesOfTenant
from app.modules.opportunities.services.on_accounts import (
    OpportunityPanel,
    OpportunityTimeline,
    OpportunityUses,
)
from app.modules.opportunities.services.opportunities import OPPORTUNITY
from app.modules.opportunities.services.pool_facts import OpenOpportunityFact, WonOpportunityFact

MODULE = Module(
    name="opportunities",
    description="Pipelines, stages, opportunities and their outcomes.",
    routers=(records, router),
    records=(OPPORTUNITY,),
    interfaces={Opportunities: OpportunitiesOfTenant},
    ports=(
        (AccountPanel, OpportunityPanel),
        (AccountUser, OpportunityUses),
        (TimelineSource, OpportunityTimeline),
        (PoolFact, OpenOpportunityFact),
        (PoolFact, WonOpportunityFact),
    ),
    permissions=(
        Permission(
            "pipeline:manage",
            "Make and change pipelines and their stages.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
)
