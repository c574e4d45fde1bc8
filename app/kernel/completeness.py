"""Completeness: how much of what one wants to know of a record is filled in, 0 to 100.

Each field that matters has a weight; the score is the weight of the filled ones in percent of all, rounded
half up.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

Weights = tuple[tuple[tuple[str, ...], int], ...]
"""(fields of which one is enough, weight)."""


def score(values: Mapping[str, Any], weights: Weights) -> int:
    """The weight of what is filled in percent of all."""
    filled, total = 0, _total(weights)
    for names, weight in weights:  # plain loops: imports do this for each row
        for name in names:
            if values.get(name):
                filled += weight
                break
    return (200 * filled + total) // (2 * total)


@cache
def _total(weights: Weights) -> int:
    return sum(weight for _, weight in weights)
