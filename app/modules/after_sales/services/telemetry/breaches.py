"""When readings call for a case: the arithmetic of thresholds, without a database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """A rule's numbers; `above` or below the threshold is bad, and it is over at `clear_at`."""

    above: bool
    threshold: float
    clear_at: float
    for_seconds: int
    for_readings: int

    def beyond(self, value: float) -> bool:
        """Strictly on the bad side of the threshold."""
        return value > self.threshold if self.above else value < self.threshold

    def clear(self, value: float) -> bool:
        """Back at `clear_at`, or better."""
        return value <= self.clear_at if self.above else value >= self.clear_at


@dataclass(frozen=True, slots=True)
class Watch:
    """Where a rule stands with one meter: a run of readings beyond the threshold, and whether it has called."""

    since: datetime | None = None
    readings: int = 0
    raised: bool = False


CALM = Watch()


def step(limits: Limits, watch: Watch, at: datetime, value: float) -> tuple[Watch, bool]:
    """After one more reading; whether the rule calls for a case with it.

    A run is of readings in a row beyond the threshold. Once it has called, the rule says nothing more until a reading
    has come back to `clear_at`: what swings about the threshold calls once.
    """
    if watch.raised:
        return (CALM, False) if limits.clear(value) else (watch, False)
    if not limits.beyond(value):
        return CALM, False
    since = watch.since or at
    run = Watch(since, watch.readings + 1)
    lasted = (at - since).total_seconds() >= limits.for_seconds
    if lasted and run.readings >= limits.for_readings:
        return replace(run, raised=True), True
    return run, False
