"""What the contract says of every searcher: budget, judge calls, sizes, gaps, determinism."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.algorithms.beam import BeamSearch
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.mcts import MCTSSearch
from search.algorithms.random_search import RandomSearch
from search.path_rule import best_set
from search.plans import check_plan
from search.problem import JudgeCallsSpent, PlanningFailed, Problem
from search.scenario_problem import scenario_problem
from tests.search.algorithms.searchers import SEARCHERS, StaticInSchemaOrder, every_searcher, plan_of
from tests.search.search_cases import (
    bits,
    edges_of,
    mask_of,
    searched,
    subsets,
    surface_problem,
    table_problem,
)
from tests.search.surrogate.surfaces import random_additive, random_pairs

NAN = math.nan
LIMITS = settings(deadline=None, max_examples=25)


class Strict:
    """Scores by a function of the mask; raises on a set that breaks a rule, by its own reckoning."""

    def __init__(self, budget, known, askable, score):
        self.budget, self.known, self.askable, self.score = budget, known, askable, score
        self.asked = []

    def __call__(self, masks, samples):
        for mask in masks.tolist():
            asked = bits(mask) - bits(self.known)
            if not (bits(self.known) <= bits(mask) and asked <= bits(self.askable)):
                raise AssertionError("a set without what is known, or with what cannot be asked")
            if len(asked) > self.budget:
                raise AssertionError("a set over the budget")
        self.asked += masks.tolist()
        return np.array([self.score(mask) for mask in masks.tolist()])


def strict_problem(n, budget, score, *, known=0, askable=None, **options):
    askable = ((1 << n) - 1 if askable is None else askable) & ~known
    judge = Strict(budget, known, askable, score)
    return Problem(n, budget, judge, known=known, askable=askable, **options), judge


def scores_of(seed):
    """Return a function mask -> score in [1, 5] in which about one attribute in three harms."""
    weights = np.random.default_rng(seed).normal(0.1, 0.3, 64)
    return lambda mask: float(np.clip(2.5 + sum(weights[i] for i in bits(mask)), 1, 5))


@every_searcher
@LIMITS
@given(
    n=st.integers(1, 12),
    budget=st.integers(1, 6),
    seed=st.integers(0, 10**6),
    limit=st.none() | st.integers(2, 40),
    weighted=st.booleans(),
    gaps=st.booleans(),
)
def test_every_rule_holds_on_random_problems(searcher, n, budget, seed, limit, weighted, gaps):
    rng = np.random.default_rng(seed)
    known = int(rng.integers(1 << n)) if seed % 3 == 0 else 0
    askable = int(rng.integers(1 << n)) if seed % 2 else None
    holes = set(rng.integers(0, 1 << n, 1 << max(0, n - 2)).tolist()) - {known} if gaps else set()
    score = scores_of(seed)
    prior = (lambda mask: np.arange(n) % 3) if weighted else None
    problem, judge = strict_problem(
        n,
        budget,
        lambda m: NAN if m in holes else score(m),
        known=known,
        askable=askable,
        max_judge_calls=limit,
        prior=prior,
    )
    try:
        plan = plan_of(searcher, problem)
    except PlanningFailed as failed:
        assert failed.stage == "judge"  # noqa: PT017 - allowed, not required
        assert all(m in holes for m in judge.asked if m != known)
        return
    check_plan(plan, problem, "the test")
    assert len(set(judge.asked)) == len(judge.asked) == problem.judge_calls
    assert limit is None or problem.judge_calls <= limit
    target = known | mask_of(plan.path)
    assert target == best_set(problem)
    prefixes = [known | mask_of(plan.path[:d]) for d in range(len(plan.path) + 1)]
    for mask, found in zip(prefixes, plan.scores.tolist(), strict=True):
        assert found == score(mask) if mask in judge.asked and mask not in holes else math.isnan(found)
    assert not math.isnan(plan.scores[0])
    assert not math.isnan(plan.scores[-1])


@every_searcher
@pytest.mark.parametrize("budget", [1, 2, 4])
def test_no_set_over_the_budget_on_real_scenarios(searcher, budget):
    for scenario in load_bundled()[::20]:
        problem = scenario_problem(scenario, SimulatedJudge(preset="varied"), budget)
        inner = problem.scores
        strict = Strict(
            budget, 0, int(problem.askable), lambda m, f=inner: f(np.array([m]), np.zeros(1, int))[0]
        )
        plan = plan_of(searcher, problem)  # on the judge's surface, where the search scores by itself
        assert len(plan.path) <= budget
        strict(problem.evaluator.observations()[0], None)
        assert strict.asked


def expected_calls(name, n, budget, n_simulations=60):
    """Judge calls without a limit, where arithmetic says how many; None = it depends on the scores."""
    n_sets = sum(math.comb(n, k) for k in range(budget + 1))
    return {
        "exhaustive": n_sets,
        "greedy": 1 + sum(n - d for d in range(budget)),
        "mcts": min(n_simulations, n_sets),
        "mcts one by one": min(n_simulations, n_sets),
        "static": 1 + budget,
        "halving": min(60, n_sets),
        "uct": min(n_simulations, n_sets),
    }.get(name)


@pytest.mark.parametrize(("name", "searcher"), SEARCHERS.items(), ids=SEARCHERS)
def test_how_many_judge_calls_a_search_makes(name, searcher):
    for n, budget in [(6, 2), (8, 3)]:
        problem = table_problem(2.0 + np.array([m.bit_count() for m in range(1 << n)]) / 4.0, budget)
        assert len(plan_of(searcher, problem).path) == budget
        expected = expected_calls(name, n, budget)
        prefixes = 2**budget  # those scored for the order come on top
        if expected is None:
            assert problem.judge_calls <= 61 + prefixes
        else:
            assert expected <= problem.judge_calls <= expected + prefixes


@every_searcher
@pytest.mark.parametrize("limit", [2, 3, 8, 9, 13, 40])
def test_max_judge_calls_is_kept_and_used(searcher, limit):
    problem, judge = strict_problem(10, 4, scores_of(3), max_judge_calls=limit)
    plan = plan_of(searcher, problem)
    assert len(judge.asked) == problem.judge_calls <= limit
    # A search that scores new sets one by one uses every call; greedy stops before a step it cannot finish.
    if isinstance(searcher, MCTSSearch) and searcher.backup == "max":
        assert problem.judge_calls == limit
    if isinstance(searcher, (ExhaustiveSearch, RandomSearch)):
        assert problem.judge_calls == limit
    enough = isinstance(searcher, (MCTSSearch, StaticInSchemaOrder)) or getattr(searcher, "lazy", False)
    if limit < 35 and not enough:
        assert plan.stopped == "no judge calls left"


def test_max_judge_calls_holds_in_the_compiled_search():
    for limit in (2, 10, 57):
        surface = random_additive(np.random.default_rng(0), 10)
        problem = surface_problem(surface, 10, 4, max_judge_calls=limit)
        plan = plan_of(MCTSSearch(num_simulations=300), problem)
        assert problem.judge_calls == limit
        assert plan.simulations == limit
        assert plan.stopped == "no judge calls left"


@pytest.mark.parametrize(("limit", "asked"), [(2, 0), (10, 0), (11, 1), (19, 1), (20, 2), (27, 2), (100, 4)])
def test_greedy_stops_before_a_step_it_cannot_finish(limit, asked):
    """1 call for nothing known, then 10, 9, 8, 7: with 19 calls the second step, of 9, is not begun."""
    table = 2.0 + np.array([m.bit_count() for m in range(1 << 10)]) / 4.0
    problem = table_problem(table, 4, max_judge_calls=limit)
    plan = plan_of(GreedySearch(), problem)
    assert plan.path == tuple(range(asked))
    steps = 1 + sum(10 - d for d in range(asked))
    assert steps <= problem.judge_calls <= min(limit, steps + 2**asked)


@every_searcher
@pytest.mark.parametrize("n", [1, 2, 63, 64])
def test_smallest_and_largest_sets_of_attributes(searcher, n):
    """The last attribute is the best, so that bit n - 1 has to work."""
    budget = min(2, n)
    problem, _ = strict_problem(
        n, budget, lambda m: 2.0 + 2.0 * (m >> (n - 1) & 1) - 0.1 * (m.bit_count() > 1)
    )
    plan = plan_of(searcher, problem)
    check_plan(plan, problem, "the test")
    # 60 simulations do not reach every single of 63 attributes, nor do 60 draws of pairs
    thorough = isinstance(searcher, (BeamSearch, ExhaustiveSearch, GreedySearch))
    if thorough or (n < 60 and not isinstance(searcher, StaticInSchemaOrder)):
        assert plan.path == (n - 1,)
        assert plan.scores.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("n", [63, 64])
@pytest.mark.parametrize("budget", [2, 40, 64])
def test_the_compiled_search_takes_64_attributes_and_any_budget(n, budget):
    surface = random_additive(np.random.default_rng(1), n)
    problem = surface_problem(surface, n, budget)
    plan = plan_of(MCTSSearch(num_simulations=200), problem)
    check_plan(plan, problem, "the test")
    assert plan.simulations == 200
    weights = surface.params[1:]
    assert plan.scores[-1] == pytest.approx(2.0 + sum(weights[list(plan.path)]))
    _, _, order = searched(surface_problem(surface, n, budget), num_simulations=200)
    assert max(m.bit_count() for m in order) <= budget
    if budget == 2:
        assert set(plan.path) == set(np.argsort(weights)[-2:].tolist())


@every_searcher
def test_a_budget_above_what_can_be_asked(searcher):
    table = 2.0 + np.array([m.bit_count() for m in range(8)]) / 4.0
    problem = table_problem(table, 50)
    plan = plan_of(searcher, problem)
    assert plan.path == (0, 1, 2)
    assert plan.scores.tolist() == [2.0, 2.25, 2.5, 2.75]


@every_searcher
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("known", [0, 0b101])
def test_nothing_can_be_asked(searcher, known, compiled):
    table = np.full(8, 3.0)
    problem = table_problem(table, 4, known=known, askable=0, compiled=compiled)
    plan = plan_of(searcher, problem)
    assert plan.path == ()
    assert plan.scores.tolist() == [3.0]
    assert problem.judge_calls == 1


@every_searcher
@pytest.mark.parametrize("what", ["nothing known", "every candidate", "everything"])
def test_a_problem_without_scores_fails_at_the_judge(searcher, what):
    unscored = {"nothing known": lambda m: m == 0, "every candidate": bool, "everything": lambda m: True}[
        what
    ]
    problem, _ = strict_problem(5, 2, lambda m: NAN if unscored(m) else 3.0)
    with pytest.raises(PlanningFailed) as failed:
        plan_of(searcher, problem)
    assert failed.value.stage == "judge"


@every_searcher
def test_an_unscored_set_is_never_chosen_and_may_be_passed(searcher):
    """Pairs alone are scored: every path has an unscored first prefix."""
    problem, _ = strict_problem(4, 2, lambda m: NAN if m.bit_count() == 1 else 2.0 + (m == 0b1010))
    if isinstance(searcher, StaticInSchemaOrder):  # of what it knows, nothing is better than no question
        assert plan_of(searcher, problem).path == ()
        return
    if isinstance(searcher, (GreedySearch, BeamSearch)):  # ask about singles alone, and have no candidate
        with pytest.raises(PlanningFailed):
            plan_of(searcher, problem)
        return
    plan = plan_of(searcher, problem)
    assert plan.path == (1, 3)
    assert str(plan.scores.tolist()) == "[2.0, nan, 3.0]"


@every_searcher
@pytest.mark.parametrize("compiled", [False, True])
def test_the_same_seed_gives_the_same_plan(searcher, compiled):
    surface = random_pairs(np.random.default_rng(7), 10)
    plans = [plan_of(searcher, surface_problem(surface, 10, 4, compiled=compiled), seed=5) for _ in range(2)]
    assert plans[0].path == plans[1].path
    assert str(plans[0].scores.tolist()) == str(plans[1].scores.tolist())  # NaN is not itself
    assert str(plans[0].alternatives) == str(plans[1].alternatives)
    assert plans[0].simulations == plans[1].simulations


@every_searcher
@pytest.mark.parametrize("order", ["reversed", "one at a time"])
def test_the_plan_does_not_depend_on_the_order_in_which_a_judge_scores_a_batch(searcher, order):
    score = scores_of(11)

    def scores(masks, samples):
        places = range(len(masks))
        found = np.empty(len(masks))
        for i in reversed(places) if order == "reversed" else places:
            found[i] = score(int(masks[i]))
        return found

    plans = [
        plan_of(searcher, Problem(9, 3, s)) for s in (scores, lambda m, _: [score(x) for x in m.tolist()])
    ]
    assert str(plans[0]) == str(plans[1])


@every_searcher
def test_sets_scored_before_the_search_are_free(searcher):
    """A warm memo (all singles) changes neither the sets that count nor the plan's rules."""
    problem, judge = strict_problem(6, 2, scores_of(2))
    problem.evaluate(np.array(subsets(range(6), 2), np.uint64))
    before = problem.judge_calls
    plan = plan_of(searcher, problem)
    assert problem.judge_calls == before == len(judge.asked) == 22
    if not isinstance(searcher, StaticInSchemaOrder):
        assert plan.scores[-1] == max(scores_of(2)(m) for m in subsets(range(6), 2))


def test_every_configuration_of_a_search_is_held_to_this():
    root = Path(__file__).resolve().parents[3]
    names = {path.stem for path in (root / "conf" / "search").glob("*.yaml")} - {"auto", "custom"}
    assert names <= set(SEARCHERS)


def test_greedy_follows_the_best_next_question():
    """Complements fool it: 0 is best alone, 1 and 2 together are the best pair."""
    table = np.array([2.0, 3.0, 2.1, 3.1, 2.1, 3.2, 5.0, 2.0])
    plan = plan_of(GreedySearch(), table_problem(table, 2))
    assert plan.path == (0, 2)
    assert plan_of(ExhaustiveSearch(), table_problem(table, 2)).path == (1, 2)


def test_greedy_ties_go_to_the_lowest_index_and_costs_count():
    table = np.array([2.0, 3.0, 3.0, 4.0])
    assert plan_of(GreedySearch(), table_problem(table, 1)).path == (0,)
    dear = table_problem(table, 1, costs=np.array([2.0, 1.0]), cost_weight=0.1)
    assert plan_of(GreedySearch(), dear).path == (1,)


def test_greedy_gives_up_when_every_next_question_is_unscored():
    table = np.array([2.0, 3.0, 2.5, NAN])
    plan = plan_of(GreedySearch(), table_problem(table, 2))
    assert plan.path == (0,)
    assert plan.stopped == "every next question is unscored"


def test_exhaustive_refuses_what_is_too_large():
    with pytest.raises(UserError, match=r"search\.max_sets=100.*") as error:
        plan_of(ExhaustiveSearch(max_sets=100), table_problem(np.full(1 << 10, 2.0), 4))
    assert "386 sets" in str(error.value)
    limited = table_problem(np.full(1 << 10, 2.0), 4, max_judge_calls=100)
    assert plan_of(ExhaustiveSearch(max_sets=100), limited).path == ()
    assert limited.judge_calls == 100


def test_random_draws_full_sets_uniformly_and_keeps_the_best():
    problem, judge = strict_problem(5, 2, scores_of(1))
    plan = plan_of(RandomSearch(2000), problem)
    drawn = judge.asked[1:11]
    assert judge.asked[0] == 0
    assert sorted(drawn) == [m for m in range(32) if m.bit_count() == 2]
    assert plan.scores[-1] == max(scores_of(1)(m) for m in judge.asked)
    first = [tuple(plan_first_draw(seed)) for seed in range(600)]
    counts = np.array([first.count(pair) for pair in sorted(set(first))])
    assert len(counts) == 10
    assert counts.min() > 30  # 60 expected, sd 7.3
    assert counts.max() < 95


def plan_first_draw(seed):
    problem, judge = strict_problem(5, 2, scores_of(1))
    plan_of(RandomSearch(1), problem, seed)
    return sorted(bits(judge.asked[1]))


def test_rollouts_score_completions_to_the_budget():
    """Under rollouts every set but the root holds exactly `budget` questions, so that no set is over it."""
    for known in (0, 0b11):
        problem, judge = strict_problem(8, 3, scores_of(0), known=known)
        searched(problem, 1, num_simulations=100, backup="mean", rollout=True, batch_size=1)
        assert judge.asked[0] == known
        assert {(m & ~known).bit_count() for m in judge.asked[1:]} == {3}


def first_look(selection, table, n_simulations, **options):
    """Return the sets in the order in which a search of a 3-attribute table scores them."""
    options = {"exploration": 1.0, "batch_size": 1} | options
    return searched(
        table_problem(np.array(table), 1), selection=selection, num_simulations=n_simulations, **options
    )[2]


@pytest.mark.parametrize("selection", ["puct", "uct"])
def test_untried_edges_that_tie_go_to_the_lowest_index(selection):
    assert first_look(selection, [2.0] * 8, 4) == [0, 1, 2, 4]


@pytest.mark.parametrize("selection", ["puct", "uct"])
def test_tried_edges_that_tie_go_to_the_lowest_index(selection):
    """Mean backup revisits: after each single was seen once, all equal, the fifth goes to attribute 0."""
    tree, _, _ = searched(
        table_problem(np.full(8, 2.0), 1, compiled=True),
        selection=selection,
        backup="mean",
        exploration=1.0,
        num_simulations=5,
    )
    assert edges_of(tree, 0) == {0: 2, 1: 1, 2: 1}


def test_a_tie_of_a_tried_and_an_untried_edge_goes_to_the_lowest_index():
    """No exploration: edge 1 (untried) is worth no more than edge 0 (tried)."""
    options = {"exploration": 0.0, "backup": "mean", "num_simulations": 3}
    tree, _, _ = searched(table_problem(np.full(4, 2.0), 1, compiled=True), **options)
    assert edges_of(tree, 0) == {0: 2}
    tree, _, _ = searched(table_problem(np.full(4, 2.0), 1, compiled=True), selection="uct", **options)
    assert edges_of(tree, 0) == {0: 1, 1: 1}  # uct: untried edges first


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_simulations": 0}, "search.num_simulations: found 0"),
        ({"selection": "ucb"}, "search.selection: found 'ucb'"),
        ({"backup": "sum"}, "search.backup: found 'sum'"),
        ({"rollout": True}, "search.rollout"),
        ({"batch_size": 0}, "search.batch_size: found 0"),
        ({"exploration": -1.0}, "search.exploration: found -1.0"),
        ({"exploration": NAN}, "search.exploration: found nan"),
    ],
)
def test_options_out_of_range_are_told(options, words):
    with pytest.raises(UserError) as error:
        MCTSSearch(**options)
    assert words in str(error.value)


def test_random_search_needs_a_simulation():
    with pytest.raises(UserError, match=r"search\.num_simulations: found 0"):
        RandomSearch(0)


def test_a_search_that_asks_too_much_is_stopped():
    problem = table_problem(np.full(8, 2.0), 2, max_judge_calls=3)
    with pytest.raises(JudgeCallsSpent):
        problem.evaluate(np.array([0, 1, 2, 4], np.uint64))
    assert problem.judge_calls == 0
