"""How one clock stands, and what happens to it: pure state, changed in memory and written by `CaseClocks`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from app.kernel.parts import utc_text
from app.kernel.working_time import (
    DAY,
    CalendarDefinition,
    NeverOpen,
    WorkingCalendar,
    calendar_of,
)
from app.modules.after_sales.services.sla.engine import Due, Hold, Promise, due

ALWAYS_OPEN: Final = calendar_of(CalendarDefinition(time_zone="UTC", week=(((0, DAY),),) * 7))
"""For calendars that never open, and for promises beyond all working time: then every hour counts."""


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """What happens so many working minutes after a missed deadline; `target` None means of any."""

    after_minutes: int
    target: str | None
    action: str
    to: str
    member_id: UUID | None
    queue_id: UUID | None


class Pledge(NamedTuple):
    """What a policy promises for one target: `goal` working seconds of a calendar."""

    policy_id: UUID
    calendar_id: UUID | None
    calendar: WorkingCalendar
    goal: int
    warn_percent: int
    chain: tuple[EscalationStep, ...] = ()


@dataclass(slots=True)
class Standing:
    """A clock. The fields are the columns of `CaseClock`."""

    id: UUID
    case_id: UUID
    target: str
    policy_id: UUID
    calendar_id: UUID | None
    goal_seconds: int
    started_at: datetime
    holds: list[Hold] = field(default_factory=list)
    paused_at: datetime | None = None
    due_at: datetime | None = None
    warn_at: datetime | None = None
    warned_at: datetime | None = None
    breached_at: datetime | None = None
    escalate_at: datetime | None = None
    escalated: int = 0
    ended_at: datetime | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Standing:
        """From a stored row."""
        values = {name: row[name] for name in COLUMNS}
        values["holds"] = [
            (datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in row["holds"]
        ]
        return cls(**values)

    @classmethod
    def begin(cls, id: UUID, case_id: UUID, target: str, pledge: Pledge, at: datetime) -> Standing:
        """A clock that runs from `at`."""
        made = cls(id, case_id, target, pledge.policy_id, pledge.calendar_id, pledge.goal, at)
        made.measure(pledge.calendar, pledge.warn_percent)
        return made

    def stored(self) -> dict[str, Any]:
        """As the columns hold it."""
        values: dict[str, Any] = dict(zip(COLUMNS, _ALL_OF(self), strict=True))
        values["holds"] = [[start.isoformat(), end.isoformat()] for start, end in self.holds]
        return values

    def told(self) -> dict[str, Any]:
        """As a case answers it."""
        return {
            "target": self.target,
            "policy_id": self.policy_id,
            "goal_seconds": self.goal_seconds,
            "state": self._state,
            **{name: utc_text(getattr(self, name)) for name in MOMENTS},
        }

    @property
    def _state(self) -> str:
        if self.breached_at is not None:
            return "failed"
        if self.ended_at is not None:
            return "met"
        return "running" if self.paused_at is None else "paused"

    @property
    def runs(self) -> bool:
        return self.ended_at is None and self.paused_at is None

    def measure(self, calendar: WorkingCalendar, warn_percent: int) -> None:
        """Work out anew when it is due; a missed deadline stays, and a clock that is held has none."""
        if self.breached_at is not None:
            return
        if self.paused_at is not None:
            self.due_at = self.warn_at = None
            return
        found = deadline(calendar, Promise(self.started_at, self.goal_seconds, self.holds), warn_percent)
        self.due_at, self.warn_at = found.due_at, found.warn_at

    def fail_if_late(self, calendar: WorkingCalendar, chain: Sequence[EscalationStep], now: datetime) -> bool:
        """Whether its deadline has passed and nobody has said so yet; it fails for good."""
        if not self.runs or self.breached_at is not None or self.due_at is None or now <= self.due_at:
            return False
        self.breached_at = self.due_at
        self.escalate_at = next_step_at(chain, 0, self.target, calendar, self.due_at)
        return True

    def pause(self, now: datetime) -> None:
        """It is held from here on; the deadline is unknown until it goes on."""
        if self.runs:
            self.paused_at = now
            if self.breached_at is None:
                self.due_at = self.warn_at = None

    def resume(self, calendar: WorkingCalendar, warn_percent: int, now: datetime) -> None:
        """It goes on; the working time that it was held is added."""
        if self.paused_at is None or self.ended_at is not None:
            return
        self._held(self.paused_at, now)
        if self.escalate_at is not None:
            self.escalate_at = _later(calendar, self.escalate_at, self.paused_at, now)
        self.paused_at = None
        self.measure(calendar, warn_percent)

    def end(self, calendar: WorkingCalendar, warn_percent: int, now: datetime) -> None:
        """It is met, in time or not."""
        if self.ended_at is None:
            self.resume(calendar, warn_percent, now)
            self.ended_at, self.escalate_at = now, None

    def reopen(self, calendar: WorkingCalendar, warn_percent: int, now: datetime) -> None:
        """It was not met after all: the time meanwhile does not count."""
        if self.ended_at is not None:
            self._held(self.ended_at, now)
            self.ended_at = None
            self.measure(calendar, warn_percent)

    def repledge(self, pledge: Pledge) -> bool:
        """Go by another promise; whether anything changed. What ended or failed stays as it is."""
        if self.ended_at is not None or self.breached_at is not None:
            return False
        before = (self.policy_id, self.calendar_id, self.goal_seconds, self.due_at, self.warn_at)
        self.policy_id, self.calendar_id = pledge.policy_id, pledge.calendar_id
        self.goal_seconds = pledge.goal
        self.measure(pledge.calendar, pledge.warn_percent)
        return before != (self.policy_id, self.calendar_id, self.goal_seconds, self.due_at, self.warn_at)

    def _held(self, start: datetime, end: datetime) -> None:
        if end > start:
            self.holds = [*self.holds, (start, end)]


COLUMNS: Final = tuple(Standing.__dataclass_fields__)
_ALL_OF: Final = attrgetter(*COLUMNS)  # quicker than one after the other
MOMENTS: Final = ("started_at", "due_at", "warned_at", "breached_at", "ended_at")
"""What a case tells of its clocks."""


def newest_first(clocks: Iterable[Standing]) -> list[Standing]:
    """In the order in which a case tells of them."""
    by_target = sorted(sorted(clocks, key=lambda one: one.id, reverse=True), key=lambda one: one.target)
    return sorted(by_target, key=lambda one: one.started_at, reverse=True)


def deadline(calendar: WorkingCalendar, promise: Promise, warn_percent: int) -> Due:
    """As `engine.due`; what no working time reaches counts every hour."""
    try:
        return due(calendar, promise, warn_percent)
    except NeverOpen:
        return due(ALWAYS_OPEN, promise, warn_percent)


def next_step_at(
    chain: Sequence[EscalationStep],
    taken: int,
    target: str,
    calendar: WorkingCalendar,
    missed: datetime,
) -> datetime | None:
    """When the next step of a chain is taken, of those that are about this target; None after the last."""
    steps = steps_of(chain, target)
    if taken >= len(steps):
        return None
    seconds = steps[taken].after_minutes * 60
    try:
        return calendar.add(missed, seconds)
    except NeverOpen:
        return missed + timedelta(seconds=seconds)


def steps_of(chain: Sequence[EscalationStep], target: str) -> list[EscalationStep]:
    """The steps about a target, by when they come."""
    mine = [step for step in chain if step.target in (None, target)]
    return sorted(mine, key=lambda step: step.after_minutes)


def _later(calendar: WorkingCalendar, at: datetime, start: datetime, end: datetime) -> datetime:
    """A moment of the chain, put off by the working time held; one that had come before that stays."""
    if at <= start:
        return at
    try:
        return calendar.add(at, calendar.between(start, end))
    except NeverOpen:
        return at + (end - start)
