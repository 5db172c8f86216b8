"""BoTorch as a search to compare with: the best of a small problem, limits, noise, and the extra it needs."""

import importlib.util

import numpy as np
import pytest

from envs import UserError
from experiments.comparison.botorch_search import BoTorchSearch
from search.planning import check_plan
from search.problem import Problem

needs_botorch = pytest.mark.skipif(
    importlib.util.find_spec("botorch") is None, reason="needs BoTorch (the extra `botorch`)"
)
N, KNOWN = 6, 0b100000
WEIGHTS = np.array([0.1, 0.9, 0.3, -0.4, 0.6, 5.0])


def true(masks):
    bits = masks[:, None] >> np.arange(N, dtype=np.uint64) & np.uint64(1)
    return 1.0 + bits.astype(float) @ WEIGHTS / 3


def problem(noise, **options):
    def scores(masks, samples):
        pairs = zip(masks.tolist(), samples.tolist(), strict=True)
        drawn = [np.random.default_rng(pair).standard_normal() for pair in pairs]
        return true(masks) + noise * np.array(drawn)

    return Problem(N, 2, scores, known=KNOWN, noisy=noise > 0, **options)


@needs_botorch
@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_it_finds_the_best_set_within_its_calls_and_the_same_again(noise):
    runs = []
    for _ in range(2):
        asked = problem(noise, max_judge_calls=14)
        plan = BoTorchSearch(num_simulations=100, draws=64).plan(asked, np.random.default_rng(3))
        check_plan(plan, asked, "the test")
        assert asked.judge_calls <= 14
        runs.append((plan.path, plan.scores.tolist()))
    assert runs[0] == runs[1]
    assert set(runs[0][0]) == {1, 4}
    np.testing.assert_allclose(runs[0][1][-1], true(np.array([KNOWN | 0b010010], np.uint64))[0], atol=0.15)


@needs_botorch
@pytest.mark.slow
def test_costs_keep_a_dear_attribute_out():
    dear = np.where(np.arange(N) == 1, 9.0, 0.1)
    asked = problem(0.0, max_judge_calls=14, costs=dear, cost_weight=0.1)
    plan = BoTorchSearch(draws=64).plan(asked, np.random.default_rng(0))
    assert set(plan.path) == {2, 4}


def test_without_the_extra_it_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"botorch is not installed, expected pip install 'raise-planner\[botorch\]'"
    ):
        BoTorchSearch()
