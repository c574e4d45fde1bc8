"""The clock everything takes its time from, so that tests can hold and move it.

Nothing else in the product reads the system's time: a deadline, an expiry or a lock window
is then testable to the second.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Whatever can tell the time."""

    def now(self) -> datetime:
        """The present moment, aware and in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present moment, aware and in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is told to move; for tests and for replays."""

    def __init__(self, moment: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """Start at `moment`.

        Raises: ValueError if `moment` has no time zone.
        """
        self._now = _utc(moment)

    def now(self) -> datetime:
        """The moment last set, aware and in UTC."""
        return self._now

    def set(self, moment: datetime) -> None:
        """Move to `moment`, forwards or backwards.

        Raises: ValueError if `moment` has no time zone.
        """
        self._now = _utc(moment)

    def advance(
        self,
        by: timedelta | None = None,
        *,
        seconds: float = 0,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
    ) -> datetime:
        """Move forward by `by` and by the named units together, and tell the new time."""
        step = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days)
        self._now += step if by is None else step + by
        return self._now


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a clock needs an aware datetime")
    return moment.astimezone(UTC)
