"""When a step is decided: every order of answers, against what the words any, all and majority say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.modules.automation.models import StepRule
from app.modules.automation.services.tally import Outcome, outcome

ANSWERS = st.lists(st.booleans(), min_size=1, max_size=12)


def course(rule: StepRule, answers: list[bool]) -> list[Outcome]:
    """How the step stands after each answer, and before the first."""
    asked = len(answers)
    return [
        outcome(
            rule,
            approved=sum(answers[:given]),
            refused=given - sum(answers[:given]),
            asked=asked,
        )
        for given in range(asked + 1)
    ]


@given(st.sampled_from(StepRule), ANSWERS)
def test_a_step_is_open_first_decided_when_all_have_answered_and_keeps_its_first_outcome(rule, answers):
    steps = course(rule, answers)
    assert steps[0] is Outcome.OPEN
    assert steps[-1] is not Outcome.OPEN or rule is StepRule.ANY
    decided = [found for found in steps if found is not Outcome.OPEN]
    if rule is not StepRule.ANY:  # where the first answer ends the step there are no others
        assert len(set(decided)) == 1
        assert steps[len(steps) - len(decided) :] == decided


@given(ANSWERS)
def test_any_goes_by_the_first_answer(answers):
    assert course(StepRule.ANY, answers)[1] is (Outcome.APPROVED if answers[0] else Outcome.REFUSED)


@given(ANSWERS)
def test_all_wants_everybody_and_ends_at_the_first_refusal(answers):
    steps = course(StepRule.ALL, answers)
    assert (steps[-1] is Outcome.APPROVED) == all(answers)
    if not all(answers):
        assert steps.index(Outcome.REFUSED) == answers.index(False) + 1


@given(ANSWERS)
def test_majority_is_decided_exactly_when_no_further_answer_can_change_it(answers):
    steps, asked = course(StepRule.MAJORITY, answers), len(answers)
    for given_so_far, found in enumerate(steps):
        approved = sum(answers[:given_so_far])
        most = approved + asked - given_so_far
        expected = (
            Outcome.APPROVED
            if 2 * approved > asked
            else Outcome.REFUSED
            if 2 * most <= asked
            else Outcome.OPEN
        )
        assert found is expected
    assert (steps[-1] is Outcome.APPROVED) == (2 * sum(answers) > asked)


@pytest.mark.parametrize(
    ("approved", "refused", "asked", "found"),
    [
        (1, 1, 3, Outcome.OPEN),
        (2, 0, 3, Outcome.APPROVED),
        (1, 2, 3, Outcome.REFUSED),
        (2, 0, 4, Outcome.OPEN),
        (2, 2, 4, Outcome.REFUSED),
        (3, 0, 4, Outcome.APPROVED),
        (1, 0, 1, Outcome.APPROVED),
    ],
)
def test_majorities_by_example(approved, refused, asked, found):
    assert outcome(StepRule.MAJORITY, approved=approved, refused=refused, asked=asked) is found
