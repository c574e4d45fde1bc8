"""Published instances of the generalised assignment problem, read from the folder of public data.

The folder is `gap` in `RAPPORT_DATA` (default `../shared/data` beside the checkout). A file holds the numbers of
agents and jobs, the cost matrix by agent, the matrix of resources by agent, and the capacities; `bounds.csv` the
best known bounds.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.modules.leads.services.optimisation.solver.problem import AssignmentProblem

ROOT = Path(__file__).resolve().parents[1]


def folder() -> Path:
    """Where the instances are, if they are."""
    return Path(os.environ.get("RAPPORT_DATA") or ROOT.parent / "shared" / "data") / "gap"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Best known bounds of minimising an instance; equal ones are the proved optimum."""

    lower: int
    upper: int


def names() -> list[str]:
    """All instances, by class and size."""
    return sorted(path.stem for path in folder().glob("*.txt"))


def read(name: str) -> AssignmentProblem:
    """One instance. Raises ValueError when the file does not hold as many numbers as it announces."""
    numbers = np.array((folder() / f"{name}.txt").read_text().split(), dtype=np.int64)
    agents, jobs = int(numbers[0]), int(numbers[1])
    pairs = agents * jobs
    if len(numbers) != 2 + 2 * pairs + agents:
        raise ValueError(f"{name}: {len(numbers)} numbers do not make {agents} agents and {jobs} jobs")
    body = numbers[2:]
    shape = (agents, jobs)
    return AssignmentProblem(
        cost=body[:pairs].reshape(shape).copy(),
        weight=body[pairs : 2 * pairs].reshape(shape).copy(),
        capacity=body[2 * pairs :].copy(),
    )


def bounds() -> dict[str, Bounds]:
    """The bounds of minimising, by instance."""
    with (folder() / "bounds.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["sense"] == "Min"]
    return {row["instance"]: Bounds(int(row["lower_bound"]), int(row["upper_bound"])) for row in rows}
