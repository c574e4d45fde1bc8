"""Recycling rules as SQL: which records have waited how long, at which of their levels.

A clock starts when the present owner got the record (before that was kept: when it was made), and for follow-ups at
the later of that and the last one. A record is due when its clock started at least the rule's days ago, by the
company's wall clock. What lies in other modules, opportunities and what was won, is asked of ports afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.kernel.listing import Bindings
from app.modules.customers.services.pools.days import days_after, days_before
from app.modules.customers.services.pools.schemas import RecycleKind

RECEIVED = "coalesce(t.received_at, t.created_at)"
_CLOCKS = {
    RecycleKind.NO_FOLLOW_UP: f"greatest(t.last_follow_up_at, {RECEIVED})",
    RecycleKind.NO_OPPORTUNITY: RECEIVED,
    RecycleKind.NOT_WON: RECEIVED,
}
_ENDED_BY = {RecycleKind.NO_OPPORTUNITY: "open_opportunity", RecycleKind.NOT_WON: "won"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a pool."""

    kind: RecycleKind
    days: int | None
    level_field: str | None
    levels: Mapping[str, int | None]

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Rule:
        """From a pool's `recycle_rules`."""
        return cls(RecycleKind(stored["kind"]), stored["days"], stored["level_field"], stored["levels"])

    @property
    def clock(self) -> str:
        """SQL of the moment from which the days count."""
        return _CLOCKS[self.kind]

    @property
    def ended_by(self) -> str | None:
        """The fact that keeps a record from being due, if there is one."""
        return _ENDED_BY.get(self.kind)

    def days_of(self, level: str | None) -> int | None:
        """The days for a record of this level; None means never."""
        return self.levels.get(level, self.days) if level is not None else self.days

    @property
    def least_days(self) -> int | None:
        """The fewest days of any level; None if there are none."""
        known = [days for days in (self.days, *self.levels.values()) if days is not None]
        return min(known, default=None)

    def label(self, days: int) -> str:
        """As the log says it."""
        return f"{self.kind.value}:{days}"

    def due(self, now: datetime, zone: ZoneInfo, bind: Bindings, *, early: int = 0) -> str:
        """SQL that is true for records that are due, or will be within `early` days."""

        def latest(days: int | None) -> str:
            if days is None:
                return "NULL"
            return f"{bind(days_before(now, max(days - early, 0), zone))}::timestamptz"

        if self.level_field is None:
            return f"({self.clock} <= {latest(self.days)})"
        cases = " ".join(
            f"WHEN t.{self.level_field} = {bind(level)}::text THEN {latest(days)}"
            for level, days in self.levels.items()
        )
        return f"({self.clock} <= CASE {cases} ELSE {latest(self.days)} END)"


@dataclass(frozen=True, slots=True)
class Fired:
    """The first rule that a record falls under, and since when it would be due."""

    label: str
    due_at: datetime


def latest_receipt(
    rules: Sequence[Rule], now: datetime, zone: ZoneInfo, *, early: int = 0
) -> datetime | None:
    """What was received later is due by none of the rules, since no clock starts before the receipt."""
    known = [rule.least_days for rule in rules if rule.least_days is not None]
    return days_before(now, max(min(known) - early, 0), zone) if known else None


def first_fired(
    rules: Sequence[Rule], row: Any, facts: Mapping[str, Collection[UUID]], zone: ZoneInfo
) -> Fired | None:
    """The first rule that fires for a row with `due_<n>`, `clock_<n>` and `level_<n>`; None if a fact ends each."""
    for place, rule in enumerate(rules):
        if not row[f"due_{place}"] or (rule.ended_by and row["id"] in facts[rule.ended_by]):
            continue
        days = rule.days_of(row[f"level_{place}"])
        if days is not None:
            return Fired(rule.label(days), days_after(row[f"clock_{place}"], days, zone))
    return None
