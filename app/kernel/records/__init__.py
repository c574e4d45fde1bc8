"""Record types: declare a table, its wire schemas and what is searched; everything generic follows.

From one `RecordType` come lists and search, reads, create, merge patch, delete, batches, history, sharing,
transfer, custom fields, import, export, events, audit, permissions and their tests. A module adds its rules by
subclassing `RecordService` and overriding the hooks.
"""

from app.kernel.records.declaration import ACTIONS, M, RecordType, Search
from app.kernel.records.service import RecordService
from app.kernel.records.wire import ReadPlan, kind_of, to_json

__all__ = [
    "ACTIONS",
    "M",
    "ReadPlan",
    "RecordService",
    "RecordType",
    "Search",
    "kind_of",
    "to_json",
]
