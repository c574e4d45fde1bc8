"""The states of a plan of optimised assignment and the steps between them."""

from __future__ import annotations

from app.kernel.states import StateMachine
from app.modules.leads.models import OptimisationState

DRAFT, SOLVING, SOLVED = OptimisationState.DRAFT, OptimisationState.SOLVING, OptimisationState.SOLVED
APPLIED, UNDONE, FAILED = OptimisationState.APPLIED, OptimisationState.UNDONE, OptimisationState.FAILED

PLAN: StateMachine[OptimisationState] = StateMachine(
    name="The plan",
    initial=DRAFT,
    transitions={
        (DRAFT, "start"): SOLVING,
        (DRAFT, "fail"): FAILED,
        (SOLVING, "solve"): SOLVED,
        (SOLVING, "fail"): FAILED,
        (SOLVED, "adjust"): SOLVED,
        (SOLVED, "apply"): APPLIED,
        (APPLIED, "undo"): UNDONE,
    },
)
