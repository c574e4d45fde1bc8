"""The ant colony for generalised assignment: right, repeatable, and near the best known bounds."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.leads.services.optimisation.solver.exact import solve_exactly
from app.modules.leads.services.optimisation.solver.problem import (
    AssignmentProblem,
    Outcome,
    as_matrix,
    relative_gap,
)
from app.modules.leads.services.optimisation.solver.search import AntColony, solve
from bench import gap_instances
from tests.support.postgres import ROOT


def problem_of(cost, weight, capacity, *, maximise: bool = False, allowed=None) -> AssignmentProblem:
    return AssignmentProblem(
        cost=as_matrix(cost),
        weight=as_matrix(weight),
        capacity=np.array(capacity, dtype=np.int64),
        maximise=maximise,
        allowed=allowed,
    )


def by_brute_force(problem: AssignmentProblem) -> int | None:
    """The value of the best assignment of all; None without one."""
    found = [
        problem.value(assignment)
        for assignment in map(np.array, itertools.product(range(problem.agents), repeat=problem.jobs))
        if problem.is_feasible(assignment)
    ]
    return None if not found else max(found) if problem.maximise else min(found)


def matrices(agents: int, jobs: int, low: int, high: int) -> st.SearchStrategy[list[list[int]]]:
    row = st.lists(st.integers(low, high), min_size=jobs, max_size=jobs)
    return st.lists(row, min_size=agents, max_size=agents)


@st.composite
def problems(draw: st.DrawFn, agents: int = 3, jobs: int = 6) -> AssignmentProblem:
    m, n = draw(st.integers(1, agents)), draw(st.integers(1, jobs))
    return problem_of(
        draw(matrices(m, n, -20, 20)),
        draw(matrices(m, n, 0, 6)),
        draw(st.lists(st.integers(0, 6 + 2 * n), min_size=m, max_size=m)),
        maximise=draw(st.booleans()),
        allowed=np.array(draw(matrices(m, n, 0, 4)), dtype=np.int64) > 0,
    )


# -- right ---------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(problems())
def test_a_tiny_problem_is_solved_to_the_optimum(problem: AssignmentProblem):
    best = by_brute_force(problem)
    found = solve(problem, iterations=60)
    if best is None:
        assert found.outcome is not Outcome.FEASIBLE
        assert found.assignment is None
    else:
        assert found.outcome is Outcome.FEASIBLE
        assert found.assignment is not None
        assert problem.is_feasible(found.assignment)
        assert found.value == best == problem.value(found.assignment)
        assert found.bound is not None
        assert found.bound >= best if problem.maximise else found.bound <= best


@settings(max_examples=60, deadline=None)
@given(problems())
def test_the_exact_solver_agrees_with_brute_force(problem: AssignmentProblem):
    best = by_brute_force(problem)
    found = solve_exactly(problem, seconds=10)
    assert (found.proved, found.value) == (True, best)
    assert found.outcome is (Outcome.INFEASIBLE if best is None else Outcome.FEASIBLE)


@settings(max_examples=40, deadline=None)
@given(problems(agents=8, jobs=40), st.integers(0, 2**63))
def test_what_is_found_is_always_feasible(problem: AssignmentProblem, seed: int):
    found = solve(problem, iterations=5, seed=seed)
    assert (found.assignment is not None) == (found.outcome is Outcome.FEASIBLE)
    if found.assignment is not None:
        assert problem.is_feasible(found.assignment)
        assert found.value == problem.value(found.assignment)
        assert found.gap is not None


def test_what_cannot_be_done_is_said_to_be_infeasible():
    too_large = problem_of([[1, 1], [1, 1]], [[5, 1], [5, 1]], [4, 4])
    too_much = problem_of([[1, 1, 1], [1, 1, 1]], [[2, 2, 2], [2, 2, 2]], [2, 3])
    forbidden = problem_of([[1]], [[1]], [1], allowed=np.array([[False]]))
    for problem in (too_large, too_much, forbidden):
        found = solve(problem, iterations=10)
        assert (found.outcome, found.assignment, found.value) == (Outcome.INFEASIBLE, None, None)
        assert solve_exactly(problem, seconds=1).outcome is Outcome.INFEASIBLE
    # No single job is too large and the sums would do, but halves do not fit: found only by trying.
    packed = problem_of([[1, 1, 1], [1, 1, 1]], [[2, 2, 2], [2, 2, 2]], [3, 3])
    assert solve(packed, iterations=10).outcome is Outcome.NOT_FOUND
    assert solve_exactly(packed, seconds=5).outcome is Outcome.INFEASIBLE


def test_nothing_to_share_out_is_done_at_once():
    empty = AssignmentProblem(np.zeros((2, 0), np.int64), np.zeros((2, 0), np.int64), np.ones(2, np.int64))
    found = solve(empty, iterations=1)
    assert (found.outcome, found.value, found.iterations) == (Outcome.FEASIBLE, 0, 0)


@pytest.mark.parametrize(
    ("cost", "weight", "capacity", "message"),
    [
        ([[1, 2]], [[1]], [3], "same shape"),
        ([[1]], [[1]], [3, 4], "one capacity per agent"),
        ([[1]], [[-1]], [3], "negative weight"),
        ([[1]], [[1]], [-1], "negative capacity"),
        ([[2**41]], [[1]], [3], "up to"),
    ],
)
def test_what_does_not_belong_together_is_refused(cost, weight, capacity, message):
    with pytest.raises(ValueError, match=message):
        problem_of(cost, weight, capacity)


def test_a_search_without_a_limit_is_refused():
    with pytest.raises(ValueError, match="seconds or iterations"):
        solve(problem_of([[1]], [[1]], [1]))


# -- repeatable ----------------------------------------------------------------------------------------------


def random_problem(agents: int, jobs: int, seed: int) -> AssignmentProblem:
    """Of the kind that is hard: what costs little takes much."""
    numbers = np.random.default_rng(seed)
    weight = numbers.integers(1, 100, (agents, jobs))
    cost = 111 - weight + numbers.integers(-10, 11, (agents, jobs))
    capacity = np.full(agents, int(0.8 * weight.mean(axis=0).sum() / agents), dtype=np.int64)
    return problem_of(cost, weight, capacity)


def test_the_same_seed_finds_the_same_however_it_is_sliced_and_on_whichever_thread():
    problem = random_problem(8, 60, seed=5)
    whole = solve(problem, iterations=24, seed=11)
    sliced = AntColony(problem, seed=11)
    for _ in range(8):
        thread = threading.Thread(target=sliced.step, args=(3,))
        thread.start()
        thread.join()
    assert whole.assignment is not None
    found = sliced.solution()
    assert found.assignment is not None
    assert (found.value, found.iterations) == (whole.value, whole.iterations) == (whole.value, 24)
    assert found.assignment.tolist() == whole.assignment.tolist()


def test_more_iterations_never_make_it_worse():
    problem = random_problem(6, 50, seed=3)
    colony = AntColony(problem, seed=2)
    values = []
    for _ in range(6):
        colony.step(5)
        values.append(colony.solution().value)
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=True)
    assert known


def test_maximising_is_minimising_the_negative():
    problem = random_problem(5, 30, seed=9)
    other = AssignmentProblem(-problem.cost, problem.weight, problem.capacity, maximise=True)
    least, most = solve(problem, iterations=10), solve(other, iterations=10)
    assert least.value is not None
    assert most.value == -least.value
    assert most.bound == -(least.bound or 0)


# -- good ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "iterations", "bar"),
    [
        ("a05100", 40, 0.0),
        ("a20200", 10, 0.002),
        ("b10100", 100, 0.01),
        ("c05100", 100, 0.01),
        ("c10200", 20, 0.01),
        ("d05100", 60, 0.01),
        ("d10100", 60, 0.015),
        ("d20100", 60, 0.025),
        ("e05100", 60, 0.01),
        ("e10100", 60, 0.015),
        ("e20100", 60, 0.025),
    ],
)
def test_a_short_search_comes_near_the_best_known_bound(name: str, iterations: int, bar: float):
    if not gap_instances.folder().is_dir():
        pytest.skip(f"there are no public instances in {gap_instances.folder()} (RAPPORT_DATA)")
    problem, known = gap_instances.read(name), gap_instances.bounds()[name]
    found = solve(problem, iterations=iterations)
    assert found.assignment is not None
    assert found.value is not None
    assert found.bound is not None
    assert problem.is_feasible(found.assignment)
    assert found.bound <= known.upper
    assert found.value >= known.lower
    assert relative_gap(found.value, known.lower) <= bar
    assert relative_gap(found.bound, known.lower) <= 0.02  # the Lagrangian bound is a good one


def test_the_api_starts_without_the_compiler():
    code = "import sys, app.main; print([n for n in ('numba', 'llvmlite', 'highspy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
