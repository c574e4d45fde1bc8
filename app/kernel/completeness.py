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
    single, others, total = _parted(weights)
    filled, value = 0, values.get
    for name, weight in single:  # plain loops: imports do this for each row
        if value(name):
            filled += weight
    for names, weight in others:
        for name in names:
            if value(name):
                filled += weight
                break
    return (200 * filled + total) // (2 * total)


@cache
def _parted(weights: Weights) -> tuple[tuple[tuple[str, int], ...], Weights, int]:
    """The weights of fields that count alone, those of which one is enough, and the sum of all."""
    single = tuple([(names[0], weight) for names, weight in weights if len(names) == 1])
    others = tuple([(names, weight) for names, weight in weights if len(names) != 1])
    return single, others, sum(weight for _, weight in weights)
