"""What giving a lead to a member is worth: win rate × amount − penalties, and every number behind it.

Formulas, with won/closed counts since the chosen day, of the members of the plan, a segment being the leads that
agree in the chosen dimensions (industry, source, size):

    team overall      p₀    = (W + 1) / (N + 2)                 Laplace's rule; 1/2 without any history
    team in segment   p_s   = (W_s + k·p₀) / (N_s + k)
    member in segment p_ms  = (w_ms + k·p_s) / (n_ms + k)

The last two are m-estimates (Cestnik, "Estimating probabilities", ECAI 1990), the posterior mean of a
beta-binomial model whose prior counts as `k` opportunities at the team's rate: three wins of three do not make
a certain seller, and a member without history in a segment is taken to be as good as the team there.

    expected value = p_ms × amount
    value          = expected value − switching penalty − skill penalty

Both penalties are shares of p_s × amount, what the lead is worth to the team: the first when the lead has another
owner, the second when the member declared skills and the lead asks for one that is not among them. A lead left
where it is counts 0. All amounts are whole minor units, rounded half to even.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

UNKNOWN = ""


def segment_key(values: Sequence[str | None]) -> str:
    """The segment of these values, in the order of the dimensions; upper and lower case are one."""
    return json.dumps([(value or UNKNOWN).strip().casefold() for value in values], ensure_ascii=False)


@dataclass
class Tally:
    """Won ones of closed ones."""

    won: int = 0
    closed: int = 0

    def add(self, won: int, closed: int) -> None:
        self.won += won
        self.closed += closed


@dataclass
class History:
    """Counts of the team, by segment, and by segment and member."""

    overall: Tally = field(default_factory=Tally)
    segments: dict[str, Tally] = field(default_factory=dict)
    members: dict[str, dict[str, Tally]] = field(default_factory=dict)

    def add(self, segment: str, member_id: UUID, won: int, closed: int) -> None:
        """Count opportunities of one member in one segment."""
        self.overall.add(won, closed)
        self.segments.setdefault(segment, Tally()).add(won, closed)
        self.members.setdefault(segment, {}).setdefault(str(member_id), Tally()).add(won, closed)

    def stored(self, segments: set[str]) -> dict[str, Any]:
        """The part that the given segments need, as JSON."""
        return {
            "overall": [self.overall.won, self.overall.closed],
            "segments": {key: [t.won, t.closed] for key, t in self.segments.items() if key in segments},
            "members": {
                key: {id: [t.won, t.closed] for id, t in found.items()}
                for key, found in self.members.items()
                if key in segments
            },
        }

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> History:
        """What `stored` made."""
        return cls(
            Tally(*stored["overall"]),
            {key: Tally(*counts) for key, counts in stored["segments"].items()},
            {
                key: {id: Tally(*counts) for id, counts in found.items()}
                for key, found in stored["members"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class Rate:
    """A member's win rate in a segment, and what it was estimated from."""

    win_rate: float
    won: int
    closed: int
    team_rate: float
    team_won: int
    team_closed: int


class Rates:
    """Win rates by segment and member; each is computed once."""

    def __init__(self, history: History, strength: float) -> None:
        self._history = history
        self._strength = strength
        self._known: dict[tuple[str, str], Rate] = {}

    def of(self, segment: str, member_id: UUID) -> Rate:
        key = (segment, str(member_id))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._estimate(*key)
        return found

    def _estimate(self, segment: str, member_id: str) -> Rate:
        overall = self._history.overall
        team = self._history.segments.get(segment, Tally())
        own = self._history.members.get(segment, {}).get(member_id, Tally())
        team_rate = shrunk(team, (overall.won + 1) / (overall.closed + 2), self._strength)
        win_rate = shrunk(own, team_rate, self._strength)
        return Rate(win_rate, own.won, own.closed, team_rate, team.won, team.closed)


def shrunk(tally: Tally, prior: float, strength: float) -> float:
    """The m-estimate: the prior counts as `strength` observations. Without either, the prior."""
    weight = tally.closed + strength
    return prior if weight == 0 else (tally.won + strength * prior) / weight


@dataclass(frozen=True, slots=True)
class Penalties:
    """Shares of what a lead is worth to the team."""

    switching: float
    skill: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may get leads. `skills` is None where nothing was declared: then none is missing."""

    id: UUID
    capacity: int
    skills: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class LeadFacts:
    """What the value of a lead depends on; `amount` in minor units."""

    segment: str
    amount: int
    owner_id: UUID | None
    skill: str | None = None

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        owner = self.owner_id and str(self.owner_id)
        return {"segment_key": self.segment, "amount": self.amount, "owner_id": owner, "skill": self.skill}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> LeadFacts:
        """What `stored` made."""
        owner = stored["owner_id"]
        return cls(stored["segment_key"], stored["amount"], UUID(owner) if owner else None, stored["skill"])


@dataclass(frozen=True, slots=True)
class Worth:
    """The value of one lead with one member; money in minor units."""

    rate: Rate
    expected: int
    switching_penalty: int
    skill_penalty: int

    @property
    def value(self) -> int:
        return self.expected - self.switching_penalty - self.skill_penalty


def worth(lead: LeadFacts, member: Candidate, rates: Rates, penalties: Penalties) -> Worth:
    """The formula of this page."""
    rate = rates.of(lead.segment, member.id)
    standard = rate.team_rate * lead.amount
    moves = lead.owner_id is not None and lead.owner_id != member.id
    lacks = member.skills is not None and lead.skill is not None and lead.skill not in member.skills
    return Worth(
        rate=rate,
        expected=round(rate.win_rate * lead.amount),
        switching_penalty=round(penalties.switching * standard) if moves else 0,
        skill_penalty=round(penalties.skill * standard) if lacks else 0,
    )
