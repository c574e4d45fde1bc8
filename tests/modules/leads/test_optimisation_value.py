"""What a lead is worth with somebody: the estimates behind every plan."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.kernel.ids import new_id
from app.modules.leads.services.optimisation.states import PLAN
from app.modules.leads.services.optimisation.value import (
    Candidate,
    History,
    LeadFacts,
    Penalties,
    Rates,
    Tally,
    segment_key,
    shrunk,
    worth,
)

ANN, BOB = UUID(int=1), UUID(int=2)
SEGMENT = segment_key(["Retail", None])


def history(*counts: tuple[UUID, int, int]) -> History:
    found = History()
    for member_id, won, closed in counts:
        found.add(SEGMENT, member_id, won, closed)
    return found


def test_the_estimate_follows_the_documented_formula():
    rates = Rates(history((ANN, 3, 3), (BOB, 1, 7)), 10)
    team = (4 + 10 * (5 / 12)) / 20
    assert rates.of(SEGMENT, ANN).win_rate == (3 + 10 * team) / 13
    assert rates.of(SEGMENT, BOB).win_rate == (1 + 10 * team) / 17
    stranger = rates.of(SEGMENT, new_id())
    assert (stranger.win_rate, stranger.won, stranger.closed) == (team, 0, 0)
    elsewhere = rates.of(segment_key(["Energy", None]), ANN)
    assert (elsewhere.win_rate, elsewhere.team_rate) == (5 / 12, 5 / 12)


def test_without_history_everything_is_even():
    assert Rates(History(), 10).of(SEGMENT, ANN).win_rate == 0.5
    assert Rates(History(), 0).of(SEGMENT, ANN).win_rate == 0.5


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1_000))
def test_an_estimate_lies_between_what_was_seen_and_the_prior(
    won: int, lost: int, prior: float, strength: float
):
    found = shrunk(Tally(won, won + lost), prior, strength)
    seen = won / (won + lost) if won + lost else prior
    assert min(seen, prior) - 1e-9 <= found <= max(seen, prior) + 1e-9


@given(st.integers(0, 2**40), st.floats(0, 1), st.floats(0, 1), st.booleans(), st.booleans())
def test_the_value_is_what_is_expected_less_both_penalties(
    amount: int, switching: float, skill: float, owned: bool, lacking: bool
):
    rates = Rates(history((ANN, 8, 10), (BOB, 2, 10)), 10)
    lead = LeadFacts(SEGMENT, amount, BOB if owned else None, "trade" if lacking else None)
    ann = worth(lead, Candidate(ANN, 5, frozenset({"banking"})), rates, Penalties(switching, skill))
    rate = rates.of(SEGMENT, ANN)
    assert ann.expected == round(rate.win_rate * amount)
    assert ann.switching_penalty == (round(switching * (rate.team_rate * amount)) if owned else 0)
    assert ann.skill_penalty == (round(skill * (rate.team_rate * amount)) if lacking else 0)
    assert ann.value == ann.expected - ann.switching_penalty - ann.skill_penalty
    assert worth(lead, Candidate(BOB, 5), rates, Penalties(1, 1)).switching_penalty == 0
    assert LeadFacts.restored(lead.stored()) == lead


def test_history_is_kept_as_far_as_a_plan_needs_it():
    found = history((ANN, 3, 4))
    found.add(segment_key(["Energy", "web"]), BOB, 1, 2)
    kept = History.restored(found.stored({SEGMENT}))
    assert (kept.overall, set(kept.segments), set(kept.members)) == (Tally(4, 6), {SEGMENT}, {SEGMENT})
    assert Rates(kept, 5).of(SEGMENT, ANN) == Rates(found, 5).of(SEGMENT, ANN)


def test_a_segment_is_the_same_in_upper_and_lower_case():
    assert segment_key([" Retail", ""]) == SEGMENT == segment_key(["RETAIL", None])
    assert segment_key(["a", "b"]) != segment_key(["a b", None])


def test_the_states_of_a_plan():
    assert PLAN.final == {"undone", "failed"}
    assert [(str(s), PLAN.allowed(s)) for s in sorted(PLAN.states)] == [
        ("applied", ("undo",)),
        ("draft", ("fail", "start")),
        ("failed", ()),
        ("solved", ("adjust", "apply")),
        ("solving", ("fail", "solve")),
        ("undone", ()),
    ]
