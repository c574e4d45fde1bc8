"""What follows from a status: probability, category, and the reasons and days that an outcome wants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from app.kernel.errors import Invalid
from app.kernel.money import Money
from app.modules.opportunities.models import ForecastCategory, Opportunity, OpportunityStatus
from app.modules.opportunities.schemas import OTHER
from app.modules.opportunities.services.pipelines import StageInfo

OPEN, WON, LOST = OpportunityStatus.OPEN, OpportunityStatus.WON, OpportunityStatus.LOST
CLOSED = ForecastCategory.CLOSED.value


def money_of(row: Opportunity) -> Money | None:
    """The amount with its currency."""
    return None if row.amount is None or row.currency is None else Money(row.amount, row.currency)


def status_of(stage: StageInfo) -> OpportunityStatus:
    """What standing in a stage says."""
    if not stage.is_closed:
        return OPEN
    return WON if stage.is_won else LOST


def probability_of(status: OpportunityStatus, stage: StageInfo) -> int:
    """In percent."""
    return {OPEN: stage.probability, WON: 100, LOST: 0}[status]


def category_of(status: OpportunityStatus, stage: StageInfo) -> str:
    """Where a forecast counts it."""
    return stage.forecast_category if status is OPEN else CLOSED


def check_outcome(values: Mapping[str, Any]) -> None:
    """A loss has a reason, and "other" has a note."""
    if values["status"] == LOST and not values.get("loss_reason"):
        raise Invalid.at("/loss_reason", "required", "Say why it was lost.")
    reason = values.get("win_reason") if values["status"] == WON else values.get("loss_reason")
    if values["status"] != OPEN and reason == OTHER and not (values.get("outcome_note") or "").strip():
        raise Invalid.at("/outcome_note", "required", "The reason `other` wants a note.")
    if values.get("winning_competitor_id") is not None and values["status"] != LOST:
        raise Invalid.at("/winning_competitor_id", "not_lost", "Only what was lost was won by a competitor.")


def check_days(values: Mapping[str, Any], today: date) -> None:
    """An opportunity is opened, then closed, and neither tomorrow. Raises `Invalid`."""
    opened, closed = values["opened_on"], values.get("closed_on")
    if closed is not None and values["status"] == OPEN:
        raise Invalid.at("/closed_on", "not_closed", "Only what is won or lost has been closed.")
    if closed is None and values["status"] != OPEN:
        raise Invalid.at("/closed_on", "required", "What is won or lost was closed on a day.")
    if opened > today:
        raise Invalid.at("/opened_on", "in_the_future", "It cannot have been opened after today.")
    if closed is not None and closed > today:
        raise Invalid.at("/closed_on", "in_the_future", "It cannot have been closed after today.")
    if closed is not None and closed < opened:
        raise Invalid.at("/closed_on", "before_opening", "It cannot have been closed before it was opened.")
