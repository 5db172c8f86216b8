"""`search=static`: a given order. `search=beam`: several sets at a time. `greedy.lazy`: fewer evaluations."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from envs import UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.beam import BeamSearch
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.static import StaticSearch
from search.scenario_problem import scenario_problem
from tests.search.algorithms.searchers import plan_of
from tests.search.noise import evaluated, noisy_problem
from tests.search.search_cases import mask_of, subsets, table_problem

NAN = math.nan
NAMES = ("Age", "Gender", "Job", "Mood")
MORE_IS_BETTER = np.array([2.0 + m.bit_count() / 4 for m in range(16)])


def asked_by(order, table=MORE_IS_BETTER, budget=4, **options):
    problem = table_problem(table, budget, names=NAMES, **options)
    return plan_of(StaticSearch(order), problem), problem


def test_static_asks_in_the_given_order():
    plan, problem = asked_by(["Mood", "Age", "Job"])
    assert plan.path == (3, 0, 2)
    assert plan.scores.tolist() == [2.0, 2.25, 2.5, 2.75]
    assert problem.observations()[0].tolist() == [0, 8, 9, 13]
    assert plan.stopped == "the given order is scored"


def test_static_passes_over_what_cannot_be_asked_and_keeps_to_the_budget():
    plan, problem = asked_by(["Mood", "Age", "Job", "Gender"], budget=2, askable=0b0111, known=0b0010)
    assert plan.path == (0, 2)
    assert problem.observations()[0].tolist() == [2, 3, 7]


def test_static_ends_where_more_does_not_help():
    table = MORE_IS_BETTER.copy()
    table[0b1111] = 2.5
    assert asked_by(NAMES, table)[0].path == (0, 1, 2)
    assert asked_by(NAMES, np.full(16, 3.0))[0].path == ()
    table[0b0111] = NAN
    assert asked_by(NAMES, table)[0].path == (0, 1)


def test_static_ignores_better_sets_that_are_not_its_own():
    problem = table_problem(np.array([2.0, 2.5, 4.0, 3.0]), 2, names=NAMES[:2])
    problem.evaluate(np.array([2], np.uint64))
    assert plan_of(StaticSearch(NAMES[:2]), problem).path == (0, 1)


def test_static_stops_when_calls_are_spent():
    plan, problem = asked_by(NAMES, max_judge_calls=3)
    assert (plan.path, plan.stopped, problem.judge_calls) == ((0, 1), "no judge calls left", 3)


def test_static_looks_at_its_prefixes_again_under_noise():
    problem = noisy_problem(MORE_IS_BETTER, 4, 0.05, max_judge_calls=60, names=NAMES)
    plan = plan_of(StaticSearch(NAMES), problem)
    assert plan.path == (0, 1, 2, 3)
    assert set(evaluated(problem)) == {0, 1, 3, 7, 15}
    assert problem.judge_calls > 5


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("Age", "search.order: expected a list"),
        ([], "search.order: expected a list"),
        (["Age", 3], "search.order: expected a list"),
        (["Age", "Job", "Age"], "search.order: found 'Age' twice"),
        (["Age", "Jobs"], "search.order: found 'Jobs', expected one of Age, Gender, Job, Mood"),
    ],
)
def test_an_order_that_is_none_is_told(order, words):
    with pytest.raises(UserError) as error:
        asked_by(order)
    assert words in str(error.value)


def test_the_papers_static_set_is_asked_where_no_order_is_given():
    file = Path(__file__).resolve().parents[3] / "conf" / "search" / "static.yaml"
    order = yaml.safe_load(file.read_text())["order"]
    assert set(order) == {"Emotional State", "Mental Health Status", "Past Self-Harm History"}
    scenario = load_bundled()[0]
    problem = scenario_problem(scenario, SimulatedJudge(), 4)
    path = plan_of(StaticSearch(order), problem).path
    assert [scenario.schema.names[a] for a in path] == order[: len(path)]
    assert path


def random_table(seed, n=6):
    table = np.random.default_rng(seed).uniform(1, 5, 1 << n)
    table[0] = 1.0
    return table


def test_a_beam_by_hand():
    """Width 2 of 3 attributes: {0} and {2} are kept, {1} is not; {0, 2} is below both and comes by once."""
    table = np.array([1.0, 3.0, 2.0, 3.5, 2.5, 3.2, 4.0, 9.0])
    problem = table_problem(table, 2)
    plan = plan_of(BeamSearch(width=2), problem)
    # nothing, singles, the children of the better set first, {0, 2} once
    assert problem.observations()[0].tolist()[:7] == [0, 1, 2, 4, 0b011, 0b101, 0b110]
    assert mask_of(plan.path) == 0b110
    assert plan.stopped == "the budget is spent"


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_of_one_is_greedy_and_an_unlimited_one_enumerates(seed):
    table = random_table(seed)
    plans = {}
    for name, searcher in (("one", BeamSearch(1)), ("greedy", GreedySearch()), ("all", BeamSearch(1000))):
        problem = table_problem(table, 3)
        plans[name] = plan_of(searcher, problem), problem.judge_calls
    assert plans["one"][0].path == plans["greedy"][0].path
    assert plans["one"][1] == plans["greedy"][1]
    assert plans["all"][1] == 42
    assert plans["all"][0].scores[-1] == table[subsets(range(6), 3)].max()


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_keeps_the_best_sets_of_each_size(seed):
    """Against the obvious: all extensions of the best `width`, nothing else."""
    table = random_table(seed)
    kept, expected = [0], {0}
    for _ in range(3):
        children = {m | 1 << a for m in kept for a in range(6) if not m >> a & 1}
        expected |= children
        kept = sorted(children, key=lambda m: -table[m])[:2]
    problem = table_problem(table, 3)
    plan_of(BeamSearch(2), problem)
    asked = problem.observations()[0].tolist()
    orders = set(asked) - expected  # prefixes of the plan, scored for its order
    assert set(asked[: len(expected)]) == expected
    assert len(orders) <= 3
    assert len(asked) == len(set(asked))


def test_a_beam_spends_its_last_calls_on_the_children_of_the_best_set():
    table = np.array([1.0, 2.0, 4.0, 1.5, 3.0, 1.0, 1.0, 9.0])
    problem = table_problem(table, 2, max_judge_calls=5)
    plan = plan_of(BeamSearch(width=2), problem)
    assert problem.observations()[0].tolist() == [0, 1, 2, 4, 0b011]
    assert plan.stopped == "no judge calls left"


def test_a_beam_without_a_scored_set_ends():
    table = np.full(16, NAN)
    table[[0, 1]] = 2.0, 3.0
    plan = plan_of(BeamSearch(), table_problem(table, 3))
    assert (plan.path, plan.stopped) == ((0,), "every next question is unscored")
    with pytest.raises(UserError, match=r"search\.width: found 0"):
        BeamSearch(0)


def coverage(seed, n=8):
    """Return float64[2^n], a weighted coverage function: monotone and submodular."""
    rng = np.random.default_rng(seed)
    covered = rng.random((n, 30)) < 0.25
    weights = rng.uniform(0.01, 0.1, 30)
    rows = [[a for a in range(n) if m >> a & 1] for m in range(1 << n)]
    return 1 + np.array([weights[covered[row].any(axis=0)].sum() for row in rows])


def test_lazy_greedy_takes_the_same_path_on_submodular_scores_with_fewer_calls():
    saved = []
    for seed in range(30):
        paths, calls = [], []
        for lazy in (False, True):
            problem = table_problem(coverage(seed), 4)
            paths.append(set(plan_of(GreedySearch(lazy=lazy), problem).path))
            calls.append(problem.judge_calls)
        assert paths[0] == paths[1]
        assert calls[1] <= calls[0]
        saved.append(calls[0] - calls[1])
    assert np.mean(saved) > 3


def test_lazy_greedy_misses_a_complement():
    """0 gains .5 alone, 1 gains .4, 2 nothing; with 0 known, 2 gains 2. Its bound of 0 says not to look."""
    gains = {0b001: 0.5, 0b010: 0.4, 0b011: 0.85, 0b100: 0.0, 0b101: 2.5, 0b110: 0.4, 0b111: 2.6}
    table = np.array([2.0 + gains.get(m, 0.0) for m in range(8)])
    assert mask_of(plan_of(GreedySearch(), table_problem(table, 2)).path) == 0b101
    assert mask_of(plan_of(GreedySearch(lazy=True), table_problem(table, 2)).path) == 0b011


def test_lazy_greedy_looks_again_at_what_was_unscored():
    """2 is unscored alone and the best with 0: it has no bound, and is looked at in the second step."""
    table = np.array([2.0, 3.0, 2.5, 3.2, NAN, 4.5, 2.6, 2.0])
    assert mask_of(plan_of(GreedySearch(lazy=True), table_problem(table, 2)).path) == 0b101


@pytest.mark.parametrize("lazy", [False, True])
def test_greedy_and_enumeration_agree_where_attributes_add_up(lazy):
    weights = np.random.default_rng(5).uniform(0, 0.3, 8)
    table = np.array([2 + sum(weights[a] for a in range(8) if m >> a & 1) for m in range(256)])
    paths = [
        set(plan_of(s, table_problem(table, 3)).path) for s in (GreedySearch(lazy=lazy), ExhaustiveSearch())
    ]
    assert paths[0] == paths[1]
