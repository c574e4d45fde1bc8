"""Completeness: how much of what one wants to know of a record is filled in, 0 to 100.

Each field that matters has a weight; the score is the weight of the filled ones in percent of all, rounded
half up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Weights = Sequence[tuple[tuple[str, ...], int]]
"""(fields of which one is enough, weight)."""


def score(values: Mapping[str, Any], weights: Weights) -> int:
    """The weight of what is filled in percent of all."""
    filled = sum(weight for names, weight in weights if any(values.get(name) for name in names))
    total = sum(weight for _, weight in weights)
    return (200 * filled + total) // (2 * total)
