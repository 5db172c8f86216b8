"""`Problem`, what a search sees, and `JudgeScores`, what stands behind it."""

import math

import numpy as np
import pytest

from envs import Score, UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from search.problem import JudgeCallsSpent, Problem
from search.scenario_problem import JudgeScores, scenario_problem
from tests.search.search_cases import TELLTALE, TableJudge, scenario_of

NAN = math.nan


def counting(n=4, budget=2, **options):
    """Return (problem, list of the (mask, sample) it asked for); score = 1 + mask / 16 + sample."""
    asked = []

    def scores(masks, samples):
        assert masks.dtype == np.uint64
        assert samples.dtype == np.int64
        asked.extend(zip(masks.tolist(), samples.tolist(), strict=True))
        return 1.0 + masks / 16.0 + samples

    return Problem(n, budget, scores, **options), asked


def masks(*values):
    return np.array(values, np.uint64)


@pytest.mark.parametrize(
    ("n", "budget", "words"),
    [
        (0, 1, "found 0 attributes, expected 1 to 64"),
        (65, 1, "found 65 attributes, expected 1 to 64"),
        (3, 0, "budget: found 0"),
        (3, -2, "budget: found -2"),
    ],
)
def test_sizes_out_of_range_are_told(n, budget, words):
    with pytest.raises(UserError) as error:
        counting(n, budget)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"costs": np.ones(3)}, "costs"),
        ({"costs": np.array([1.0, NAN, 1.0, 1.0])}, "costs"),
        ({"known": 1 << 4}, "known"),
        ({"askable": 1 << 5}, "askable"),
    ],
)
def test_fields_that_do_not_fit_are_told(options, words):
    with pytest.raises(UserError) as error:
        counting(4, 2, **options)
    assert words in str(error.value)


def test_defaults():
    problem, _ = counting(64, 3)
    assert int(problem.askable) == 2**64 - 1
    assert (problem.askable.dtype, problem.known.dtype) == (np.uint64, np.uint64)
    assert problem.costs.tolist() == [1.0] * 64
    assert problem.codes.tolist() == [-1] * 64
    assert problem.codes.dtype == np.int8
    assert (problem.group, problem.surface, problem.calls_left) == ("other", None, None)
    assert problem.prior(0) is None
    assert not problem.has_prior


def test_what_is_known_cannot_be_asked():
    problem, _ = counting(4, 2, known=0b0011, askable=0b0111)
    assert int(problem.askable) == 0b0100
    assert problem.cost(0b0111) == 1.0  # of the question alone


def test_a_repeat_is_free_and_order_is_kept():
    problem, asked = counting()
    found = problem.evaluate(masks(3, 1, 3, 0))
    assert found.tolist() == [1 + 3 / 16, 1 + 1 / 16, 1 + 3 / 16, 1.0]
    assert asked == [(3, 0), (1, 0), (0, 0)]
    problem.evaluate(masks(0, 2, 1))
    assert asked[3:] == [(2, 0)]
    assert problem.judge_calls == 4
    seen, samples, scores = problem.observations()
    assert (seen.tolist(), samples.tolist()) == ([3, 1, 0, 2], [0] * 4)
    assert scores.tolist() == [1 + m / 16 for m in (3, 1, 0, 2)]
    assert (seen.dtype, samples.dtype, scores.dtype) == (np.uint64, np.int64, np.float64)


def test_each_sample_is_a_call_of_its_own():
    problem, asked = counting()
    assert problem.evaluate(masks(1, 1, 1), [0, 2, 0]).tolist() == [1.0625, 3.0625, 1.0625]
    assert asked == [(1, 0), (1, 2)]
    assert problem.evaluate(masks(1), [1]).tolist() == [2.0625]
    assert problem.judge_calls == 3


def test_an_unscored_set_is_remembered_and_not_asked_again():
    asked = []

    def scores(sets, samples):
        asked.extend(sets.tolist())
        return np.full(len(sets), NAN)

    problem = Problem(2, 1, scores)
    assert np.isnan(problem.evaluate(masks(0, 1))).all()
    assert np.isnan(problem.evaluate(masks(1, 0))).all()
    assert asked == [0, 1]
    assert problem.judge_calls == 2  # it was asked: it counts


def test_empty_batches_are_free():
    problem, asked = counting()
    assert problem.evaluate(masks()).shape == (0,)
    assert asked == []
    assert all(len(column) == 0 for column in problem.observations())


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (0b0000, "expected known 0x1"),
        (0b1001, "some of askable 0x6"),
        (0b10001, "some of askable 0x6"),
        (0b0111, "expected at most the budget of 1"),
    ],
)
def test_sets_that_break_a_rule_are_refused_and_nothing_is_scored(mask, words):
    problem, asked = counting(4, 1, known=0b0001, askable=0b0110)
    with pytest.raises(ValueError, match="set 0x") as error:
        problem.evaluate(masks(0b0001, mask))
    assert words in str(error.value)
    assert asked == []
    assert problem.judge_calls == 0


def test_the_limit_counts_new_pairs_alone():
    problem, asked = counting(max_judge_calls=3)
    problem.evaluate(masks(0, 1))
    assert problem.calls_left == 1
    with pytest.raises(JudgeCallsSpent):
        problem.evaluate(masks(2, 4))
    assert len(asked) == 2
    problem.evaluate(masks(0, 1, 0))  # repeats, free
    problem.evaluate(masks(0), [1])
    assert problem.calls_left == 0
    assert problem.evaluate(masks(0, 1)).tolist() == [1.0, 1.0625]
    with pytest.raises(JudgeCallsSpent):
        problem.evaluate(masks(8))


def test_cost_and_objective():
    problem, _ = counting(costs=np.array([1.0, 2.0, 4.0, 8.0]), cost_weight=0.5)
    assert problem.cost(0b1010) == 10.0
    assert problem.objective(0b1010, 4.0) == -1.0
    assert math.isnan(problem.objective(1, NAN))
    free, _ = counting(costs=np.array([math.pi] * 4))
    assert free.objective(0b11, 4.0) == 4.0


def test_scores_of_a_judge_by_names_in_schema_order():
    class Recorder:
        def score(self, scenario, contexts):
            self.contexts = list(contexts)
            return [Score(3, 4, 5), 2, np.float32(2.5), 9.0][: len(contexts)]

    judge = Recorder()
    problem = scenario_problem(scenario_of(5), judge, 3)
    found = problem.evaluate(masks(0, 0b10010, 0b00101, 1))
    assert judge.contexts == [(), ("a01", "a04"), ("a00", "a02"), ("a00",)]
    assert found[:3].tolist() == [4.0, 2.0, 2.5]
    assert math.isnan(found[3])  # outside [1, 5] is unscored


def test_a_problem_of_a_scenario_has_its_fields():
    scenario = scenario_of(5, known_values=[0, 2, 3])
    problem = scenario_problem(scenario, TableJudge({}), 3, cost_weight=0.5, max_judge_calls=9)
    assert int(problem.askable) == 0b01101
    assert int(problem.known) == 0
    assert problem.costs.tolist() == [1.0, 2.0, 3.0, 1.0, 2.0]
    assert (problem.n_attributes, problem.budget, problem.group) == (5, 3, "other")
    assert (problem.cost_weight, problem.calls_left, problem.surface) == (0.5, 9, None)


def test_a_stochastic_judge_gets_the_samples():
    class Noisy:
        stochastic = True

        def score(self, scenario, contexts, samples):
            assert isinstance(samples, list)
            return [2.0 + len(c) / 4 + s / 8 for c, s in zip(contexts, samples, strict=True)]

    problem = scenario_problem(scenario_of(3), Noisy(), 2)
    assert problem.evaluate(masks(0, 1, 1), [0, 0, 3]).tolist() == [2.0, 2.25, 2.625]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([3.0], "found 1 scores, expected 2"),
        ([3.0] * 3, "found 3 scores, expected 2"),
        ([3.0, "4"], "found a str"),
        ([3.0, None], "found a NoneType"),
        ([3.0, [4.0]], "found a list"),
        ([3.0, True], "found a bool"),
        (None, "found a NoneType"),
        (3.0, "found a float"),
        ((s for s in [3.0, 3.0]), "found a generator"),
    ],
)
def test_a_judge_that_returns_nonsense_is_named(answer, words):
    class BadJudge:
        def score(self, scenario, contexts):
            return answer

    with pytest.raises(UserError) as error:
        JudgeScores(scenario_of(2), BadJudge())(masks(0, 1), np.zeros(2, np.int64))
    message = str(error.value)
    assert "BadJudge" in message
    assert "scenario case" in message
    assert words in message
    assert TELLTALE not in message
    assert "\n" not in message


@pytest.mark.parametrize("preset", ["published", "varied"])
def test_the_surface_is_the_twin_of_evaluate(preset):
    for scenario in load_bundled()[::35]:
        problem = scenario_problem(scenario, SimulatedJudge(preset=preset), 10)
        asked = np.arange(0, 1024, 7, dtype=np.uint64) & problem.askable
        function, params = problem.surface
        np.testing.assert_allclose(
            problem.evaluate(asked), [function(m, params) for m in asked], rtol=0, atol=1e-12
        )


def test_a_noisy_judge_has_no_surface():
    judge = SimulatedJudge(noise_std=0.17)
    assert scenario_problem(load_bundled()[0], judge, 4).surface is None


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_problem_says_whether_its_judge_is_noisy_and_what_it_asks_about(noise):
    scenario = load_bundled()[0]
    problem = scenario_problem(scenario, SimulatedJudge(noise_std=noise), 3)
    assert problem.noisy == (noise > 0)
    assert problem.names == tuple(scenario.schema.names)
    assert counting()[0].names == ("0", "1", "2", "3")
    assert not counting()[0].noisy


def test_another_number_of_names_is_refused():
    with pytest.raises(UserError, match="found 2 names, expected 4"):
        counting(names=["a", "b"])
