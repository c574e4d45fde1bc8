"""Seeded chance: every section of the demo draws from a stream of its own.

Separate streams keep a change in one section from reshuffling all the others. A text seed goes through
SHA-512 inside `random.Random`, so the result depends on neither PYTHONHASHSEED nor the machine.
"""

import math
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")


def stream(seed: int, section: str) -> random.Random:
    """The random stream of one section for this seed."""
    return random.Random(f"rapport-demo:{seed}:{section}")  # noqa: S311 -- invented data, no secret


def weighted(rng: random.Random, weights: Mapping[T, float]) -> T:
    """One key, drawn in proportion to its weight."""
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def around(rng: random.Random, median: float, spread: float) -> float:
    """A lognormal draw with this median; `spread` is the standard deviation of its logarithm."""
    return rng.lognormvariate(math.log(median), spread)


def later(rng: random.Random, start: datetime, *, median_hours: float, spread: float = 0.8) -> datetime:
    """A moment after `start`, to the whole second and at least a minute later."""
    seconds = max(60, round(around(rng, median_hours * 3600, spread)))
    return start + timedelta(seconds=seconds)
