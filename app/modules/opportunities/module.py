"""Registers opportunities: pipelines, deals, and what they add to accounts."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Permission
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource
from app.modules.customers.interface import AccountPanel, AccountUser
from app.modules.opportunities.interface import Opportunities
from app.modules.opportunities.router import records, router
from app.modules.opportunities.services.for_others import OpportunitiesOfTenant
from app.modules.opportunities.services.on_accounts import (
    OpportunityPanel,
    OpportunityTimeline,
    OpportunityUses,
    OpportunityWork,
)
from app.modules.opportunities.services.opportunities import OPPORTUNITY

MODULE = Module(
    name="opportunities",
    description="Pipelines, stages, opportunities and their outcomes.",
    routers=(records, router),
    records=(OPPORTUNITY,),
    interfaces={Opportunities: OpportunitiesOfTenant},
    ports=(
        (AccountPanel, OpportunityPanel),
        (AccountUser, OpportunityUses),
        (OpenWork, OpportunityWork),
        (TimelineSource, OpportunityTimeline),
        (Merger, record_column(OPPORTUNITY, "account_id", "account")),
        (Merger, record_column(OPPORTUNITY, "contact_id", "contact")),
        (Merger, record_column(OPPORTUNITY, "lead_id", "lead")),
    ),
    permissions=(
        Permission(
            "pipeline:manage",
            "Make and change pipelines and their stages.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
    ),
)
