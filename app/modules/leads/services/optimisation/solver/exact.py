"""The exact solver that the colony is measured against: HiGHS, a branch-and-cut solver for mixed-integer programs.

It proves what is optimal where the problem is small or kind, and gives a bound where time runs out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.modules.leads.services.optimisation.solver.problem import AssignmentProblem, Integers, Outcome

_STATUSES = {"kOptimal": Outcome.FEASIBLE, "kInfeasible": Outcome.INFEASIBLE}


@dataclass(frozen=True, slots=True)
class ExactSolution:
    """What the exact solver came to: `value` of its best assignment, `bound` that none can beat; equal when proved.

    `outcome` is infeasible only when that is proved.
    """

    outcome: Outcome
    proved: bool
    assignment: Integers | None
    value: int | None
    bound: float | None
    seconds: float


def solve_exactly(
    problem: AssignmentProblem, *, seconds: float, stop: Callable[[], bool] | None = None
) -> ExactSolution:
    """Minimise Σ c_ij x_ij, every job once, within the capacities, x binary; on one thread, at most `seconds`.

    HiGHS works without the interpreter's lock; now and then it asks `stop` whether to give up.
    """
    started = time.perf_counter()
    if problem.is_hopeless():
        return ExactSolution(Outcome.INFEASIBLE, True, None, None, None, 0.0)
    if not problem.jobs:
        return ExactSolution(Outcome.FEASIBLE, True, np.zeros(0, np.int64), 0, 0.0, 0.0)
    import highspy

    agents, jobs = np.nonzero(problem.possible)
    solver = _solver(highspy, seconds, stop)
    solver.passModel(_model(highspy, problem, agents, jobs))
    solver.run()
    status = solver.getModelStatus().name
    info = solver.getInfo()
    elapsed = time.perf_counter() - started
    assignment = _assignment(problem, solver, agents, jobs)
    proved = status in _STATUSES
    bound = info.mip_dual_bound if math.isfinite(info.mip_dual_bound) and not _is_transport(problem) else None
    if assignment is None:
        outcome = _STATUSES.get(status, Outcome.NOT_FOUND)
        tight = None if bound is None else problem.sense(math.ceil(bound - 1e-6))
        return ExactSolution(outcome, proved, None, None, tight, elapsed)
    value = problem.value(assignment)
    tight = float(value) if proved or bound is None else problem.sense(math.ceil(bound - 1e-6))
    return ExactSolution(Outcome.FEASIBLE, proved, assignment, value, tight, elapsed)


def _solver(highspy: Any, seconds: float, stop: Callable[[], bool] | None) -> Any:
    """HiGHS, silent from the start: its constructor would greet on the worker's output."""

    class Silent(highspy.Highs):  # type: ignore[misc]  # the package is loaded where it is used
        def enableCallbacks(self) -> None:  # noqa: N802 - HiGHS's name
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()

    solver = Silent()
    for name, value in (("threads", 1), ("mip_rel_gap", 0.0), ("mip_abs_gap", 0.99)):
        solver.setOptionValue(name, value)
    solver.setOptionValue("time_limit", max(0.01, seconds))
    solver.setOptionValue("solver", "simplex")
    if stop is not None:
        solver.cbMipInterrupt += lambda event: event.interrupt(stop())
        solver.cbSimplexInterrupt += lambda event: event.interrupt(stop())
    return solver


def _model(highspy: Any, problem: AssignmentProblem, agents: Integers, jobs: Integers) -> Any:
    """One binary column per possible pair; rows: the jobs, then the agents."""
    pairs = len(agents)
    model = highspy.HighsLp()
    model.num_col_ = pairs
    model.num_row_ = problem.jobs + problem.agents
    model.col_cost_ = problem.minimised[agents, jobs].astype(np.float64)
    model.col_lower_ = np.zeros(pairs)
    model.col_upper_ = np.ones(pairs)
    model.row_lower_ = np.concatenate([np.ones(problem.jobs), np.full(problem.agents, -highspy.kHighsInf)])
    model.row_upper_ = np.concatenate([np.ones(problem.jobs), problem.capacity.astype(np.float64)])
    if not _is_transport(problem):
        model.integrality_ = [highspy.HighsVarType.kInteger] * pairs
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = np.arange(0, 2 * pairs + 1, 2, dtype=np.int32)
    index = np.empty(2 * pairs, dtype=np.int32)
    index[0::2], index[1::2] = jobs, problem.jobs + agents
    model.a_matrix_.index_ = index
    values = np.ones(2 * pairs)
    values[1::2] = problem.weight[agents, jobs]
    model.a_matrix_.value_ = values
    return model


def _is_transport(problem: AssignmentProblem) -> bool:
    """Whether all jobs weigh 1. Then it is a transportation problem, whose corners are whole by themselves
    (Hoffman and Kruskal 1956), and the simplex method, which ends in a corner, does without branching.
    """
    return bool((problem.weight[problem.possible] == 1).all())


def _assignment(problem: AssignmentProblem, solver: Any, agents: Integers, jobs: Integers) -> Integers | None:
    """The solver's assignment, if it has a right one."""
    values = np.asarray(solver.getSolution().col_value)
    if len(values) != len(agents):
        return None
    chosen = values > 0.5
    found = np.full(problem.jobs, -1, dtype=np.int64)
    found[jobs[chosen]] = agents[chosen]
    return found if problem.is_feasible(found) else None
