"""The kernel's own operations, as modules like any other."""

from __future__ import annotations

from app.kernel.docs_pages import PAGES_MODULE
from app.kernel.event_router import EVENTS_MODULE
from app.kernel.import_router import BULK_MODULE
from app.kernel.merging.router import MERGING_MODULE
from app.kernel.notification_router import NOTIFICATIONS_MODULE
from app.kernel.quality.router import QUALITY_MODULE
from app.kernel.registry import Module
from app.kernel.retention import SCHEDULES
from app.kernel.settings_router import FIELDS_MODULE

RETENTION_MODULE = Module(name="retention", description="What is over is forgotten.", schedules=SCHEDULES)

KERNEL_MODULES: list[Module] = [
    PAGES_MODULE,
    FIELDS_MODULE,
    EVENTS_MODULE,
    BULK_MODULE,
    RETENTION_MODULE,
    QUALITY_MODULE,
    MERGING_MODULE,
    NOTIFICATIONS_MODULE,
]
