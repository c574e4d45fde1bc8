"""When a step is decided: pure arithmetic over the votes of its approvers."""

from __future__ import annotations

from enum import StrEnum

from app.modules.automation.models import StepRule


class Outcome(StrEnum):
    """How a step stands."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"


def outcome(rule: StepRule, *, approved: int, refused: int, asked: int) -> Outcome:
    """How a step stands after so many answers of the `asked` members, who are at least one."""
    if rule is StepRule.MAJORITY:
        if 2 * approved > asked:
            return Outcome.APPROVED
        return Outcome.REFUSED if 2 * (asked - refused) <= asked else Outcome.OPEN
    if refused:
        return Outcome.REFUSED
    needed = 1 if rule is StepRule.ANY else asked
    return Outcome.APPROVED if approved >= needed else Outcome.OPEN
