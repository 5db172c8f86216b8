"""The rules on sets: hard budget, legality, the unscored, and what a path gains."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.acquisition import rules as rules

N = 6
masks = st.integers(0, 2**N - 1)
scores = st.one_of(st.floats(1, 5), st.just(math.nan))


@st.composite
def starts(draw):
    exists = draw(masks)
    return rules.begin(exists, draw(st.integers(0, N)), exists & draw(masks))


@given(start=starts(), questions=st.lists(st.integers(0, N + 1), max_size=12))
def test_rules_against_plain_sets(start, questions):
    """A naive twin with Python sets: known only grows by what was legal, and never beyond the budget."""
    known = {i for i in range(N) if start.known >> i & 1}
    exists = known | {i for i in range(N) if start.askable >> i & 1}
    at_start, left, state = len(known), start.budget_left, start
    for question in questions:
        if question in exists - known and left > 0:
            known.add(question)
        left = max(0, left - 1)
        state = rules.ask(state, question)
        assert state.known == sum(1 << i for i in known)
        assert state.askable == sum(1 << i for i in exists - known)
        assert state.budget_left == left
        assert rules.is_over(state) == (left == 0 or exists == known)
        assert len(known) <= at_start + start.budget_left


@given(start=starts(), question=st.integers(0, N + 1))
def test_legal_is_what_changes_the_known_set(start, question):
    assert bool(rules.legal(start) >> question & 1) == (rules.ask(start, question).known != start.known)


@given(start=starts())
def test_after_the_answer_nothing_is_legal(start):
    ended = rules.answer(start)
    assert rules.is_over(ended)
    assert rules.legal(ended) == 0
    assert all(rules.ask(ended, i).known == start.known for i in range(N))
    assert not start.answered  # the state given is left as it was


def test_an_illegal_question_uses_up_one_question_and_no_more():
    state = rules.begin(exists=0b011, budget=2, known=0b001)
    once = rules.ask(state, 0)  # known already
    assert once == rules.State(known=0b001, askable=0b010, budget_left=1)
    assert rules.ask(once, 2) == rules.State(known=0b001, askable=0b010, budget_left=0)  # no value


def test_over_from_the_start_with_nothing_to_ask_or_no_budget():
    assert rules.is_over(rules.begin(exists=0b11, budget=3, known=0b11))
    assert rules.is_over(rules.begin(exists=0b11, budget=0))
    assert not rules.is_over(rules.begin(exists=0b11, budget=3, known=0b01))


def test_begin_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="budget"):
        rules.begin(0b1, -1)
    with pytest.raises(ValueError, match="known"):
        rules.begin(0b01, 1, known=0b10)


def test_all_64_attributes_fit():
    state = rules.ask(rules.begin(2**64 - 1, 64), 63)
    assert state.known == 1 << 63
    assert rules.total_cost(state.known, np.arange(64.0)) == 63.0


def test_total_cost_by_hand():
    assert rules.total_cost(0b101, np.array([0.5, 10.0, 2.0])) == 2.5
    assert rules.total_cost(0, np.ones(3)) == 0.0


def _sum_of_steps(values):
    last, total = math.nan, 0.0
    for value in values:
        gain, last = rules.step_gain(last, value)
        total += gain
    return total


@given(values=st.lists(scores, min_size=1, max_size=8))
def test_steps_sum_to_the_total(values):
    path = list(range(len(values)))
    assert rules.total_gain(path, lambda i: values[i]) == pytest.approx(_sum_of_steps(values), abs=1e-12)


@given(values=st.lists(st.floats(1, 5), min_size=2, max_size=8))
def test_scored_steps_are_plain_differences(values):
    gains = [rules.step_gain(a, b)[0] for a, b in pairwise(values)]
    assert gains == [b - a for a, b in pairwise(values)]


@pytest.mark.parametrize(
    ("values", "gain"),
    [
        ([2.0, math.nan, 3.5], 1.5),  # compared with the last scored one
        ([math.nan, 2.0, 3.0], 1.0),  # the first scored stands in for the start
        ([2.0, 3.0, math.nan], 1.0),  # the last scored stands in for the end
        ([math.nan, 3.0, math.nan], 0.0),
        ([math.nan, math.nan], 0.0),
    ],
)
def test_unscored_sets_by_hand(values, gain):
    assert rules.total_gain(range(len(values)), lambda i: values[i]) == gain
    assert _sum_of_steps(values) == gain


def test_total_gain_looks_at_the_ends_alone_when_they_are_scored():
    looked = []
    rules.total_gain([0, 1, 3, 7], lambda mask: looked.append(mask) or 2.0)
    assert looked == [0, 7]
