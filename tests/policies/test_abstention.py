"""Ask on or answer, in each direction."""

import math

import pytest

from envs import UserError
from policies.abstention import FixedAbstention, NeverAbstention, ValueAbstention
from policies.composed import ComposedPolicy
from policies.dialogue_state import Choice
from tests.policies.policy_cases import dialogue, plan_index, record


def should_stop(abstention, choice, **options):
    return abstention.should_stop(dialogue(**options), choice)[0]


@pytest.mark.parametrize(
    ("gain", "stderr", "cost_weight", "z", "expected"),
    [
        (0.30, 0.0, 0.1, 0.0, False),  # worth it: ask on
        (0.05, 0.0, 0.1, 0.0, True),  # not worth it: answer
        (0.10, 0.0, 0.1, 0.0, True),  # as much as it costs
        (0.30, 0.25, 0.1, 1.0, True),  # lower bound .05
        (0.30, 0.15, 0.1, 1.0, False),  # lower bound .15
        (0.0, 0.0, 0.0, 0.0, True),  # nothing to gain, free of cost
    ],
)
def test_value_holds_the_lower_bound_against_the_cost(gain, stderr, cost_weight, z, expected):
    assert should_stop(ValueAbstention(cost_weight, z), Choice(0, gain, stderr)) is expected


def test_value_knows_that_questions_cost_differently():
    """A costs 1, C 2, D a half."""
    abstention = ValueAbstention(0.1)
    assert [should_stop(abstention, Choice(a, 0.12)) for a in (0, 2, 3)] == [False, True, False]
    assert [should_stop(abstention, Choice(a, 0.07)) for a in (0, 2, 3)] == [True, True, False]


def test_value_asks_the_neighbours_where_the_acquisition_names_no_gain():
    """The nearest gains .8 from A."""
    abstention = ValueAbstention(0.1)
    assert not should_stop(abstention, Choice(0), query="one two", k=1)
    assert should_stop(abstention, Choice(3), query="one two", k=1)


def test_value_takes_no_cost_off_a_net_gain_and_follows_a_plan_that_names_none():
    abstention = ValueAbstention(0.1)
    assert not should_stop(abstention, Choice(0, 0.01, net=True))
    assert should_stop(abstention, Choice(0, 0.0, net=True))
    assert not should_stop(abstention, Choice(0, math.nan, net=True))


def test_value_answers_when_there_is_nothing_to_ask():
    assert should_stop(ValueAbstention(0.0), Choice(None))


@pytest.mark.parametrize(("asked", "expected"), [("", False), ("A", False), ("AB", True), ("ABC", True)])
def test_fixed_counts_questions(asked, expected):
    assert should_stop(FixedAbstention(2), Choice(3, 9.0), context=asked) is expected


def test_fixed_counts_declined_questions():
    assert should_stop(FixedAbstention(2), Choice(3, 9.0), declined="AB")


def test_never_is_never_enough():
    assert not should_stop(NeverAbstention(), Choice(0, -1.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ValueAbstention(-0.1),
        lambda: ValueAbstention(math.inf),
        lambda: FixedAbstention(-1),
        lambda: FixedAbstention(True),
        lambda: ComposedPolicy(n_neighbours=0),
        lambda: ComposedPolicy(budget=-1),
    ],
)
def test_nonsense_is_refused_in_one_line(make):
    with pytest.raises(UserError, match=r"^[^\n]+found[^\n]+expected[^\n]+$"):
        make()


def test_the_budget_ends_the_questions_whatever_the_abstention_says():
    policy = ComposedPolicy(abstention=NeverAbstention())
    assert policy.decide(dialogue(context="A")).attribute is not None
    assert policy.decide(dialogue(context="ABC")).attribute is None  # three of three asked


def test_nothing_left_ends_them_too():
    found = dialogue(context="ABCD")
    assert ComposedPolicy(abstention=NeverAbstention()).decide(found).attribute is None


def test_insufficient_context_means_ask_on_and_sufficient_means_answer():
    """The published code has this the wrong way round."""
    rich = plan_index([record("one", "AB", (3.0, 3.8, 3.81))])
    policy = ComposedPolicy(abstention=ValueAbstention(0.1))
    assert policy.decide(dialogue("one", found=rich)).attribute == "A"
    assert policy.decide(dialogue("one", "A", found=rich)).attribute is None
