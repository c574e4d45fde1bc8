"""Background jobs: rows that a worker claims, runs and answers for (docs/adr/0005-jobs-are-rows.md).

A job is started at least once: a worker may be killed at any moment, its lease runs out and another one takes
over. Job code therefore commits its progress as it goes and looks at where it stands when it starts.
"""

from app.kernel.jobs.context import (
    LOOK_AGAIN,
    JobCancelled,
    JobContext,
    JobDeferred,
    JobLost,
    JobPaused,
    actor_of,
    require_open,
)
from app.kernel.jobs.queue import is_settled, request_cancel
from app.kernel.jobs.runner import SPARE_HANDS, JobRunner

__all__ = [
    "LOOK_AGAIN",
    "SPARE_HANDS",
    "JobCancelled",
    "JobContext",
    "JobDeferred",
    "JobLost",
    "JobPaused",
    "JobRunner",
    "actor_of",
    "is_settled",
    "request_cancel",
    "require_open",
]
