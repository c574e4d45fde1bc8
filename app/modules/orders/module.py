"""Registers orders: what was bought, how it went out, and what lies in stock."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.registry import Module, Permission
from app.kernel.sharing import OpenWork
from app.modules.activities.interface import TimelineSource
from app.modules.catalog.interface import ProductUser
from app.modules.customers.interface import AccountPanel, AccountUser, PoolFact
from app.modules.orders.interface import Orders, Stock
from app.modules.orders.router import imports, returns, statistics
from app.modules.orders.router.orders import records, router
from app.modules.orders.services.for_others import OrdersOfTenant
from app.modules.orders.services.on_accounts import (
    BoughtFact,
    OrderPanel,
    OrderTimeline,
    OrderUses,
    OrderWork,
)
from app.modules.orders.services.on_products import OrderedProducts
from app.modules.orders.services.orders import ORDER
from app.modules.orders.services.returns import RETURN
from app.modules.orders.services.stock import OnHandStock

_RUNS_IT = {"owner": Scope.ALL, "admin": Scope.ALL}

MODULE = Module(
    name="orders",
    description="Orders, shipments, stock, returns, and what customers owe.",
    routers=(records, router, returns.records, returns.router, imports.router, statistics.router),
    records=(ORDER, RETURN),
    interfaces={Orders: OrdersOfTenant},
    ports=(
        (Stock, OnHandStock),
        (ProductUser, OrderedProducts),
        (AccountPanel, OrderPanel),
        (AccountUser, OrderUses),
        (OpenWork, OrderWork),
        (PoolFact, BoughtFact),
        (TimelineSource, OrderTimeline),
        (Merger, record_column(ORDER, "account_id", "account")),
        (Merger, record_column(ORDER, "contact_id", "contact")),
        (Merger, record_column(RETURN, "account_id", "account")),
        (Merger, record_column(RETURN, "contact_id", "contact")),
    ),
    permissions=(
        Permission(
            "stock:read",
            "See what lies in stock.",
            _RUNS_IT | {"manager": Scope.ALL, "salesperson": Scope.ALL, "viewer": Scope.ALL},
        ),
        Permission(
            "stock:manage", "Say what came into stock and went out.", _RUNS_IT | {"manager": Scope.ALL}
        ),
        Permission(
            "order:import",
            "Bring in orders of the past.",
            _RUNS_IT | {"manager": Scope.ALL},
        ),
        Permission(
            "return:import",
            "Bring in returns of the past.",
            _RUNS_IT | {"manager": Scope.ALL},
        ),
    ),
)
