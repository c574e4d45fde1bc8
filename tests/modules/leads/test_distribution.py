"""Whose turn it is, as arithmetic: shares that hold at every moment, quotas, loads."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.leads.models import Strategy
from app.modules.leads.services.assignment.distribution import Turns, Workload, can_take, choose, day_quota


def members(*weights: int, **fields: int) -> list[Workload]:
    return [Workload(UUID(int=n), weight=weight, **fields) for n, weight in enumerate(weights, 1)]


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=25), st.integers(1, 400))
@settings(max_examples=200, deadline=None)
def test_every_member_is_always_less_than_one_lead_from_their_share(weights: list[int], leads: int) -> None:
    team, turns, had = members(*weights), Turns(), Counter[UUID]()
    for count in range(1, leads + 1):
        had[choose(Strategy.WEIGHTED, team, turns).id] += 1
        for member in team:
            assert abs(had[member.id] - Fraction(count * member.weight, sum(weights))) < 1


@given(st.integers(1, 30), st.integers(1, 200))
@settings(deadline=None)
def test_round_robin_walks_in_a_fixed_order(size: int, leads: int) -> None:
    team, turns = members(*[7] * size), Turns()
    order = [choose(Strategy.ROUND_ROBIN, team, turns).id for _ in range(leads)]
    assert order == [team[n % size].id for n in range(leads)]


@given(st.lists(st.booleans(), min_size=60, max_size=60))
@settings(deadline=None)
def test_whoever_comes_back_gets_no_flood(there: list[bool]) -> None:
    """While a member is away the others share; back again, nobody is more than one lead from their share."""
    team, turns, had = members(1, 1, 1), Turns(), Counter[UUID]()
    fair = dict.fromkeys((m.id for m in team), Fraction(0))
    for present in there:
        able = team if present else team[:2]
        for member in able:
            fair[member.id] += Fraction(1, len(able))
        had[choose(Strategy.ROUND_ROBIN, able, turns).id] += 1
    assert all(abs(had[id] - fair[id]) <= 1 for id in fair)


@pytest.mark.parametrize(
    ("capacity", "quota"), [(30, 1), (0, 0), (14, 0), (15, 1), (44, 1), (45, 2), (300, 10), (74, 2), (75, 3)]
)
def test_the_quota_of_a_day_is_a_thirtieth_rounded_half_up(capacity: int, quota: int) -> None:
    assert day_quota(capacity) == quota


@given(st.lists(st.integers(0, 300), min_size=1, max_size=10), st.integers(1, 60))
@settings(deadline=None)
def test_quotas_are_never_exceeded_and_used_up_before_anybody_goes_without(
    capacities: list[int], leads: int
) -> None:
    team = [Workload(UUID(int=n), capacity=capacity) for n, capacity in enumerate(capacities)]
    turns, given_out = Turns(), 0
    for _ in range(leads):
        able = [m for m in team if can_take(Strategy.CAPACITY, m) is None]
        if able:
            choose(Strategy.CAPACITY, able, turns)
            given_out += 1
    assert all(m.assigned_today <= day_quota(m.capacity) for m in team)
    assert given_out == min(leads, sum(day_quota(m.capacity) for m in team))


def test_the_least_loaded_comes_first_and_then_who_waited_longest() -> None:
    team, turns = members(1, 1, 1), Turns()
    team[0].open_leads, team[1].open_leads, team[2].open_leads = 3, 0, 1
    order = [choose(Strategy.LOAD, team, turns).id.int for _ in range(7)]
    assert order == [2, 3, 2, 3, 2, 1, 3]
    assert [m.open_leads for m in team] == [4, 3, 4]


def test_a_member_of_no_weight_gets_nothing_by_weight() -> None:
    assert can_take(Strategy.WEIGHTED, members(0)[0]) == "no_weight"
    assert can_take(Strategy.ROUND_ROBIN, members(0)[0]) is None
