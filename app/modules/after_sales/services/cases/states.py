"""The states of a case, and what may be done in each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.kernel.errors import Conflict, Invalid
from app.kernel.states import StateMachine
from app.modules.after_sales.interface import CaseStatus

NEW, OPEN = CaseStatus.NEW, CaseStatus.OPEN
PENDING_CUSTOMER, PENDING_INTERNAL = CaseStatus.PENDING_CUSTOMER, CaseStatus.PENDING_INTERNAL
RESOLVED, CLOSED = CaseStatus.RESOLVED, CaseStatus.CLOSED

CASE_STATES: StateMachine[CaseStatus] = StateMachine(
    "The case",
    NEW,
    {
        (NEW, "start"): OPEN,
        (PENDING_CUSTOMER, "start"): OPEN,
        (PENDING_INTERNAL, "start"): OPEN,
        (NEW, "wait_for_customer"): PENDING_CUSTOMER,
        (OPEN, "wait_for_customer"): PENDING_CUSTOMER,
        (PENDING_INTERNAL, "wait_for_customer"): PENDING_CUSTOMER,
        (NEW, "wait_internally"): PENDING_INTERNAL,
        (OPEN, "wait_internally"): PENDING_INTERNAL,
        (PENDING_CUSTOMER, "wait_internally"): PENDING_INTERNAL,
        (NEW, "resolve"): RESOLVED,
        (OPEN, "resolve"): RESOLVED,
        (PENDING_CUSTOMER, "resolve"): RESOLVED,
        (PENDING_INTERNAL, "resolve"): RESOLVED,
        (RESOLVED, "close"): CLOSED,
        (RESOLVED, "reopen"): OPEN,
        (CLOSED, "reopen"): OPEN,
    },
)
"""`start` is somebody working on it, or again after waiting."""

ENDED = frozenset({RESOLVED, CLOSED})
UNRESOLVED_SQL = "status NOT IN ('resolved', 'closed')"
URGENCY_SQL = "array_position(ARRAY['urgent', 'high', 'normal', 'low'], {}.priority)"

SHOWN_TO_CUSTOMERS: dict[CaseStatus, str] = {
    NEW: "received",
    OPEN: "in_progress",
    PENDING_CUSTOMER: "waiting_for_you",
    PENDING_INTERNAL: "in_progress",
    RESOLVED: "solved",
    CLOSED: "closed",
}
"""What the customer reads; our own waiting is none of their business."""


def status_of(values: Mapping[str, Any]) -> CaseStatus:
    """Where a new case stands, by when what happened to it; without any of that it is new."""
    if values.get("closed_at") is not None:
        return CLOSED
    if values.get("resolved_at") is not None:
        return RESOLVED
    return NEW if values.get("first_response_at") is None else OPEN


def check_times(values: Mapping[str, Any], now: datetime) -> None:
    """Raises: Invalid at the time that is in the future, or before what it follows."""
    if values.get("closed_at") is not None and values.get("resolved_at") is None:
        raise Invalid.at("/closed_at", "not_resolved", "Only what was resolved is closed.")
    after = {"first_response_at": "opened_at", "resolved_at": "opened_at", "closed_at": "resolved_at"}
    for name in ("opened_at", *after):
        at = values.get(name)
        if at is None:
            continue
        if at > now:
            raise Invalid.at(f"/{name}", "in_future", f"{name} is not after now.")
        if name in after and at < values[after[name]]:
            raise Invalid.at(f"/{name}", "not_in_order", f"{name} is not before {after[name]}.")


class CaseEnded(Conflict):
    """Carries `state`."""

    code = "case_ended"
    title = "A resolved or closed case changes no more; open it again"


class CaseAlreadyOpen(Conflict):
    """Carries `case_id` and `number` of the unresolved case about the same thing."""

    code = "case_already_open"
    title = "Another case about the same thing is open"


class CaseCircular(Conflict):
    code = "case_circular"
    title = "A case would become a part of itself"
