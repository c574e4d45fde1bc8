"""Events and refusals of optimised assignment."""

from __future__ import annotations

from typing import ClassVar

from app.kernel.errors import Conflict
from app.kernel.events import Event

OBJECT = "lead_optimisation"
"""The plan's name in the audit log."""


class _Optimisation(Event):
    """What all steps of a plan tell."""

    object: ClassVar[str] = OBJECT

    leads: int


class LeadOptimisationRequested(_Optimisation):
    """Somebody asked for a plan of who gets which leads."""

    type: ClassVar[str] = "leads.lead_optimisation.requested.v1"


class LeadOptimisationStarted(_Optimisation):
    """A worker took the plan up."""

    type: ClassVar[str] = "leads.lead_optimisation.started.v1"


class LeadOptimisationSolved(_Optimisation):
    """A plan is ready to be looked at and applied."""

    type: ClassVar[str] = "leads.lead_optimisation.solved.v1"

    value: dict[str, str]


class LeadOptimisationFailed(_Optimisation):
    """A plan came to nothing, and why."""

    type: ClassVar[str] = "leads.lead_optimisation.failed.v1"

    failure: str


class LeadOptimisationApplied(_Optimisation):
    """A plan was carried out; the leads tell of their new owners themselves."""

    type: ClassVar[str] = "leads.lead_optimisation.applied.v1"

    applied: int
    conflicts: int


class LeadOptimisationUndone(_Optimisation):
    """A plan was taken back, where nobody had changed the owner since."""

    type: ClassVar[str] = "leads.lead_optimisation.undone.v1"

    restored: int
    kept: int


class PlanConflicts(Conflict):
    """`conflicts` lists up to 100 of the leads that changed since the plan was made, `total` counts them."""

    code = "plan_conflicts"
    title = "Some leads changed since the plan was made; nothing was applied"


class PlanCapacityReached(Conflict):
    """`capacity` says how many leads of the plan the member takes."""

    code = "plan_capacity_reached"
    title = "The plan gives this member all that they can take"
