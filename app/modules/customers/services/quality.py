"""Completeness: how much of what one wants to know of a customer is filled in, 0 to 100.

Each field that matters has a weight; the score is the weight of the filled ones in percent of all, rounded
half up. Fields that make no sense for the kind (a consumer has no head count) do not count at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.modules.customers.models import AccountKind

Weights = Sequence[tuple[tuple[str, ...], int]]
"""(fields of which one is enough, weight)."""

COMPANY: Final[Weights] = (
    (("name",), 10),
    (("email", "emails"), 15),
    (("phone", "phones"), 15),
    (("industry",), 10),
    (("website",), 10),
    (("registration_number",), 10),
    (("country",), 5),
    (("city",), 5),
    (("address",), 10),
    (("size",), 5),
    (("source",), 5),
)
PERSON: Final[Weights] = (
    (("name",), 15),
    (("email", "emails"), 25),
    (("phone", "phones"), 25),
    (("country",), 5),
    (("city",), 10),
    (("address",), 10),
    (("source",), 5),
    (("preferred_channel",), 5),
)
CONTACT: Final[Weights] = (
    (("name",), 10),
    (("email", "emails"), 25),
    (("mobile", "phone"), 25),
    (("account_id",), 15),
    (("title",), 10),
    (("role",), 10),
    (("language",), 5),
)


def account_completeness(values: Mapping[str, Any]) -> int:
    """The score of an account's columns."""
    return score(values, PERSON if values.get("kind") == AccountKind.PERSON else COMPANY)


def contact_completeness(values: Mapping[str, Any]) -> int:
    """The score of a contact's columns."""
    return score(values, CONTACT)


def score(values: Mapping[str, Any], weights: Weights) -> int:
    """The weight of what is filled in percent of all."""
    filled = sum(weight for names, weight in weights if any(values.get(name) for name in names))
    total = sum(weight for _, weight in weights)
    return (200 * filled + total) // (2 * total)
