"""The arithmetic of a promise: when it is due, by interval arithmetic over a business calendar.

A clock counts working seconds from its start, but not while it is held (it is the customer's turn, or the case counts
as solved). It is due at the first moment by which it has counted its goal. Nothing here knows the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from app.kernel.working_time import WorkingCalendar

Hold = tuple[datetime, datetime]
"""From and to; the end counts again."""


class Promise(NamedTuple):
    """`goal` working seconds from `started_at`; `holds` in order, none overlapping another."""

    started_at: datetime
    goal: int
    holds: Sequence[Hold] = ()


class Due(NamedTuple):
    """When a promise is due, and when so much of it is used up that somebody should be warned."""

    due_at: datetime
    warn_at: datetime


def due(calendar: WorkingCalendar, promise: Promise, warn_percent: int = 80) -> Due:
    """Exact to the second; held working time is added. Raises: NeverOpen."""
    warned = -(-promise.goal * warn_percent // 100)
    warn_at, due_at = calendar.reach(promise.started_at, (warned, promise.goal), promise.holds)
    return Due(due_at, warn_at)


def used(calendar: WorkingCalendar, promise: Promise, at: datetime) -> int:
    """The working seconds that a promise has counted until a moment."""
    if at <= promise.started_at:
        return 0
    held = sum(
        calendar.between(max(start, promise.started_at), min(end, at))
        for start, end in promise.holds
        if start < at and end > promise.started_at
    )
    return calendar.between(promise.started_at, at) - held


def earliest(deadlines: Iterable[tuple[datetime, str]]) -> tuple[datetime | None, str | None]:
    """The deadline that shows when several run, with its target."""
    return min(deadlines, default=(None, None))
