"""Completeness of leads: what one wants to know of somebody, and how much each field weighs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.kernel.completeness import Weights, score

LEAD_WEIGHTS: Final[Weights] = (
    (("name",), 10),
    (("email",), 25),
    (("phone",), 25),
    (("company",), 15),
    (("title",), 5),
    (("industry",), 5),
    (("country",), 5),
    (("city",), 5),
    (("source",), 5),
)


def lead_completeness(values: Mapping[str, Any]) -> int:
    """The score of a lead's columns."""
    return score(values, LEAD_WEIGHTS)
