"""The arithmetic of scores: exact, in whole units, so that the parts of an explanation sum to the score.

A point is `UNIT` units. An occurrence of age *a* under a half-life *h* counts `2^-(a/h)` of its points: whole
half-lives halve exactly, and within one the factor is rounded to a millionth. After `HALVINGS` half-lives it
counts nothing. Sums of a rule are capped, then sums of each kind, then the total is put into the model's range
and rounded half up to a whole number; each of these steps is a part of the explanation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Final
from uuid import UUID

from app.kernel.conditions import Groups

HALVINGS: Final = 10
_MILLION: Final = 1_000_000
UNIT: Final = _MILLION << HALVINGS
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class FitRule:
    """Points for what a lead is."""

    name_en: str
    name_zh: str | None
    points: int
    groups: Groups


@dataclass(frozen=True, slots=True)
class BehaviourRule:
    """Points for each time that a lead does something, fading by `half_life_days`, at most `cap` in all."""

    name_en: str
    name_zh: str | None
    points: int
    behaviour: str
    detail: str | None
    half_life_days: int | None
    cap: int | None

    def counts(self, occurrence: Occurrence) -> bool:
        """Whether this is what the rule is about; details are compared without regard to case."""
        return occurrence.kind == self.behaviour and (
            self.detail is None or (occurrence.detail or "").casefold() == self.detail.casefold()
        )


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that a lead did."""

    kind: str
    detail: str | None
    occurred_at: datetime
    id: UUID | None = None
    source_id: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A scoring model, ready to compute. `grades` go from the highest down to the range's lower end."""

    id: UUID
    version: int
    name_en: str
    name_zh: str | None
    fit_rules: tuple[FitRule, ...]
    behaviour_rules: tuple[BehaviourRule, ...]
    fit_cap: int | None
    behaviour_cap: int | None
    min_score: int
    max_score: int
    grades: tuple[tuple[str, int], ...]
    updated_at: datetime

    @property
    def behaviours(self) -> list[str]:
        """The kinds of behaviour that any rule counts."""
        return sorted({rule.behaviour for rule in self.behaviour_rules})

    def since(self, now: datetime) -> datetime | None:
        """What happened up to this moment counts nothing; None when a rule never forgets."""
        lives = [rule.half_life_days for rule in self.behaviour_rules]
        if not lives or any(days is None for days in lives):
            return None
        return now - timedelta(days=HALVINGS * max(days for days in lives if days is not None))

    def grade(self, score: int) -> str:
        """The first grade that the score reaches."""
        return next((grade for grade, least in self.grades if score >= least), self.grades[-1][0])

    def rank(self, grade: str | None) -> int:
        """How high a grade stands, the lowest 0; unknown and absent ones count as the lowest."""
        names = [name for name, _ in reversed(self.grades)]
        return names.index(grade) if grade in names else 0


@dataclass(frozen=True, slots=True)
class RuleScore:
    """What one rule gives: the factor of each occurrence that counts, their sum, and what the cap leaves of it."""

    factors: tuple[tuple[Occurrence, int], ...]
    raw: int
    total: int


@dataclass(frozen=True, slots=True)
class Scored:
    """A score with all it is made of, in units. `fit` and `behaviour` are in the order of the model's rules."""

    fit: tuple[RuleScore, ...]
    behaviour: tuple[RuleScore, ...]
    adjustments: Mapping[str, int]
    score: int
    grade: str


def factor(age_seconds: int, half_life_days: int | None) -> int:
    """What an occurrence of this age counts of a point, in units: `UNIT` when fresh, half of it a half-life on."""
    if half_life_days is None or age_seconds <= 0:
        return UNIT
    period = half_life_days * _DAY
    halvings, rest = divmod(age_seconds, period)
    if halvings >= HALVINGS:
        return 0
    within: float = 0.5 ** (rest / period)
    return round(_MILLION * within) << (HALVINGS - halvings)


def capped(units: int, cap: int | None) -> int:
    """Not further from nothing than `cap` points, either way."""
    if cap is None:
        return units
    return max(-cap * UNIT, min(cap * UNIT, units))


def compute(model: Model, fits: Sequence[bool], occurrences: Sequence[Occurrence], now: datetime) -> Scored:
    """The score at a moment; `fits` says rule by rule whether it holds."""
    fit = tuple(_fit(rule, holds) for rule, holds in zip(model.fit_rules, fits, strict=True))
    behaviour = tuple(_behaviour(rule, occurrences, now) for rule in model.behaviour_rules)
    fit_sum = sum(part.total for part in fit)
    behaviour_sum = sum(part.total for part in behaviour)
    fit_kept = capped(fit_sum, model.fit_cap)
    behaviour_kept = capped(behaviour_sum, model.behaviour_cap)
    total = fit_kept + behaviour_kept
    ranged = max(model.min_score * UNIT, min(model.max_score * UNIT, total))
    score = (2 * ranged + UNIT) // (2 * UNIT)
    adjustments = {
        "fit_cap": fit_kept - fit_sum,
        "behaviour_cap": behaviour_kept - behaviour_sum,
        "range": ranged - total,
        "rounding": score * UNIT - ranged,
    }
    return Scored(fit, behaviour, adjustments, score, model.grade(score))


def _fit(rule: FitRule, holds: bool) -> RuleScore:
    units = rule.points * UNIT if holds else 0
    return RuleScore((), units, units)


def _behaviour(rule: BehaviourRule, occurrences: Sequence[Occurrence], now: datetime) -> RuleScore:
    factors = tuple(
        (occurrence, counted)
        for occurrence in occurrences
        if rule.counts(occurrence)
        and (counted := factor(int((now - occurrence.occurred_at).total_seconds()), rule.half_life_days))
    )
    raw = rule.points * sum(counted for _, counted in factors)
    return RuleScore(factors, raw, capped(raw, rule.cap))


def in_points(units: int) -> Decimal:
    """Units as points, exactly."""
    with localcontext() as context:
        context.prec = 60
        points = Decimal(units) / Decimal(UNIT)
        return points.quantize(Decimal(1)) if units % UNIT == 0 else points.normalize()
