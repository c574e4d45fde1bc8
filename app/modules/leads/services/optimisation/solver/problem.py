"""The generalised assignment problem: what is asked, what is answered, and when an answer is right.

Every job goes to exactly one agent. Agent i spends `weight[i, j]` of its `capacity[i]` on job j, at `cost[i, j]`.
Whole numbers throughout, so that sums are exact: a caller with money counts minor units.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
LARGEST = 2**40
"""Largest absolute cost, weight or capacity: sums over a million jobs stay far from 64 bits."""


class Outcome(StrEnum):
    """What a search came to."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    """Proved: some job fits no agent, or the jobs need more than there is even when they are cut into parts."""
    NOT_FOUND = "not_found"
    """No complete assignment was met within the limits; there may be one."""


@dataclass(frozen=True)
class AssignmentProblem:
    """Agents × jobs matrices and a capacity per agent. `allowed` forbids pairs; a pair that never fits is
    forbidden by itself. With `maximise`, `cost` is a value and the largest sum is wanted.

    Raises ValueError for shapes that do not belong together and for numbers out of range.
    """

    cost: Integers
    weight: Integers
    capacity: Integers
    allowed: NDArray[np.bool_] | None = None
    maximise: bool = False

    def __post_init__(self) -> None:
        if self.cost.ndim != 2 or self.cost.shape != self.weight.shape:
            raise ValueError("cost and weight are two matrices of the same shape, agents × jobs")
        if self.capacity.shape != (self.agents,):
            raise ValueError("there is one capacity per agent")
        if self.allowed is not None and self.allowed.shape != self.cost.shape:
            raise ValueError("allowed has the shape of cost")
        for name in ("cost", "weight", "capacity"):
            values = getattr(self, name)
            if values.dtype != np.int64:
                raise ValueError(f"{name} holds 64-bit integers")
            if values.size and int(np.abs(values).max()) > LARGEST:
                raise ValueError(f"{name} holds numbers up to 2**40")
        if self.weight.size and int(self.weight.min()) < 0:
            raise ValueError("no job has a negative weight")
        if self.capacity.size and int(self.capacity.min()) < 0:
            raise ValueError("no agent has a negative capacity")

    @property
    def agents(self) -> int:
        return int(self.cost.shape[0])

    @property
    def jobs(self) -> int:
        return int(self.cost.shape[1])

    @cached_property
    def possible(self) -> NDArray[np.bool_]:
        """Pairs that may be used: allowed, and small enough for the agent by themselves."""
        fits = self.weight <= self.capacity[:, None]
        return fits if self.allowed is None else fits & self.allowed

    @cached_property
    def minimised(self) -> Integers:
        """The costs to minimise, whichever way was asked."""
        return -self.cost if self.maximise else self.cost

    def sense(self, minimised: float) -> float:
        """A sum of `minimised` costs, or a bound on one, as the caller counts."""
        return -minimised if self.maximise else minimised

    def value(self, assignment: Integers) -> int:
        """The sum of an assignment, as the caller counts."""
        return int(self.cost[assignment, np.arange(self.jobs)].sum())

    def is_feasible(self, assignment: Integers) -> bool:
        """Whether every job has an agent that may take it, and no agent more than it can carry."""
        if assignment.shape != (self.jobs,):
            return False
        if self.jobs == 0:
            return True
        if int(assignment.min()) < 0 or int(assignment.max()) >= self.agents:
            return False
        jobs = np.arange(self.jobs)
        if not bool(self.possible[assignment, jobs].all()):
            return False
        load = np.zeros(self.agents, dtype=np.int64)
        np.add.at(load, assignment, self.weight[assignment, jobs])
        return bool((load <= self.capacity).all())

    def is_hopeless(self) -> bool:
        """Whether a look at single jobs and at the sums proves that no assignment exists."""
        if self.jobs == 0:
            return False
        if self.agents == 0 or not bool(self.possible.any(axis=0).all()):
            return True
        least = np.where(self.possible, self.weight, LARGEST).min(axis=0)
        return int(least.sum()) > int(np.maximum(self.capacity, 0).sum())


@dataclass(frozen=True, slots=True)
class Solution:
    """The best assignment met, with what is known of how good it is.

    `assignment[j]` is the agent of job j, None unless the outcome is feasible; `value` its sum as the caller
    counts. `bound` is what no assignment can beat. `best_after` is when the best one was met, in seconds.
    """

    outcome: Outcome
    assignment: Integers | None
    value: int | None
    bound: float | None
    seconds: float
    best_after: float
    iterations: int

    @property
    def gap(self) -> float | None:
        """How far `value` can be from the best one, relative to the bound; 0 is proved optimal."""
        return None if self.value is None or self.bound is None else relative_gap(self.value, self.bound)


def relative_gap(value: float, bound: float) -> float:
    """|value − bound| / |bound|; where the bound is 0, / 1."""
    return abs(value - bound) / max(abs(bound), 1.0)


def as_matrix(rows: Any) -> Integers:
    """Rows of whole numbers as a matrix."""
    return np.ascontiguousarray(rows, dtype=np.int64)
