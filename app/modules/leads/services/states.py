"""The states of a lead and the steps between them."""

from __future__ import annotations

from app.kernel.errors import InvalidTransition
from app.kernel.states import StateMachine
from app.modules.leads.models import LeadStatus

NEW, WORKING, NURTURING = LeadStatus.NEW, LeadStatus.WORKING, LeadStatus.NURTURING
QUALIFIED, CONVERTED, DISQUALIFIED = LeadStatus.QUALIFIED, LeadStatus.CONVERTED, LeadStatus.DISQUALIFIED

MACHINE: StateMachine[LeadStatus] = StateMachine(
    name="The lead",
    initial=NEW,
    transitions={
        (NEW, "start_working"): WORKING,
        (NURTURING, "start_working"): WORKING,
        (QUALIFIED, "start_working"): WORKING,
        (NEW, "nurture"): NURTURING,
        (WORKING, "nurture"): NURTURING,
        (QUALIFIED, "nurture"): NURTURING,
        (NEW, "qualify"): QUALIFIED,
        (WORKING, "qualify"): QUALIFIED,
        (NURTURING, "qualify"): QUALIFIED,
        (NEW, "disqualify"): DISQUALIFIED,
        (WORKING, "disqualify"): DISQUALIFIED,
        (NURTURING, "disqualify"): DISQUALIFIED,
        (QUALIFIED, "disqualify"): DISQUALIFIED,
        (DISQUALIFIED, "reopen"): WORKING,
        (NEW, "convert"): CONVERTED,
        (WORKING, "convert"): CONVERTED,
        (NURTURING, "convert"): CONVERTED,
        (QUALIFIED, "convert"): CONVERTED,
    },
)


def require_step(current: str, wanted: str) -> None:
    """That some step leads from one status to the other.

    Raises: InvalidTransition. Conversion is no edit: it has an operation of its own.
    """
    state = LeadStatus(current)
    for (start, action), end in MACHINE.transitions.items():
        if start == state and end == wanted and action != "convert":
            return
    hint = " Convert it by POST …/convert." if wanted == CONVERTED else ""
    raise InvalidTransition(
        f"A lead that is {current} cannot become {wanted}.{hint}",
        state=str(current),
        allowed=list(MACHINE.allowed(state)),
    )
