"""The arithmetic of scores: parts sum exactly, decay is monotone and halves exactly, whatever the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.leads.services.scoring.engine import (
    HALVINGS,
    UNIT,
    BehaviourRule,
    FitRule,
    Model,
    Occurrence,
    capped,
    compute,
    factor,
    in_points,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86_400
KINDS = ("form_submitted", "email_opened", "page_visited")
caps = st.none() | st.integers(1, 60)
fit_rules = st.builds(FitRule, st.just("Fit"), st.none(), st.integers(-50, 50), st.just(()))
behaviour_rules = st.builds(
    BehaviourRule,
    st.just("Behaviour"),
    st.none(),
    st.integers(-30, 30),
    st.sampled_from(KINDS),
    st.none() | st.sampled_from(["/pricing", "/Jobs"]),
    st.none() | st.integers(1, 90),
    caps,
)
occurrences = st.builds(
    Occurrence,
    st.sampled_from(KINDS),
    st.none() | st.sampled_from(["/PRICING", "/jobs"]),
    st.integers(0, 400 * DAY).map(lambda age: NOW - timedelta(seconds=age)),
)


@st.composite
def models(draw: st.DrawFn) -> Model:
    least = draw(st.integers(-50, 50))
    most = draw(st.integers(least + 1, least + 200))
    steps = draw(st.sets(st.integers(least + 1, most), max_size=4))
    scores = [*sorted(steps, reverse=True), least]
    return Model(
        id=UUID(int=1),
        version=1,
        name_en="Model",
        name_zh=None,
        fit_rules=tuple(draw(st.lists(fit_rules, max_size=5))),
        behaviour_rules=tuple(draw(st.lists(behaviour_rules, max_size=5))),
        fit_cap=draw(caps),
        behaviour_cap=draw(caps),
        min_score=least,
        max_score=most,
        grades=tuple((f"G{n}", score) for n, score in enumerate(scores)),
        updated_at=NOW,
    )


@given(models(), st.data())
def test_the_parts_of_any_score_sum_to_it_and_it_lies_in_its_range(model: Model, data: st.DataObject) -> None:
    fits = [data.draw(st.booleans()) for _ in model.fit_rules]
    history = data.draw(st.lists(occurrences, max_size=12))
    scored = compute(model, fits, history, NOW)
    parts = [part.total for part in (*scored.fit, *scored.behaviour)]
    assert sum(parts) + sum(scored.adjustments.values()) == scored.score * UNIT
    told = [in_points(units) for units in (*parts, *scored.adjustments.values())]
    assert sum(told, Decimal(0)) == scored.score
    assert model.min_score <= scored.score <= model.max_score
    assert scored.grade == next(grade for grade, least in model.grades if scored.score >= least)
    for rule, part in zip(model.behaviour_rules, scored.behaviour, strict=True):
        assert part.raw == sum(units * rule.points for _, units in part.factors)
        assert rule.cap is None or abs(part.total) <= rule.cap * UNIT
    assert abs(scored.adjustments["rounding"]) * 2 <= UNIT
    # The order in which things came to be known makes no difference.
    assert compute(model, fits, history[::-1], NOW).score == scored.score


@given(st.integers(0, 5_000 * DAY), st.integers(0, 500 * DAY), st.integers(1, 365))
def test_what_is_older_never_counts_more(age: int, more: int, half_life: int) -> None:
    assert 0 <= factor(age + more, half_life) <= factor(age, half_life) <= UNIT


@given(st.integers(0, 9_000 * DAY), st.integers(1, 365))
def test_a_half_life_later_it_counts_exactly_half(age: int, half_life: int) -> None:
    later = age + half_life * DAY
    if later < HALVINGS * half_life * DAY:
        assert factor(later, half_life) * 2 == factor(age, half_life)
    else:
        assert factor(later, half_life) == 0


@given(st.integers(0, 29 * DAY))
def test_the_factor_is_that_of_the_formula_to_a_millionth(age: int) -> None:
    assert abs(factor(age, 30) / UNIT - 0.5 ** (age / (30 * DAY))) <= 0.000_000_5


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, "1"), (15, "0.707107"), (30, "0.5"), (60, "0.25"), (299, "0.000999388671875"), (300, "0")],
)
def test_factors_are_exact_decimals(days: int, expected: str) -> None:
    found = in_points(factor(days * DAY, 30))
    assert str(found) == expected
    assert Fraction(found) == Fraction(factor(days * DAY, 30), UNIT)


def test_a_cap_holds_both_ways() -> None:
    assert [capped(units * UNIT, 10) // UNIT for units in (-11, -10, 3, 10, 11)] == [-10, -10, 3, 10, 10]
    assert capped(99 * UNIT, None) == 99 * UNIT
