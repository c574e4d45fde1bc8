"""Background work of leads."""

from __future__ import annotations

from typing import Final

from app.kernel.registry import JobKind, Schedule
from app.modules.leads.jobs import assignment, scoring
from app.modules.leads.services.capture import retention
from app.modules.leads.services.optimisation.run import JOB as OPTIMISE_JOB

JOBS: Final[tuple[JobKind, ...]] = (assignment.ASSIGN_JOB, OPTIMISE_JOB, *scoring.JOBS)
SCHEDULES: Final[tuple[Schedule, ...]] = (
    assignment.RESPONSE_SCHEDULE,
    *scoring.SCHEDULES,
    *retention.SCHEDULES,
)
