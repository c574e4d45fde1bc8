"""A MAX-MIN ant system for the generalised assignment problem.

Sources: T. Stützle, H. Hoos, "MAX-MIN Ant System", Future Generation Computer Systems 16 (2000), for trails between
bounds, one depositing ant and restarts; H. Lourenço, D. Serra, "Adaptive search heuristics for the generalized
assignment problem", Mathware & Soft Computing 9 (2002), for ants on this problem, which may overload agents and
are repaired by local search; M. Yagiura, T. Ibaraki, F. Glover, "An ejection chain approach for the generalized
assignment problem", INFORMS Journal on Computing 16 (2004), for ejection moves, and the same authors' "A path
relinking approach with ejection chains", EJOR 169 (2006), for penalties that adapt and neighbourhoods cut down by
Lagrangian costs; M. Held, P. Wolfe, H. Crowder, "Validation of subgradient optimization", Mathematical Programming
6 (1974); W. Wiesemann, T. Stützle, "Iterated ants", ANTS 2006, for ants that rebuild a part of a solution.

What a plain ant system lacks on hard instances is a heuristic that sees capacity: cheap pairs look good to every
ant and do not fit together. Prices of the capacities from the Lagrangian dual change that: an ant's desire for
(i, j) is exp(−r_ij / T), where r_ij = c_ij + p_i a_ij − min_k (c_kj + p_k a_kj) is what giving j to i loses against
its best agent once capacity costs its price.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.modules.leads.services.optimisation.solver.problem import (
    LARGEST,
    AssignmentProblem,
    Integers,
    Outcome,
    Solution,
)

SUBGRADIENT_ROUNDS = 5_000
_loaded: list[Any] = []


def load_kernels(cache_dir: Path | None = None) -> Any:
    """The compiled loops. The first call of a process decides where numba keeps machine code: `cache_dir`, or
    beside the sources where those can be written to, else in the user's cache. It also compiles, or reads what was
    compiled, so that no search spends its time on that.
    """
    if not _loaded:
        import numba

        if cache_dir is not None:
            cache_dir.mkdir(parents=True, exist_ok=True)
            vars(numba.config)["CACHE_DIR"] = str(cache_dir)
        from app.modules.leads.services.optimisation.solver import kernels

        _loaded.append(kernels)
        ones = np.ones((2, 2), dtype=np.int64)
        AntColony(AssignmentProblem(ones, ones, np.ones(2, dtype=np.int64))).run(1)
    return _loaded[0]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a colony works. `neighbours` bounds the agents that a job is tried on alone, `breadth` those in a
    chain, likeliest first."""

    ants: int = 8
    evaporation: float = 0.05
    neighbours: int = 256
    breadth: int = 4
    depth: int = 4
    patience: int = 400
    best_path: float = 0.05
    """Probability that an ant on converged trails repeats the best solution (p_best); it sets the lower bound."""


class AntColony:
    """One search, run in slices: `step` until `finished`, then `solution`. The same seed and number of iterations
    give the same solution on the same machine, however the slices fall; only time limits depend on the clock.
    """

    def __init__(
        self,
        problem: AssignmentProblem,
        *,
        seed: int = 1,
        settings: Settings | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        self.problem = problem
        self.settings = settings or Settings()
        self._kernels = load_kernels(cache_dir)
        self._started = time.perf_counter()
        self._best_after = 0.0
        self._bound: float | None = None
        self.hopeless = problem.is_hopeless()
        self._tally = np.zeros(5, dtype=np.int64)
        self._rng = np.array([seed % 2**64], dtype=np.uint64)
        if not self.hopeless and problem.jobs:
            self._prepare()

    def _prepare(self) -> None:
        """Prices, bound, neighbourhoods, and a first solution."""
        problem, kernels = self.problem, self._kernels
        c, a, b, ok = self._data = (
            np.ascontiguousarray(problem.minimised),
            np.ascontiguousarray(problem.weight),
            np.ascontiguousarray(problem.capacity),
            np.ascontiguousarray(problem.possible),
        )
        prices = np.zeros(problem.agents)
        ceiling = float(np.where(ok, c, -LARGEST).max(axis=0).sum())
        bound = float(kernels.subgradient(c, a, b, ok, SUBGRADIENT_ROUNDS, ceiling + 0.5, prices))
        if bound > ceiling + 0.5:
            self.hopeless = True  # even with jobs cut into parts there is not enough room
            return
        lost = np.where(ok, c + prices[:, None] * a, np.inf)
        lost -= lost.min(axis=0)
        self._bound = bound
        scale = _scale(lost)
        # Equally good agents come in another order for each job, or all jobs would press to the same few.
        ties = np.random.default_rng(int(self._rng[0])).random(c.shape) * scale * 1e-6
        self._near = _nearest(lost + ties, self.settings.neighbours)
        self._desire = np.where(ok, np.exp(-np.minimum(np.where(ok, lost, 0.0) / scale, 60.0)), 0.0)
        self._worth = 1.0 - self._desire
        self._trail = np.ones(c.shape)
        weights = a[ok]
        typical = float(np.abs(c[ok]).mean()) / max(float(weights.mean()), 1.0)
        self._least = np.maximum(prices * 1.05, 0.02 * typical + 1e-6)
        self._alpha = np.maximum(prices * 2.0, 0.5 * typical + 1e-6)
        self._base = np.zeros(problem.jobs, dtype=np.int64)
        self._best = self._base.copy()
        kernels.start_anew(
            c, a, b, self._desire, self._trail, self._near, self._base, self._best, self._tally, self._rng
        )
        self._floor = self._trail_floor(float((lost <= 5 * scale).sum()) / problem.jobs)

    def _trail_floor(self, choices: float) -> float:
        """τ_min as in Stützle and Hoos (2000), from p_best and how many agents a job has to choose from."""
        root = self.settings.best_path ** (1.0 / self.problem.jobs)
        return float(min(1.0, (1.0 - root) / (max(choices / 2.0, 1.0) * root)))

    # -- running -------------------------------------------------------------------------------------------

    @property
    def slice(self) -> int:
        """Iterations per step: a fraction of a second, the same for every run of this problem."""
        work = max(1, self.problem.jobs**2 * self.settings.ants)
        return max(1, min(50, 8_000_000 // work))

    @property
    def iterations(self) -> int:
        return int(self._tally[3])

    @property
    def idle(self) -> int:
        """Iterations since the best solution was met."""
        return int(self._tally[2])

    @property
    def proved(self) -> bool:
        """Whether nothing is left to find: no assignment exists, or the best one meets the bound."""
        if self.hopeless or not self.problem.jobs:
            return True
        return bool(self._tally[1]) and self._tally[0] <= math.ceil((self._bound or 0.0) - 1e-6)

    def step(self, iterations: int | None = None) -> None:
        """Run a slice, without the interpreter's lock."""
        if not self.proved:
            self.run(iterations or self.slice)

    def run(self, iterations: int) -> None:
        """Run so many iterations, whether or not anything is left to find."""
        before = (int(self._tally[1]), int(self._tally[0]))
        s = self.settings
        self._kernels.colony(
            *self._data,
            self._near,
            self._desire,
            self._worth,
            self._trail,
            self._alpha,
            self._least,
            self._base,
            self._best,
            self._tally,
            self._rng,
            iterations,
            s.ants,
            s.breadth,
            s.depth,
            s.evaporation,
            self._floor,
            s.patience,
        )
        if before != (int(self._tally[1]), int(self._tally[0])):
            self._best_after = time.perf_counter() - self._started

    def solution(self) -> Solution:
        """The best so far."""
        problem = self.problem
        seconds = time.perf_counter() - self._started
        if not problem.jobs:
            return Solution(Outcome.FEASIBLE, np.zeros(0, np.int64), 0, 0.0, seconds, 0.0, 0)
        if self.hopeless:
            return Solution(Outcome.INFEASIBLE, None, None, None, seconds, 0.0, 0)
        bound = problem.sense(math.ceil((self._bound or 0.0) - 1e-6))
        if not self._tally[1]:
            return Solution(Outcome.NOT_FOUND, None, None, bound, seconds, 0.0, self.iterations)
        assignment: Integers = self._best.copy()
        return Solution(
            Outcome.FEASIBLE,
            assignment,
            problem.value(assignment),
            bound,
            seconds,
            self._best_after,
            self.iterations,
        )


def _nearest(lost: Any, width: int) -> Integers:
    """Per job its agents by what they lose, at most `width`; -1 fills up where fewer are possible."""
    order = np.argsort(lost, axis=0, kind="stable")[:width].T.astype(np.int64)
    reachable = np.isfinite(np.take_along_axis(lost, order.T, axis=0)).T
    return np.ascontiguousarray(np.where(reachable, order, -1))


def _scale(lost: Any) -> float:
    """The temperature T of desire: what the second-best agent of a middling job loses."""
    if lost.shape[0] < 2:
        return 1.0
    second = np.partition(lost, 1, axis=0)[1]
    second = second[np.isfinite(second)]
    positive = second[second > 0]
    return float(np.median(positive)) if positive.size else 1.0


def solve(
    problem: AssignmentProblem,
    *,
    seconds: float = math.inf,
    iterations: int | None = None,
    seed: int = 1,
    settings: Settings | None = None,
    stop: Callable[[], bool] | None = None,
) -> Solution:
    """Search until proved optimal, a limit is met, or `stop` says so; the best solution met.

    Raises ValueError without a limit.
    """
    if iterations is None and math.isinf(seconds):
        raise ValueError("give seconds or iterations")
    colony = AntColony(problem, seed=seed, settings=settings)
    started = time.perf_counter()
    while not colony.proved and not (stop and stop()):
        left = None if iterations is None else iterations - colony.iterations
        if (left is not None and left <= 0) or time.perf_counter() - started >= seconds:
            break
        colony.step(colony.slice if left is None else min(colony.slice, left))
    return colony.solution()
