"""Planning one scenario: searchers of users that return nonsense, and what the report does with gaps."""

import math

import numpy as np
import pytest

from envs import UserError
from envs.judges.protocol import Surface
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.mcts import MCTSSearch
from search.planning import PlanOptions, plan_scenario, scenario_rng
from search.problem import Plan, PlanningFailed
from tests.search.search_cases import TELLTALE, TableJudge, scenario_of
from tests.search.surrogate.surfaces import lookup

NAN = math.nan
SCENARIO = scenario_of(4, known_values=[0, 1, 2])


def rising(n=4, step=0.5):
    return TableJudge({m: 2.0 + step * m.bit_count() for m in range(1 << n)})


class Returns:
    """A user's searcher that returns `plan` whatever it is asked."""

    def __init__(self, plan):
        self.plan = lambda problem, rng: plan


NONSENSE = {
    "nothing": (None, "found a NoneType, expected a Plan"),
    "a tuple": ((0, 1), "found a tuple, expected a Plan"),
    "twice": (Plan((0, 0), np.full(3, 2.0)), "attribute 0 twice"),
    "not askable": (Plan((3,), np.full(2, 2.0)), "attribute 3, which is not askable"),
    "negative": (Plan((-1,), np.full(2, 2.0)), "attribute -1, which is not askable"),
    "too large": (Plan((64,), np.full(2, 2.0)), "attribute 64, which is not askable"),
    "over the budget": (Plan((0, 1, 2), np.full(4, 2.0)), "3 attributes, expected at most 2"),
    "scores short": (Plan((0, 1), np.full(2, 2.0)), "shape (2,), expected (3,)"),
    "scores nested": (Plan((0,), np.full((1, 2), 2.0)), "shape (1, 2), expected (2,)"),
    "no scores": (Plan((0,), None), "expected (2,)"),
    "scores in words": (Plan((0,), ["2", "x"]), "scores"),
    "final score missing": (Plan((0,), np.array([2.0, NAN])), "final score"),
    "names for a path": (Plan(("a00",), np.full(2, 2.0)), "schema indices"),
    "fractions for a path": (Plan((0.5,), np.full(2, 2.0)), "schema indices"),
    "no path": (Plan(None, np.full(1, 2.0)), "schema indices"),
    "a number for a path": (Plan(1, np.full(1, 2.0)), "schema indices"),
}


@pytest.mark.parametrize(("plan", "words"), NONSENSE.values(), ids=NONSENSE)
def test_a_searcher_that_returns_nonsense_is_named(plan, words):
    with pytest.raises(UserError) as error:
        plan_scenario(SCENARIO, rising(), Returns(plan), PlanOptions(budget=2))
    message = str(error.value)
    assert message.startswith("search Returns, scenario case: ")
    assert words in message
    assert TELLTALE not in message
    assert "\n" not in message


def test_what_is_a_plan_is_taken():
    for path in [(), (2,), (1, 0), [np.int64(0), np.int64(2)]]:
        row = plan_scenario(
            SCENARIO, rising(), Returns(Plan(path, [2.0] * (len(path) + 1))), PlanOptions(budget=2)
        )
        assert row.path == tuple(f"a{i:02d}" for i in path)
        assert row.path_scores == tuple(2.0 + 0.5 * d for d in range(len(path) + 1))


@pytest.mark.parametrize(("believed", "stored"), [(7.5, 5.0), (-1.0, 1.0), (4.25, 4.25)])
def test_what_a_searcher_believes_is_stored_within_the_range_of_scores(believed, stored):
    plan = Plan((0,), [2.0, believed])
    assert plan_scenario(SCENARIO, rising(), Returns(plan), PlanOptions(budget=2)).search_score == stored


def test_the_search_never_asks_beyond_the_budget_and_the_report_asks_once_for_everything():
    for searcher in (MCTSSearch(), GreedySearch(), ExhaustiveSearch()):
        judge = rising(6, 0.25)
        row = plan_scenario(scenario_of(6), judge, searcher, PlanOptions(budget=2))
        assert max(m.bit_count() for m in judge.asked[:-1]) == 2
        assert judge.asked[-1] == 63
        assert row.score_full == 3.5
        assert row.path == ("a00", "a03")  # all pairs tie: the cheapest
        assert row.judge_calls == len(judge.asked) - 1


def test_a_search_that_spends_more_than_its_calls_is_planned_from_what_it_has():
    class Greedy:
        """Asks for everything, in pairs, until it is stopped."""

        def plan(self, problem, rng):
            for mask in range(0, 8, 2):
                problem.evaluate(np.array([mask, mask + 1], np.uint64))
            raise AssertionError("it was to be stopped")

    judge = rising()
    row = plan_scenario(SCENARIO, judge, Greedy(), PlanOptions(budget=3, max_judge_calls=5))
    assert row.stopped == "no judge calls left"
    assert row.path == ("a00", "a01")
    assert row.search_calls <= 5


class Lucky(TableJudge):
    """All sets are worth 3 and evaluations say 2.6 and 3.4 in turn; the first one at {0, 1} says 4."""

    stochastic = True

    def score(self, scenario, contexts, samples):
        evaluations = zip(contexts, samples, strict=True)
        return [4.0 if seen == (("a00", "a01"), 0) else 2.6 + 0.8 * (seen[1] % 2) for seen in evaluations]


class Stopped:
    """Evaluations `repeats` times at six sets and once at {0, 1}, then asks for more than there is."""

    def __init__(self, repeats):
        self.repeats = repeats

    def plan(self, problem, rng):
        for mask in (0, 1, 2, 4, 5, 6):
            problem.evaluate(np.full(self.repeats, mask, np.uint64), range(self.repeats))
        problem.evaluate(np.array([3], np.uint64))
        problem.evaluate(np.arange(7, dtype=np.uint64), [50] * 7)
        raise AssertionError("it was to be stopped")


def test_what_a_stopped_search_saw_under_noise_is_believed_as_far_as_its_looks_go():
    searcher = Stopped(4)
    spent = plan_scenario(SCENARIO, Lucky({}), searcher, PlanOptions(budget=2, max_judge_calls=25))
    assert (spent.stopped, spent.search_calls) == ("no judge calls left", 25)
    assert spent.search_score < 3.6  # the one evaluation at {0, 1} said 4
    left = plan_scenario(SCENARIO, Lucky({}), searcher, PlanOptions(budget=2, max_judge_calls=31))
    assert left.search_calls > 25  # what is left is spent on looking again
    assert left.search_score < 3.3
    assert left.score == 3.0


def test_an_unscored_prefix_is_null_and_the_final_score_is_not():
    values = {m: NAN if m.bit_count() == 1 else 2.0 + m.bit_count() / 4 for m in range(16)}
    row = plan_scenario(SCENARIO, TableJudge(values), MCTSSearch(), PlanOptions(budget=2))
    assert row.path_scores == (2.0, None, 2.5)
    assert (row.score, row.search_score, row.score_stderr, row.n_samples) == (2.5, 2.5, 0.0, 1)


@pytest.mark.parametrize("gaps", ["nothing known", "every candidate"])
def test_no_scores_is_a_failure_of_the_judge(gaps):
    values = {m: NAN if (m == 0) == (gaps == "nothing known") else 3.0 for m in range(16)}
    with pytest.raises(PlanningFailed) as failed:
        plan_scenario(SCENARIO, TableJudge(values), MCTSSearch(), PlanOptions(budget=2))
    assert failed.value.stage == "judge"


class FalseTwin(TableJudge):
    """Its surface says .5 more of every set with a question than it says itself."""

    def surface(self, scenario):
        table = [self.values[m] + (0.5 if m else 0.0) for m in range(1 << len(scenario.schema))]
        return Surface(lookup, np.array(table))


def test_the_report_asks_the_judge_itself_where_the_search_took_its_surface():
    judge = FalseTwin({m: 2.0 + 0.5 * m.bit_count() for m in range(1 << 4)})
    plan = plan_scenario(SCENARIO, judge, MCTSSearch(20), PlanOptions(budget=2))
    assert (plan.search_score, plan.score, plan.path_scores) == (3.5, 3.0, (2.0, 2.5, 3.0))
    assert (plan.score_full, plan.full_calls) == (3.5, 1)
    assert plan.judge_calls == plan.search_calls == plan.num_simulations == 7
    assert set(judge.asked) <= {0, 1, 2, 3, 4, 5, 6, 7}
    assert len(judge.asked) == 4  # the path's three prefixes, and everything


class InArrays(TableJudge):
    """Scores sets as arrays; asked by names it would fail."""

    score = None

    def score_sets(self, scenario, masks, samples):
        assert samples.tolist() == [0] * len(masks)
        return np.array([self.values[m] for m in masks.tolist()])


def test_a_judge_that_computes_in_arrays_is_asked_in_arrays():
    values = {m: 2.0 + 0.5 * m.bit_count() for m in range(1 << 4)}
    one, other = (
        plan_scenario(SCENARIO, kind(values), MCTSSearch(20), PlanOptions(budget=2))
        for kind in (InArrays, TableJudge)
    )
    assert (one.path, one.path_scores, one.judge_calls) == (other.path, other.path_scores, other.judge_calls)


def test_arrays_out_of_range_are_unscored_and_arrays_of_another_shape_are_told():
    values = {m: 2.0 + 0.5 * m.bit_count() for m in range(1 << 4)} | {0b11: 7.0}
    plan = plan_scenario(SCENARIO, InArrays(values), ExhaustiveSearch(), PlanOptions(budget=2))
    assert (plan.path, plan.score) == ((SCENARIO.schema.names[0], SCENARIO.schema.names[2]), 3.0)

    class Short(InArrays):
        def score_sets(self, scenario, masks, samples):
            return np.ones(1, int)

    told = (
        r"judge Short, scenario case: score_sets gave int64 of shape \(1,\), expected floats of shape \(7,\)"
    )
    with pytest.raises(UserError, match=told):
        plan_scenario(SCENARIO, Short(values), ExhaustiveSearch(), PlanOptions(budget=2))


def test_the_generator_belongs_to_seed_and_id_alone():
    draws = {key: scenario_rng(*key).integers(1 << 62) for key in [(0, "a"), (0, "b"), (1, "a"), (1, "b")]}
    assert len(set(draws.values())) == 4
    assert scenario_rng(0, "a").integers(1 << 62) == draws[0, "a"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 0}, "budget: found 0"),
        ({"budget": True}, "budget: found True"),
        ({"budget": 2.0}, "budget: found 2.0"),
        ({"report_samples": 0}, "report_samples: found 0"),
        ({"max_judge_calls": 1}, "search.max_judge_calls: found 1"),
        ({"cost_weight": -0.1}, "cost_weight: found -0.1"),
        ({"cost_weight": NAN}, "cost_weight: found nan"),
    ],
)
def test_options_out_of_range_are_told(options, words):
    with pytest.raises(UserError) as error:
        PlanOptions(**options)
    assert words in str(error.value)
