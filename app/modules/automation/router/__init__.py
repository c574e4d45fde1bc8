"""HTTP of approvals."""

from __future__ import annotations

from typing import Final

from app.modules.automation.router import approvals, delegations, processes

ROUTERS: Final = (processes.router, approvals.router, delegations.router)
