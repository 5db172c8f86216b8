"""Statistics of a judge against tables worked out by hand, a naive twin, and what the presets promise."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import Attribute, Scenario, Schema, Score, UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from experiments.comparison.enumeration import BUDGETS, FIXED, figures

ABC = Schema([Attribute(name, "?") for name in "ABC"])


class Tables:
    """A judge that reads its scores from tables: scenario id -> names, joined -> score."""

    name = "tables"

    def __init__(self, tables):
        self.tables = tables
        self.asked = []

    def score(self, scenario, contexts):
        self.asked += ["".join(names) for names in contexts]
        return [self.tables[scenario.id]["".join(names)] for names in contexts]


def scenario(name, schema=ABC, domain="health", missing=()):
    values = {n: "" if n in missing else "yes" for n in schema.names}
    return Scenario(name, domain, "?", values, schema)


#                 nothing   A         B         C         AB         AC         BC         ABC
ONE = dict(
    zip(("", "A", "B", "C", "AB", "AC", "BC", "ABC"), (2, 3, 2.5, 1.9, 3.2, 3.4, 4.0, 3.8), strict=True)
)
TWO = dict(zip(ONE, (3, 3.1, 3.6, 3, 3.5, 3.1, 3.6, 2.9), strict=True))


def hand_made():
    return figures(Tables({"one": ONE, "two": TWO}), [scenario("one"), scenario("two")])


def test_levels_singles_and_harm_worked_out_by_hand():
    found = hand_made()
    assert (found.judge, found.simulated, found.n_scenarios, found.n_unscored) == ("tables", False, 2, 0)
    assert found.empty == pytest.approx(2.5)
    assert found.full == pytest.approx(3.35)
    assert found.gain_sd == pytest.approx(0.95)  # gains 1.8 and -0.1
    assert found.singles == pytest.approx({"A": 0.55, "B": 0.55, "C": -0.05})
    assert found.n_below == 1
    assert found.harmful == 1.0  # C to nothing costs .1; C to AB costs .6
    assert (found.first, found.first_share) == ("A", 0.5)
    assert found.dimensions_full == pytest.approx((3.35, 3.35, 3.35))


def test_shares_after_one_two_and_three_questions_worked_out_by_hand():
    # The only set of three is ABC. Highest mean prefix: B, C, A for both (2.5 + 4.0 and 3.6 + 3.6);
    # gains .5, 2, 1.8 and .6, .6, -.1: mean .55, 1.3, .85.
    assert hand_made().shares == pytest.approx((0.55 / 0.85, 1.3 / 0.85, 1.0))


def test_regrets_worked_out_by_hand():
    found = hand_made().regret
    # Greedy asks A, C, B of one (best prefix 3, 3.4, 3.8) and stops after B with two.
    # To win: 1 + .6 with one question, 2 + .6 with more.
    assert found["greedy"] == pytest.approx({1: 0.0, 2: 0.6 / 2.6, 3: 0.2 / 2.6, 4: 0.2 / 2.6, 5: 0.2 / 2.6})
    # Each is given the other's best set: one gets B (2.5), two gets A (3.1), later BC (3.6).
    fixed = {1: 1.0 / 1.6, 2: 1.5 / 2.6, 3: 1.5 / 2.6, 4: 1.5 / 2.6, 5: 1.5 / 2.6}
    assert found[FIXED] == pytest.approx(fixed)
    assert found["three random questions"] == pytest.approx({3: 0.9 / 2.6})


def test_a_harmless_judge_has_no_harm_and_a_flat_one_no_shares():
    rising = {names: 1.0 + len(names) for names in ONE}
    flat = dict.fromkeys(ONE, 3.0)
    found = figures(Tables({"one": rising}), [scenario("one")])
    assert (found.harmful, found.n_below, found.regret["greedy"][2]) == (0.0, 0, 0.0)
    assert found.shares == pytest.approx((1 / 3, 2 / 3, 1.0))
    found = figures(Tables({"one": flat}), [scenario("one")])
    assert all(math.isnan(share) for share in found.shares)
    assert found.regret[FIXED] == dict.fromkeys(BUDGETS, 0.0)


def test_a_missing_value_is_never_put_to_the_judge():
    judge = Tables({"one": ONE})
    found = figures(judge, [scenario("one", missing="B")])
    assert judge.asked == ["", "A", "C", "AC"]
    assert found.full == ONE["AC"]
    assert found.singles == pytest.approx({"A": 1.0, "B": 0.0, "C": -0.1})


def test_scenarios_with_an_unscored_set_are_left_out():
    for unscored in (math.nan, 5.5, Score(reason="refused"), Score(6.0, 3.0, 3.0)):
        judge = Tables({"one": ONE, "two": TWO | {"AC": unscored}})
        found = figures(judge, [scenario("one"), scenario("two")])
        assert (found.n_scenarios, found.n_unscored, found.empty) == (1, 1, 2.0)
        with pytest.raises(UserError, match="judge tables: each of 1 scenarios has a set without a score"):
            figures(judge, [scenario("two")])


def test_dimensions_and_samples_of_a_stochastic_judge():
    class Stochastic:
        stochastic = True
        dimensions = "not the method of the simulated judge"

        def score(self, scenario, contexts, samples):
            assert list(samples) == [0] * len(contexts)
            return [Score(1.0 + len(names), 2.0, 3.0) for names in contexts]

    found = figures(Stochastic(), [scenario("one")])
    assert found.judge == "Stochastic"
    assert found.dimensions_empty == (1.0, 2.0, 3.0)
    assert found.dimensions_full == (4.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("scenarios", "message"),
    [
        ([], "scenarios: found none, expected at least one"),
        (
            [scenario("a", Schema([Attribute(f"a{i}", "?") for i in range(13)]))],
            "scenarios: found 13 attributes, expected at most 12 to score all sets",
        ),
        (
            [scenario("a"), scenario("b", Schema([Attribute("A", "?")]))],
            "scenarios: found several lists of attributes, expected one",
        ),
    ],
)
def test_what_cannot_be_enumerated_is_refused_in_one_line(scenarios, message):
    with pytest.raises(UserError) as caught:
        figures(SimulatedJudge(), scenarios)
    assert str(caught.value) == message


def test_a_judge_that_breaks_the_protocol_is_named():
    class Short:
        def score(self, scenario, contexts):
            return [3.0]

    with pytest.raises(
        UserError, match="judge Short, scenario one: found 1 scores, expected 8, one a context"
    ):
        figures(Short(), [scenario("one")])


def subsets(names, size):
    return ["".join(chosen) for chosen in itertools.combinations(names, size)]


def naive(tables, names):
    """Harm, shares, greedy and random regret by walking over names, one scenario at a time."""
    sets = [s for size in range(len(names) + 1) for s in subsets(names, size)]
    add = lambda s, a: "".join(sorted(s + a))  # noqa: E731
    harmful, gains = 0, np.zeros(3)
    lost, possible = dict.fromkeys(BUDGETS, 0.0), dict.fromkeys(BUDGETS, 0.0)
    random_lost = 0.0
    for t in tables:
        harmful += any(t[add(s, a)] < t[s] - 0.05 for s in sets for a in names if a not in s)
        three = max(subsets(names, 3), key=t.__getitem__)
        path = max(itertools.permutations(three), key=lambda p: t[p[0]] + t[add(p[0], p[1])])
        gains += [t["".join(sorted(path[:k]))] - t[""] for k in (1, 2, 3)]
        for budget in BUDGETS:
            best = max(t[s] for s in sets if len(s) <= budget)
            known, reached = "", t[""]
            for _ in range(min(budget, len(names))):
                known = max((add(known, a) for a in names if a not in known), key=t.__getitem__)
                reached = max(reached, t[known])
            lost[budget] += best - reached
            possible[budget] += best - t[""]
        threes = [t[s] for s in subsets(names, 3)]
        random_lost += max(t[s] for s in sets if len(s) <= 3) - sum(threes) / len(threes)
    greedy = {b: lost[b] / possible[b] if possible[b] else 0.0 for b in BUDGETS}
    return harmful / len(tables), gains, greedy, random_lost / possible[3] if possible[3] else 0.0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 5), count=st.integers(1, 4))
def test_statistics_equal_the_naive_twin(seed, n, count):
    rng = np.random.default_rng(seed)
    names = "ABCDE"[:n]
    schema = Schema([Attribute(name, "?") for name in names])
    sets = [s for size in range(n + 1) for s in subsets(names, size)]
    tables = {f"s{i}": dict(zip(sets, rng.uniform(1, 5, len(sets)), strict=True)) for i in range(count)}
    found = figures(Tables(tables), [scenario(name, schema) for name in tables])
    harmful, gains, greedy, at_random = naive(list(tables.values()), names)
    assert found.harmful == pytest.approx(harmful)
    if gains[2] > 0:
        assert found.shares == pytest.approx(tuple(gains / gains[2]))
    assert found.regret["greedy"] == pytest.approx(greedy)
    assert found.regret["three random questions"][3] == pytest.approx(at_random)


def test_static_sets_are_held_against_the_best_set_of_each_budget():
    people = load_bundled()[:10]
    judge = SimulatedJudge("varied")
    found = figures(judge, people)
    static = ("Emotional State", "Mental Health Status", "Past Self-Harm History")
    contexts = [people[0].schema.names_of(mask) for mask in range(1024)]
    lost, possible = dict.fromkeys((3, 5), 0.0), dict.fromkeys((3, 5), 0.0)
    for person in people:
        scores = dict(zip(contexts, (s.value for s in judge.score(person, contexts)), strict=True))
        mine = scores[people[0].schema.names_of(people[0].schema.mask(static))]
        for budget in lost:
            best = max(score for names, score in scores.items() if len(names) <= budget)
            lost[budget] += best - mine
            possible[budget] += best - scores[()]
    regret = found.regret["static emotion, mental, self-harm"]
    assert set(regret) == {3, 4, 5}
    for budget in lost:
        assert regret[budget] == pytest.approx(lost[budget] / possible[budget])
