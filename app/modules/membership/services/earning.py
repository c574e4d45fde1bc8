"""What an order, or an event, earns: pure arithmetic on the programme's rules.

Points of the rules that apply to a line add up; of several multipliers that apply to it the highest counts. The
tier's multiplier raises points to spend only. The order's points are the sum over its lines rounded down once, cut to
what caps leave, and shared out over the lines by largest remainder, so that the lines always sum to the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from app.modules.membership.models.programmes import EarnBasis
from app.modules.membership.schemas.programmes import EarnKind, EarnRule, PointKind
from app.modules.membership.services.programmes import ProgrammeRules, minor_of

_NOTHING = Fraction(0)


@dataclass(frozen=True, slots=True)
class EarningLine:
    """A line of an order as rules see it: what was delivered of it, in minor units."""

    id: UUID
    product_id: UUID | None
    category_ids: frozenset[UUID]  # its category, and all that this one stands below
    quantity: Decimal
    net: int
    total: int

    def amount(self, basis: str) -> int:
        return self.net if basis == EarnBasis.NET else self.total


@dataclass(frozen=True, slots=True)
class Room:
    """How many more points to spend caps leave, None for no end."""

    day: int | None = None
    member: int | None = None


@dataclass(frozen=True, slots=True)
class Earned:
    """What an order earns, whole and by line."""

    amount: int
    spendable: int
    qualifying: int
    amounts: tuple[int, ...]
    spendable_by_line: tuple[int, ...]
    qualifying_by_line: tuple[int, ...]


def earned(
    programme: ProgrammeRules,
    lines: Sequence[EarningLine],
    *,
    day: date,
    tier_multiplier: Decimal = Decimal(1),
    room: Room = Room(),
) -> Earned:
    """What an order of these lines earns on a day."""
    row = programme.row
    amounts = tuple(max(line.amount(row.earn_basis), 0) for line in lines)
    rules = [
        rule for rule in programme.rules if _in_force(rule, day) and _spent_enough(rule, lines, row.currency)
    ]
    spendable = _points(rules, PointKind.SPENDABLE, lines, amounts, row.currency)
    qualifying = _points(rules, PointKind.QUALIFYING, lines, amounts, row.currency)
    factor = Fraction(tier_multiplier)
    to_spend = int(sum(spendable, _NOTHING) * factor)
    caps = [cap for cap in (row.cap_order, room.day, room.member) if cap is not None]
    to_spend = max(min([to_spend, *caps]), 0)
    to_qualify = int(sum(qualifying, _NOTHING))
    return Earned(
        sum(amounts),
        to_spend,
        to_qualify,
        amounts,
        tuple(shared(to_spend, spendable)),
        tuple(shared(to_qualify, qualifying)),
    )


def for_event(programme: ProgrammeRules, event: str, *, day: date) -> tuple[int, int]:
    """Points to spend and qualifying points that an event gives."""
    rules = [
        rule
        for rule in programme.rules
        if rule.kind is EarnKind.EVENT and rule.event == event and _in_force(rule, day)
    ]
    return (
        sum(rule.points for rule in rules if PointKind.SPENDABLE in rule.earns),
        sum(rule.points for rule in rules if PointKind.QUALIFYING in rule.earns),
    )


def _in_force(rule: EarnRule, day: date) -> bool:
    return (rule.valid_from is None or rule.valid_from <= day) and (
        rule.valid_until is None or day <= rule.valid_until
    )


def _spent_enough(rule: EarnRule, lines: Sequence[EarningLine], currency: str) -> bool:
    """Whether the whole order comes to the rule's minimum, and the lines that it is about to so many units."""
    if rule.minimum_spend is not None:
        spent = sum(line.amount(rule.minimum_spend_basis) for line in lines)
        if spent < minor_of(rule.minimum_spend, currency):
            return False
    if rule.minimum_quantity is not None:
        units = sum((line.quantity for line in lines if _about(rule, line)), Decimal(0))
        if units < Decimal(rule.minimum_quantity):
            return False
    return True


def _about(rule: EarnRule, line: EarningLine) -> bool:
    if not rule.product_ids and not rule.category_ids:
        return True
    return line.product_id in rule.product_ids or not line.category_ids.isdisjoint(rule.category_ids)


def _points(
    rules: Sequence[EarnRule],
    kind: PointKind,
    lines: Sequence[EarningLine],
    amounts: Sequence[int],
    currency: str,
) -> list[Fraction]:
    """Exact points by line, multipliers applied."""
    found = [_NOTHING] * len(lines)
    factors = [Fraction(1)] * len(lines)
    best: dict[int, Fraction] = {}
    for rule in rules:
        if kind not in rule.earns:
            continue
        places = [place for place, line in enumerate(lines) if _about(rule, line)]
        if rule.kind is EarnKind.MULTIPLIER:
            for place in places:
                best[place] = max(best.get(place, _NOTHING), Fraction(rule.factor))
        for place, points in _of_rule(rule, places, lines, amounts, currency).items():
            found[place] += points
    for place, factor in best.items():
        factors[place] = factor
    return [points * factor for points, factor in zip(found, factors, strict=True)]


def _of_rule(
    rule: EarnRule,
    places: Sequence[int],
    lines: Sequence[EarningLine],
    amounts: Sequence[int],
    currency: str,
) -> Mapping[int, Fraction]:
    """What one rule gives, by line. What it gives for the order is parted by the lines' amounts."""
    if rule.kind is EarnKind.AMOUNT:
        per = Fraction(rule.per_amount) * Fraction(minor_of("1", currency))
        return {place: rule.points * amounts[place] / per for place in places}
    if rule.kind is EarnKind.UNIT:
        return {place: rule.points * Fraction(lines[place].quantity) for place in places}
    if rule.kind is EarnKind.ORDER and places:
        weights = {place: amounts[place] for place in places}
        if not any(weights.values()):
            weights = dict.fromkeys(places, 1)
        whole = sum(weights.values())
        return {place: Fraction(rule.points * weight, whole) for place, weight in weights.items()}
    return {}


def shared(points: int, weights: Sequence[Fraction]) -> list[int]:
    """Whole points by weight: rounded down, and the largest remainders get one more; the first of equals first."""
    whole = sum(weights, _NOTHING)
    if not whole or not points:
        return [0] * len(weights)
    exact = [points * weight / whole for weight in weights]
    found = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda place: (found[place] - exact[place], place))
    for place in by_remainder[: points - sum(found)]:
        found[place] += 1
    return found
