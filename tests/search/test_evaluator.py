"""`Evaluator`: one call for each (set, sample), within a limit that the report does not have."""

from collections import Counter
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from envs import UserError
from search.algorithms.exhaustive import ExhaustiveSearch
from search.evaluator import Evaluator, JudgeCallsSpent, SetRules
from search.planning import PlanOptions, plan_scenario
from search.problem import Plan, Problem, describe_searcher
from tests.search.search_cases import TableJudge, scenario_of

RULES = SetRules(known=0b1, askable=0b1110, budget=2)


def masks(*values):
    return np.array(values, np.uint64)


def scores(sets, samples):
    return 1.0 + sets / 16.0 + samples


def test_without_limit_shares_what_is_scored_and_leaves_the_other_limited():
    asked = []

    def counted(sets, samples):
        asked.extend(sets.tolist())
        return scores(sets, samples)

    search = Evaluator(counted, RULES, max_judge_calls=2)
    search.evaluate(masks(0b1, 0b11))
    report = search.without_limit()
    assert report.evaluate(masks(0b1, 0b11, 0b111)).tolist() == [1 + m / 16 for m in (0b1, 0b11, 0b111)]
    assert asked == [0b1, 0b11, 0b111]  # what the search has scored is free
    assert (report.calls_left, search.max_judge_calls) == (None, 2)
    assert search.judge_calls == report.judge_calls == 3
    with pytest.raises(JudgeCallsSpent):
        search.evaluate(masks(0b101))


def test_what_a_search_has_scored_itself_counts_and_is_not_asked_again():
    asked = []

    def counted(sets, samples):
        asked.extend(sets.tolist())
        return scores(sets, samples)

    found = Evaluator(counted, RULES, max_judge_calls=4)
    found.evaluate(masks(0b1))
    found.keep(masks(0b11, 0b101), np.array([2.5, np.nan]))
    assert (found.judge_calls, found.calls_left) == (3, 1)
    assert found.evaluate(masks(0b101, 0b11, 0b1001)).tolist()[1:] == [2.5, 1 + 0b1001 / 16]
    assert asked == [0b1, 0b1001]
    sets, samples, values = found.observations()
    assert sets.tolist() == [0b1, 0b11, 0b101, 0b1001]
    assert (samples.tolist(), np.isnan(values).tolist()) == ([0] * 4, [False, False, True, False])
    with pytest.raises(JudgeCallsSpent):
        found.evaluate(masks(0b111))


def test_scores_that_are_too_few_are_no_scores():
    with pytest.raises(ValueError, match="1 scores of 2 sets"):
        Evaluator(lambda sets, samples: [2.0], RULES).evaluate(masks(0b1, 0b11))


def test_the_rules_hold_without_a_limit_too():
    with pytest.raises(ValueError, match="budget of 2"):
        Evaluator(scores, RULES, 1).without_limit().evaluate(masks(0b1111))


def test_reasons_are_told_the_most_frequent_first():
    assert Evaluator(scores, RULES).told_reasons() == ""
    reasons = Counter({"parse": 1, "refused": 3})
    assert Evaluator(scores, RULES, reasons=reasons).told_reasons() == " (refused 3, parse 1)"


@pytest.mark.parametrize("field", ["max_judge_calls", "noisy", "surface", "budget", "reasons", "scores"])
def test_a_problem_is_a_specification_that_does_not_change(field):
    with pytest.raises(FrozenInstanceError):
        setattr(Problem(3, 2, scores), field, None)


def test_another_problem_like_it_starts_with_nothing_scored():
    problem = Problem(3, 2, scores, known=1, names="abc", cost_weight=0.5, max_judge_calls=2)
    problem.evaluate(masks(1))
    other = replace(problem, noisy=True)
    assert (problem.judge_calls, other.judge_calls) == (1, 0)
    assert (other.noisy, other.calls_left, other.names) == (True, 2, ("a", "b", "c"))
    assert (int(other.known), int(other.askable), other.cost_weight) == (0b1, 0b110, 0.5)


def test_the_report_leaves_the_search_its_limit():
    kept = []

    class Keeps(ExhaustiveSearch):
        def plan(self, problem, rng):
            kept.append(problem)
            return super().plan(problem, rng)

    class Noisy(TableJudge):
        stochastic = True

        def score(self, scenario, contexts, samples):
            return super().score(scenario, contexts)

    options = PlanOptions(budget=2, max_judge_calls=12, report_samples=8)
    row = plan_scenario(scenario_of(4), Noisy({0b11: 4.0}), Keeps(), options)
    assert row.search_calls <= 12 < row.judge_calls  # the report's samples come on top
    assert kept[0].max_judge_calls == 12
    with pytest.raises(JudgeCallsSpent):
        kept[0].evaluate(masks(0b1), [999])


class Bare:
    def plan(self, problem, rng):
        return Plan((), np.array([3.0]))


def test_a_bare_searcher_declares_nothing():
    found = describe_searcher(Bare())
    assert found.name == "Bare"
    absent = (found.num_simulations, found.fit, found.warm_up, found.most_judge_calls)
    assert absent == (None, None, None, None)


def test_a_searcher_of_a_wrong_type_is_one_clear_error():
    searcher = Bare()
    searcher.fit = True
    with pytest.raises(UserError, match=r"search Bare: fit is True, expected a method fit\(observations\)"):
        describe_searcher(searcher)
