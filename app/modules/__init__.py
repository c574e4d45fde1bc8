"""The product's modules, lowest first: a module imports only the interfaces of others, and ports go upwards."""

from __future__ import annotations

from app.kernel.registry import Module
from app.modules.activities.module import MODULE as ACTIVITIES
from app.modules.customers.module import MODULE as CUSTOMERS

MODULES: list[Module] = [ACTIVITIES, CUSTOMERS]
