"""Registers opportunities: pipelines, deals, and what they add to accounts."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Permission, Schedule
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.catalog.interface import ProductUser
from app.modules.customers.interface import AccountPanel, AccountUser, PoolFact
from app.modules.opportunities.handlers import SUBSCRIPTIONS
from app.modules.opportunities.interface import Opportunities
from app.modules.opportunities.reading import upkeep
from app.modules.opportunities.services.competitors import COMPETITOR
from app.modules.opportunities.services.for_others import OpportunitiesOfTenant
from app.modules.opportunities.services.merging import committee_seats
from app.modules.opportunities.services.offered import OfferedProducts
from app.modules.opportunities.services.on_accounts import (
    OpportunityPanel,
    OpportunityTimeline,
    OpportunityUses,
    OpportunityWork,
)
from app.modules.opportunities.services.opportunities import OPPORTUNITY
from app.modules.opportunities.services.personal_data import PERSONAL_DATA
from app.modules.opportunities.services.pool_facts import OpenOpportunityFact, WonOpportunityFact
from app.modules.opportunities.services.presales import PRESALES_REQUEST
from app.modules.opportunities.services.rotting import EVERY, mark_rotting
from app.modules.opportunities.services.to_dos import OpportunityToDos

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

MODULE = Module(
    name="opportunities",
    description="Pipelines, stages, opportunities and their outcomes.",
    tags={
        "opportunities": "Pipelines, opportunities, their outcomes, and how they are read.",
        "targets": "What members, teams and the company are to reach.",
        "forecast": "What a period is expected to bring, who stands for it, and how well it was told.",
    },
    routers=(
        "app.modules.opportunities.router:records",
        "app.modules.opportunities.router:router",
        "app.modules.opportunities.router.selling:competitors",
        "app.modules.opportunities.router.selling:router",
        "app.modules.opportunities.router.work:presales_requests",
        "app.modules.opportunities.router.work:router",
        "app.modules.opportunities.reading.router:router",
        "app.modules.opportunities.reading.router:targets",
        "app.modules.opportunities.reading.router:forecast",
    ),
    records=(OPPORTUNITY, COMPETITOR, PRESALES_REQUEST),
    interfaces={Opportunities: OpportunitiesOfTenant},
    ports=(
        (AccountPanel, OpportunityPanel),
        (AccountUser, OpportunityUses),
        (ProductUser, OfferedProducts),
        (OpenWork, OpportunityWork),
        (TimelineSource, OpportunityTimeline),
        (Merger, record_column(OPPORTUNITY, "account_id", "account")),
        (Merger, record_column(OPPORTUNITY, "contact_id", "contact")),
        (Merger, record_column(OPPORTUNITY, "lead_id", "lead")),
        (Merger, committee_seats),
        (ToDoSource, OpportunityToDos),
        (PoolFact, OpenOpportunityFact),
        (PoolFact, WonOpportunityFact),
    ),
    subscriptions=(*SUBSCRIPTIONS, *upkeep.SUBSCRIPTIONS),
    jobs=upkeep.JOBS,
    schedules=(
        Schedule("opportunities.rotting", EVERY, mark_rotting, per_tenant=True),
        *upkeep.SCHEDULES,
    ),
    parts={
        "opportunity_line": (
            "opportunity",
            dict.fromkeys(("unit_price", "discount_percent", "discount_amount", "amount"), "amount"),
        ),
        "opportunity_cost": ("opportunity", {"amount": "budget", "rate": "budget"}),
        "forecast_submission": ("opportunity", {"amount": "amount"}),
    },
    permissions=(
        Permission(
            "pipeline:manage",
            "Make and change pipelines and their stages.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
        Permission(
            "target:read",
            "See targets and how far they are reached.",
            _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW, "salesperson": Scope.TEAM, "viewer": Scope.ALL},
        ),
        Permission(
            "target:manage",
            "Set, change and delete targets.",
            _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW},
        ),
        Permission(
            "forecast:submit",
            "Submit forecasts of one's own.",
            _RUNS_IT | {"manager": Scope.ALL, "salesperson": Scope.ALL},
        ),
        Permission(
            "forecast:override",
            "Override the forecasts of others.",
            _RUNS_IT | {"manager": Scope.TEAM_AND_BELOW},
        ),
    ),
    personal_data=PERSONAL_DATA,
)
