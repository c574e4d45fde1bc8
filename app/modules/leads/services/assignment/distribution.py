"""Whose turn it is: the ways in which leads are shared out among several members. Pure; nothing here asks anybody.

Turns by weight are kept as credit: with each lead every member who could take it is owed their share, and whoever
takes it pays for it. The next lead goes, among those who are owed anything, to the one whose credit would reach a
whole lead first. While the same members take part, each of them is thus always less than one lead away from
their exact share, after any number of leads (a unit job has to run between the moments at which its owner's share
passes n and n + 1, and earliest deadline first finds a schedule wherever there is one: Liu and Layland 1973;
among apportionments it is the quota method of Balinski and Young 1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final
from uuid import UUID

from app.modules.leads.models import Strategy

LEAD: Final = (
    720_720_000_000  # a whole lead of credit; up to sixteen equal members share it without remainder
)
DEFAULT_CAPACITY: Final = 30
DEFAULT_WEIGHT: Final = 1


@dataclass(slots=True)
class Workload:
    """What a member takes and has; `open_leads` and `assigned_today` grow as leads are given out."""

    id: UUID
    capacity: int = DEFAULT_CAPACITY
    weight: int = DEFAULT_WEIGHT
    open_leads: int = 0
    assigned_today: int = 0

    @property
    def quota_left(self) -> int:
        """How many leads this member may still get within twenty-four hours."""
        return max(day_quota(self.capacity) - self.assigned_today, 0)

    def take(self) -> None:
        """One lead more."""
        self.open_leads += 1
        self.assigned_today += 1


@dataclass(slots=True)
class Turns:
    """The state of one rule's rotation: each member's credit, and the number of the turn they last had."""

    credit: dict[UUID, int] = field(default_factory=dict)
    last: dict[UUID, int] = field(default_factory=dict)
    changed: set[UUID] = field(default_factory=set)

    def note(self, id: UUID) -> None:
        """This member has had a turn."""
        self.last[id] = max(self.last.values(), default=0) + 1
        self.changed.add(id)

    def by_weight(self, weights: dict[UUID, int]) -> UUID:
        """Whose turn it is among members of these positive weights; their credits move."""
        total = sum(weights.values())
        owed = 0
        for id, weight in weights.items():
            share = LEAD * weight // total
            owed += share
            self.credit[id] = self.credit.get(id, 0) + share
            self.changed.add(id)
        nothing = LEAD // (2 * total)  # less than the least share: what remains of division
        released = [id for id in weights if self.credit[id] > nothing] or list(weights)
        chosen = min(
            released,
            key=lambda id: (Fraction(LEAD - self.credit[id], weights[id]), self.last.get(id, 0), id),
        )
        self.credit[chosen] -= owed
        return chosen


def day_quota(capacity: int) -> int:
    """Leads in twenty-four hours for so many in thirty days: a thirtieth, rounded half up."""
    return (capacity + 15) // 30


def can_take(strategy: Strategy, member: Workload) -> str | None:
    """Why a strategy gives this member nothing, or None."""
    if strategy is Strategy.CAPACITY and member.quota_left == 0:
        return "quota_used"
    if strategy is Strategy.WEIGHTED and member.weight == 0:
        return "no_weight"
    return None


def choose(strategy: Strategy, members: Sequence[Workload], turns: Turns) -> Workload:
    """The one of these members, all of whom can take it, who gets the next lead."""
    by_id = {member.id: member for member in members}
    if strategy is Strategy.LOAD:
        chosen = min(members, key=lambda m: (m.open_leads, turns.last.get(m.id, 0), m.id))
    else:
        weights = {
            Strategy.WEIGHTED: {member.id: member.weight for member in members},
            Strategy.CAPACITY: {member.id: member.capacity for member in members},
        }.get(strategy, dict.fromkeys(by_id, 1))
        chosen = by_id[turns.by_weight(weights)]
    turns.note(chosen.id)
    chosen.take()
    return chosen
