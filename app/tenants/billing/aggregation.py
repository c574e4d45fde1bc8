"""From the events of a period to the quantity that is billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from app.tenants.billing.periods import Period


class Aggregation(StrEnum):
    """`weighted_sum`: each value counts for the share of the period from its time to the period's end."""

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    UNIQUE = "unique"
    LATEST = "latest"
    WEIGHTED_SUM = "weighted_sum"


@dataclass(frozen=True, slots=True)
class Usage:
    """One event: when, how much, and of whom or what (`subject`), for `unique`."""

    at: datetime
    value: Decimal = Decimal(1)
    subject: str | None = None


def aggregate(how: Aggregation, events: Sequence[Usage], period: Period) -> Fraction:
    """The exact quantity of events that lie in the period; nothing where there are none."""
    inside = [event for event in events if event.at in period]
    match how:
        case Aggregation.COUNT:
            return Fraction(len(inside))
        case Aggregation.SUM:
            return sum((Fraction(event.value) for event in inside), Fraction(0))
        case Aggregation.MAX:
            return max((Fraction(event.value) for event in inside), default=Fraction(0))
        case Aggregation.UNIQUE:
            return Fraction(len({event.subject for event in inside}))
        case Aggregation.LATEST:
            return Fraction(max(inside, key=lambda event: event.at).value) if inside else Fraction(0)
        case Aggregation.WEIGHTED_SUM:
            return sum((Fraction(event.value) * period.share(event.at) for event in inside), Fraction(0))
