"""Walking the rules: the first whose conditions hold and whose target has somebody takes the lead. Pure.

What no rule takes goes to the default queue, so that no lead is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from app.modules.leads.models import AssignmentRule, Presence, Queue, Strategy, Territory
from app.modules.leads.services.assignment.distribution import Turns, Workload, can_take, choose
from app.modules.leads.services.assignment.facts import Decision, LeadFacts
from app.modules.leads.services.assignment.territories import TerritoryTree
from app.tenants.interface import Colleague

MEMBER, TEAM, QUEUE, TERRITORY = "member", "team", "queue", "territory"
TARGETS: Final = (MEMBER, TEAM, QUEUE, TERRITORY)
LOGGED: Final = 50  # rules and candidates that one decision remembers


@dataclass(slots=True)
class Book:
    """Everything that decisions of one transaction go by; turns and workloads move with each decision."""

    rules: Sequence[AssignmentRule]
    queues: Mapping[UUID, Queue]
    default_queue_id: UUID
    territories: TerritoryTree
    colleagues: Mapping[UUID, Colleague]
    workloads: Mapping[UUID, Workload]
    accepting: frozenset[UUID]
    present: frozenset[UUID]
    absent: Mapping[UUID, UUID | None]
    turns: dict[UUID, Turns]
    ports: Mapping[str, frozenset[UUID]] = field(default_factory=dict)
    broken: frozenset[int] = frozenset()  # places of rules whose conditions cannot be asked any more

    def members(self, ids: Iterable[UUID], teams: Collection[UUID] = ()) -> list[UUID]:
        """The active ones of these members and of these teams' members, in a fixed order."""
        wanted, of_teams = set(ids), set(teams)
        return [
            id
            for id, colleague in self.colleagues.items()
            if id in wanted or not of_teams.isdisjoint(colleague.team_ids)
        ]


class Decider:
    """Decides lead by lead over one book."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def decide(self, lead: LeadFacts) -> Decision:
        """Where a lead goes by the rules, in their order."""
        passed: list[dict[str, Any]] = []
        for place, rule in enumerate(self.book.rules):
            why = "broken_filter" if place in self.book.broken else "conditions"
            if place in lead.matched:
                found = self.apply(rule, lead)
                if isinstance(found, Decision):
                    found.passed = passed[:LOGGED]
                    return found
                why = found
            passed.append({"rule_id": str(rule.id), "name": rule.name, "why": why})
        reason = "nobody_available" if lead.matched else "no_rule"
        return Decision(lead, reason, queue_id=self.book.default_queue_id, passed=passed[:LOGGED])

    def apply(
        self, rule: AssignmentRule, lead: LeadFacts, *, without: Collection[UUID] = ()
    ) -> Decision | str:
        """What one rule does with a lead, or why it does nothing. `without` are members who had their chance."""
        if rule.target in self.book.ports:
            return self._into_port(rule, lead)
        if rule.target == QUEUE and rule.target_id not in self.book.queues:
            return "target_gone"
        if rule.target == QUEUE and rule.strategy == Strategy.PULL:
            return Decision(lead, "waits_in_queue", rule, queue_id=rule.target_id)
        if rule.target not in TARGETS:
            return "target_gone"
        territory = self._territory(rule, lead)
        if territory is None and (rule.target == TERRITORY or rule.within_territory):
            found: Decision | str = "no_territory"
        else:
            found = self._to_somebody(rule, lead, territory, without)
        if isinstance(found, str) and rule.target == QUEUE:
            # The queue has the lead, and whoever of its members comes first may pull it.
            return Decision(lead, "waits_in_queue", rule, queue_id=rule.target_id)
        return found

    def _into_port(self, rule: AssignmentRule, lead: LeadFacts) -> Decision | str:
        if rule.target_id not in self.book.ports[rule.target]:
            return "target_gone"
        return Decision(lead, "rule", rule, port=rule.target)

    def _territory(self, rule: AssignmentRule, lead: LeadFacts) -> Territory | None:
        wanted = rule.target == TERRITORY or rule.within_territory
        return self.book.territories.match(lead) if wanted else None

    def _to_somebody(
        self, rule: AssignmentRule, lead: LeadFacts, territory: Territory | None, without: Collection[UUID]
    ) -> Decision | str:
        able: list[Workload] = []
        logged: list[dict[str, Any]] = []
        stand_ins: set[UUID] = set()
        for id in self._candidates(rule, territory):
            who = self._stand_in(rule, id)
            if who != id:
                stand_ins.add(who)
            why = self._refusal(rule, who, without)
            member = self.book.workloads.get(who)
            if why is None and member is not None:
                able.append(member)
            logged.append(
                {
                    "member_id": str(who),
                    "outcome": why or "able",
                    "open_leads": member.open_leads if member else None,
                    "quota_left": member.quota_left if member else None,
                }
            )
        if not able:
            return "nobody_available"
        turns = self.book.turns.setdefault(rule.id, Turns())
        chosen = choose(Strategy(rule.strategy), able, turns)
        for entry in logged:
            if entry["member_id"] == str(chosen.id) and entry["outcome"] == "able":
                entry["outcome"] = "chosen"
        logged.sort(key=lambda entry: entry["outcome"] != "chosen")
        return Decision(
            lead,
            "stand_in" if chosen.id in stand_ins else "rule",
            rule,
            member_id=chosen.id,
            team_id=self._team(rule, chosen.id),
            territory_id=territory.id if territory else None,
            candidates=logged[:LOGGED],
        )

    def _candidates(self, rule: AssignmentRule, territory: Territory | None) -> list[UUID]:
        book, target = self.book, rule.target_id
        of_territory: list[UUID] = []
        if territory is not None:
            of_territory = book.members(*book.territories.staff(territory))
        if target is None:
            return of_territory if rule.target == TERRITORY else []
        if rule.target == MEMBER:
            found = [target] if target in book.colleagues else []
        elif rule.target == TEAM:
            found = book.members((), [target])
        else:
            found = book.members(book.queues[target].member_ids, book.queues[target].team_ids)
        return [id for id in found if id in of_territory] if rule.within_territory else found

    def _stand_in(self, rule: AssignmentRule, id: UUID) -> UUID:
        """Who takes what a rule gives to one member by name while that member is away."""
        if rule.target != MEMBER or rule.presence == Presence.ANY:
            return id
        return self.book.absent.get(id) or id

    def _refusal(self, rule: AssignmentRule, id: UUID, without: Collection[UUID]) -> str | None:
        book = self.book
        colleague, member = book.colleagues.get(id), book.workloads.get(id)
        if colleague is None or member is None:
            return "inactive"
        if id in without:
            return "tried_before"
        if id not in book.accepting:
            return "not_accepting"
        for wanted in rule.skills:
            if colleague.skills.get(wanted["skill"].casefold(), 0) < wanted["level"]:
                return "lacks_skill"
        if rule.presence != Presence.ANY and id in book.absent:
            return "absent"
        if rule.presence == Presence.WORKING and id not in book.present:
            return "off_hours"
        return can_take(Strategy(rule.strategy), member)

    def _team(self, rule: AssignmentRule, id: UUID) -> UUID | None:
        """The team that the rule names if the member is in it, else their home team."""
        teams = self.book.colleagues[id].team_ids
        if rule.target == TEAM and rule.target_id in teams:
            return rule.target_id
        return teams[0] if teams else None
