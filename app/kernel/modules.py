"""The kernel's own operations, as modules like any other."""

from __future__ import annotations

from datetime import timedelta

from app.kernel import mail, outbox
from app.kernel.access import Scope
from app.kernel.custom_fields.definitions import INDEX_JOB
from app.kernel.event_tables import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from app.kernel.exports import EXPORT_JOB
from app.kernel.imports.run import IMPORT_JOB
from app.kernel.imports.undo import UNDO_JOB
from app.kernel.merging.models import Merge
from app.kernel.merging.ports import Merger
from app.kernel.merging.references import CustomReferences, shares
from app.kernel.registry import Module, Permission, Schedule
from app.kernel.retention import SCHEDULES
from app.kernel.saved_views import SavedView
from app.kernel.schedules import ScheduledRun

_ADMINISTRATORS = {"owner": Scope.ALL, "admin": Scope.ALL}


async def _purge(run: ScheduledRun) -> None:
    await outbox.purge(run.kernel)


PAGES_MODULE = Module(name="pages", routers=("app.kernel.docs_pages:router",))

FIELDS_MODULE = Module(
    name="settings",
    description="Custom fields, saved views, and mail.",
    tags={
        "custom fields": "Fields that a company adds to its records.",
        "saved views": "Filters and sort orders under a name, for oneself or for everybody.",
    },
    routers=(
        "app.kernel.settings_router:fields",
        "app.kernel.settings_router:views",
        "app.kernel.settings_router:development",
    ),
    tables=(SavedView,),
    jobs=[INDEX_JOB, *mail.JOBS],
    permissions=[
        Permission("custom_field:manage", "Define custom fields.", dict(_ADMINISTRATORS)),
        Permission(
            "saved_view:share",
            "Share saved views with a team or everyone.",
            _ADMINISTRATORS | {"manager": Scope.ALL, "salesperson": Scope.ALL},
        ),
        Permission("saved_view:manage", "Change and remove views of others.", dict(_ADMINISTRATORS)),
    ],
)

EVENTS_MODULE = Module(
    name="events",
    description="What happened: the event feed, webhooks, live updates and the audit log.",
    routers=("app.kernel.event_router:router",),
    tables=(WebhookEndpoint, WebhookDelivery, WebhookAttempt),
    permissions=(
        Permission("event:read", "Read the event feed.", dict(_ADMINISTRATORS)),
        Permission("event:manage", "See and retry events that a reaction failed on.", dict(_ADMINISTRATORS)),
        Permission("webhook:manage", "Manage webhook endpoints and their deliveries.", dict(_ADMINISTRATORS)),
        Permission("audit:read", "Read the audit log.", dict(_ADMINISTRATORS)),
    ),
    schedules=(Schedule("events.purge", timedelta(days=1), _purge),),
)

BULK_MODULE = Module(
    name="bulk",
    description="Jobs, files, imports and exports.",
    tags={
        "jobs": "Work in the background: progress, results, cancelling.",
        "files": "Uploads, and files that the server made.",
        "imports": "Many records from a file: mapping, dry run, progress, results by row, undo.",
        "exports": "Lists as CSV, NDJSON or XLSX, at once or as a job.",
    },
    routers=(
        "app.kernel.job_router:router",
        "app.kernel.file_router:router",
        "app.kernel.import_router:router",
        "app.kernel.export_router:router",
    ),
    jobs=[IMPORT_JOB, UNDO_JOB, EXPORT_JOB],
    permissions=[
        Permission(
            "job:read", "See everybody's jobs and imports, not only one's own.", dict(_ADMINISTRATORS)
        ),
        Permission("job:cancel", "Stop everybody's jobs, not only one's own.", dict(_ADMINISTRATORS)),
        Permission("file:read", "Open everybody's uploaded and exported files.", dict(_ADMINISTRATORS)),
    ],
)

RETENTION_MODULE = Module(name="retention", description="What is over is forgotten.", schedules=SCHEDULES)

QUALITY_MODULE = Module(
    name="data quality",
    description="What the company wants its records to be like, and which of them are not.",
    routers=("app.kernel.quality.router:router",),
    permissions=(
        Permission("data_quality_rule:manage", "Say what records must be like.", dict(_ADMINISTRATORS)),
    ),
)

MERGING_MODULE = Module(
    name="merges",
    description="Records that became one, and taking that back.",
    routers=("app.kernel.merging.router:router",),
    tables=(Merge,),
    ports=[(Merger, shares), (Merger, CustomReferences)],
)

NOTIFICATIONS_MODULE = Module(
    name="notifications",
    description="What members are told, live and by mail.",
    routers=("app.kernel.notification_router:router",),
)

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
