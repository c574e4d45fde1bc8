"""What the answers to people bring to the product."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.kernel.access import Scope
from app.kernel.registry import Permission, Schedule
from app.tenants.privacy.exporting import forget_expired
from app.tenants.privacy.requests import ANSWER, CONFIRM, MANAGE

_RUNS_IT: Final = {"owner": Scope.ALL, "admin": Scope.ALL}
TAG: Final = {"privacy": "What one person may ask: a copy of all that is held of them, or to be forgotten."}
ROUTERS: Final = ("app.tenants.privacy.router:router",)
PERMISSIONS: Final = (
    Permission(MANAGE, "Look what is held of a person who asks, and prepare the answer.", _RUNS_IT),
    Permission(CONFIRM, "Have a person's data exported or erased, and take the export.", _RUNS_IT),
)
JOBS: Final = (ANSWER,)
SCHEDULES: Final = (Schedule("privacy.forget_exports", timedelta(hours=6), forget_expired, per_tenant=True),)
