"""Completeness of customers: what one wants to know of them, and how much each field weighs.

Fields that make no sense for the kind (a consumer has no head count) do not count at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.kernel.completeness import Weights, score
from app.modules.customers.models import AccountKind

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
