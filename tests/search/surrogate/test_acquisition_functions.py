"""Acquisition functions by hand: two equal sets that may be the best, and a third out of the race."""

import math

import numpy as np
import pytest

from search.core.acquisition_kernels import expected_maximum, times_highest
from search.surrogate.acquisition_functions import AcquisitionFunctions

MEAN = np.array([3.0, 3.0, 0.0])
VARIANCE = np.array([0.04, 0.09, 0.25])


class Independent:
    """Beliefs about sets that tell nothing of each other."""

    variance = VARIANCE
    noise = 0.3

    def covariance(self, some):
        return np.diag(VARIANCE)[some]


@pytest.mark.parametrize("evaluations", [1, 4])
def test_knowledge_gradient_of_equal_rivals(evaluations):
    """E max(3, 3 + c Z) - 3 = c / sqrt(2 pi); nothing where no outcome changes the choice."""
    found = AcquisitionFunctions(MEAN, Independent(), drawn=False).knowledge_gradient(evaluations)
    c = VARIANCE / np.sqrt(VARIANCE + 0.09 / evaluations)
    assert found[:2] == pytest.approx(c[:2] / math.sqrt(2 * math.pi), rel=0.15)  # a kink, by seven nodes
    assert found[2] == pytest.approx(0.0, abs=1e-9)
    assert found[1] > found[0]


def test_settling_takes_variance_from_the_difference_of_rivals():
    """Each is the best with chance 1/2: p_0 p_1 c_S^2 for an evaluation of either, 0 for the third."""
    found = AcquisitionFunctions(MEAN, Independent(), drawn=True).top_two_variance(np.random.default_rng(0))
    c = VARIANCE / np.sqrt(VARIANCE + 0.09)
    assert found[:2] == pytest.approx(c[:2] ** 2 / 4, rel=0.05)
    assert found[2] == pytest.approx(0.0, abs=1e-9)


def test_settling_passes_over_what_cannot_be_the_best():
    """The uncertain third set draws no look, however uncertain; a rival that is close draws some."""
    beliefs = Independent()
    close = AcquisitionFunctions(np.array([3.0, 2.9, 2.8]), beliefs, drawn=True)
    near = close.top_two_variance(np.random.default_rng(0))
    assert np.all(near > 0)
    assert near.argmax() == 2


def test_loops_against_numpy():
    rng = np.random.default_rng(0)
    mean, draws = rng.normal(size=7), rng.normal(size=(7, 300))
    draws[2], mean[2] = draws[5], mean[5]  # equal: the first counts
    first = (mean[:, None] + draws).argmax(axis=0)
    assert times_highest(mean, draws).tolist() == np.bincount(first, minlength=7).tolist()
    covariance, spread = rng.normal(size=(7, 9)), rng.uniform(0.5, 2.0, 9)
    nodes, weights = rng.normal(size=3), rng.uniform(size=3)
    best = (mean[:, None, None] + (covariance / spread)[:, :, None] * nodes).max(axis=0)
    np.testing.assert_allclose(expected_maximum(mean, covariance, spread, nodes, weights), best @ weights)
