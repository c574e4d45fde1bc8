"""State machines hold to their table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import InvalidTransition
from app.kernel.states import StateMachine

ORDER = StateMachine(
    "order",
    "draft",
    {("draft", "place"): "placed", ("placed", "ship"): "shipped", ("placed", "cancel"): "cancelled"},
)


def test_an_action_leads_to_the_declared_state():
    assert ORDER.next("draft", "place") == "placed"


def test_an_undeclared_action_is_refused_with_the_state_and_what_it_allows():
    with pytest.raises(InvalidTransition) as refused:
        ORDER.next("placed", "place")
    assert refused.value.status == 409
    assert refused.value.members == {"state": "placed", "allowed": ["cancel", "ship"]}


def test_a_state_that_cannot_be_reached_is_a_slip_in_the_table():
    with pytest.raises(ValueError, match="no way leads from draft to lost"):
        StateMachine("order", "draft", {("lost", "find"): "draft"})


def test_the_table_is_drawn_for_the_documentation():
    assert ORDER.mermaid().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> draft",
        "    draft --> placed: place",
        "    placed --> shipped: ship",
        "    placed --> cancelled: cancel",
        "    cancelled --> [*]",
        "    shipped --> [*]",
    ]
    assert "| placed | ship | shipped |" in ORDER.markdown()


@given(st.lists(st.sampled_from(["place", "ship", "cancel", "nonsense"]), max_size=12))
def test_no_run_of_actions_leaves_the_declared_states(actions: list[str]):
    state = ORDER.initial
    for action in actions:
        if ORDER.may(state, action):
            state = ORDER.next(state, action)
            assert state in ORDER.states
        else:
            with pytest.raises(InvalidTransition):
                ORDER.next(state, action)
        assert (state in ORDER.final) == (not ORDER.allowed(state))
