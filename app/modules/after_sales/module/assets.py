"""Registers what after_sales knows of assets: their warranty, service, maintenance, work, and what they report."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Permission, Schedule, Subscription
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource, ToDoSource
from app.modules.after_sales.services.assets.assets import ASSET, AssetsOfCases
from app.modules.after_sales.services.assets.on_accounts import (
    AssetPanel,
    AssetProducts,
    AssetTimeline,
    AssetUses,
    AssetWork,
    WorkOrderTimeline,
)
from app.modules.after_sales.services.assets.shipped import Shipped, register_shipped
from app.modules.after_sales.services.assets.warranties import WARRANTY_TERM
from app.modules.after_sales.services.cases.ports import AssetSource, ResponseClassSource
from app.modules.after_sales.services.service import maintenance
from app.modules.after_sales.services.service.contracts import SERVICE_CONTRACT, AgreedResponse
from app.modules.after_sales.services.service.maintenance import MAINTENANCE_PLAN
from app.modules.after_sales.services.service.to_dos import WorkOrderToDos
from app.modules.after_sales.services.service.work_orders import WORK_ORDER
from app.modules.after_sales.services.telemetry import watching
from app.modules.after_sales.services.telemetry.merging import WatchedCases
from app.modules.after_sales.services.telemetry.rules import TELEMETRY_RULE
from app.modules.catalog.interface import ProductUser
from app.modules.customers.interface import AccountPanel, AccountUser

PART = Module(
    name="after_sales",
    tags={
        "assets": "What customers have from us, under what warranty.",
        "telemetry": "What assets report about themselves, and the rules that open cases for it.",
        "service contracts": "What customers may have done for them, and what was drawn of it.",
        "work orders": "Work to be done at customers, and the maintenance plans that call for it.",
    },
    routers=(
        "app.modules.after_sales.router.assets:records",
        "app.modules.after_sales.router.assets:router",
        "app.modules.after_sales.router.assets:telemetry",
        "app.modules.after_sales.router.assets:terms",
        "app.modules.after_sales.router.assets:rules",
        "app.modules.after_sales.router.service:contracts",
        "app.modules.after_sales.router.service:drawing",
        "app.modules.after_sales.router.service:plans",
        "app.modules.after_sales.router.service:orders",
        "app.modules.after_sales.router.service:router",
    ),
    records=(ASSET, WARRANTY_TERM, TELEMETRY_RULE, SERVICE_CONTRACT, MAINTENANCE_PLAN, WORK_ORDER),
    ports=(
        (AssetSource, AssetsOfCases),
        (ResponseClassSource, AgreedResponse),
        (AccountPanel, AssetPanel),
        (AccountUser, AssetUses),
        (ProductUser, AssetProducts),
        (OpenWork, AssetWork),
        (TimelineSource, AssetTimeline),
        (TimelineSource, WorkOrderTimeline),
        (ToDoSource, WorkOrderToDos),
        (Merger, record_column(ASSET, "account_id", "account")),
        (Merger, record_column(ASSET, "contact_id", "contact")),
        (Merger, record_column(SERVICE_CONTRACT, "account_id", "account")),
        (Merger, record_column(WORK_ORDER, "account_id", "account")),
        (Merger, record_column(WORK_ORDER, "contact_id", "contact")),
        (Merger, record_column(WORK_ORDER, "case_id", "case")),
        (Merger, WatchedCases),
    ),
    subscriptions=(
        Subscription("orders.order.shipped.v1", Shipped, register_shipped, "after_sales.assets"),
        Subscription(
            "after_sales.asset.breached.v1", watching.Breached, watching.open_case, "after_sales.telemetry"
        ),
    ),
    schedules=(
        Schedule("after_sales.maintenance", maintenance.EVERY, maintenance.open_due_work, per_tenant=True),
        Schedule("after_sales.absence", watching.EVERY, watching.watch_absence, per_tenant=True),
        Schedule("after_sales.forget_readings", watching.FORGET_EVERY, watching.forget_readings),
    ),
    permissions=(
        Permission(
            "asset:telemetry",
            "Send the readings of assets.",
            {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.TEAM_AND_BELOW},
        ),
    ),
)
