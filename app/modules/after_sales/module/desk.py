"""Registers what after_sales knows of the service desk: queues, agents, routing, calls."""

from __future__ import annotations

from app.kernel.access import Scope
from app.kernel.registry import Module, Permission
from app.modules.after_sales.services.cases.ports import QueueSource
from app.modules.after_sales.services.desk.queues import QueuesForCases
from app.modules.after_sales.services.desk.routing import JOBS, SCHEDULES, SUBSCRIPTIONS

_MANAGERS = {"owner": Scope.ALL, "admin": Scope.ALL, "manager": Scope.ALL}
_WORKERS = _MANAGERS | {"salesperson": Scope.ALL}

PART = Module(
    name="after_sales",
    tags={"service desk": "Queues of cases, who is at the desk, and calls."},
    routers=(
        "app.modules.after_sales.router.desk:router",
        "app.modules.after_sales.router.skills:router",
        "app.modules.after_sales.router.calls:router",
    ),
    ports=((QueueSource, QueuesForCases),),
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    schedules=SCHEDULES,
    permissions=(
        Permission("queue:read", "See the queues of cases and what agents can bear.", _WORKERS),
        Permission(
            "queue:manage",
            "Make queues of cases, and say what agents can bear.",
            {"owner": Scope.ALL, "admin": Scope.ALL},
        ),
        Permission("agent:read", "See who is at the service desk and what they bear.", _WORKERS),
        Permission(
            "agent:manage",
            "Set the presence and capacity of others, report their calls, and see them.",
            _MANAGERS,
        ),
        Permission("desk:work", "Be at the service desk: take cases from queues, and take calls.", _WORKERS),
    ),
)
