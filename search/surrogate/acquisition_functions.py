"""Acquisition functions: how much one more evaluation of each set is expected to help.

Both read c_i(S) = cov(s_i, s_S) / sqrt(var(s_S) + noise^2), how far one evaluation at S may move what is
believed of the set i.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from search.core.acquisition_kernels import expected_maximum, times_highest, weighted_spread
from search.core.linear_algebra import cholesky, product

_NODES = {
    0.0: 16 / 35,
    **{sign * 1.1544053947399682: 0.24012317860501273 for sign in (-1, 1)},
    **{sign * 2.366759410734541: 0.030757123967586498 for sign in (-1, 1)},
    **{sign * 3.7504397177257425: 0.0005482688559722178 for sign in (-1, 1)},
}
"""{node: weight} of Gauss-Hermite quadrature of order 7. Written down, for NumPy finds them by LAPACK."""
_AT, _WEIGHT = np.array(list(_NODES)), np.array(list(_NODES.values()))
_RIVALS = 40
"""Sets, the most promising ones, among which the maximum is taken."""
_DRAWN_RIVALS, _DRAWS = 100, 256
"""The same where the best set is drawn, and how often."""
_JITTER = 1e-6


class Gaussian(Protocol):
    """Beliefs about C sets: `variance`: float64[C]; `noise`: sd of an evaluation."""

    variance: np.ndarray
    noise: float

    def covariance(self, some: np.ndarray) -> np.ndarray:
        """Return float64[S, C], between the sets at the indices `some` and all."""
        ...


class AcquisitionFunctions:
    """The acquisition functions in one state of belief.

    Parameters
    ----------
    mean : float64[C], objectives believed
    beliefs : about the same sets
    drawn : whether `top_two_variance` will be asked for
    """

    def __init__(self, mean: np.ndarray, beliefs: Gaussian, drawn: bool) -> None:
        self._beliefs = beliefs
        promise = mean + np.sqrt(beliefs.variance)
        self._rivals = np.argsort(-promise, kind="stable")[: _DRAWN_RIVALS if drawn else _RIVALS]
        self._mean = mean[self._rivals]
        self._covariance = beliefs.covariance(self._rivals)

    def knowledge_gradient(self, evaluations: int) -> np.ndarray:
        """Return float64[C], E[max_i (mean_i + c_i(S) Z)] - max_i mean_i of `evaluations` looks at each set.

        Frazier, Powell & Dayanik 2009, correlated beliefs; Z is standard normal, by Gauss-Hermite quadrature.
        """
        spread = np.sqrt(self._beliefs.variance + self._beliefs.noise**2 / evaluations + 1e-9)
        mean, covariance = self._mean[:_RIVALS], self._covariance[:_RIVALS]
        found: np.ndarray = expected_maximum(mean, covariance, spread, _AT, _WEIGHT) - mean.max()
        return found

    def top_two_variance(self, rng: np.random.Generator) -> np.ndarray:
        """Return float64[C], sum_ij p_i p_j (c_i(S) - c_j(S))^2 / 2 of an evaluation of each set S.

        It is the variance that the look takes from the differences between sets that may be the best, p_i
        being the chance that i is: the top-two idea (Russo 2020) with every pair, weighed by Thompson draws.
        """
        count = len(self._rivals)
        among = np.ascontiguousarray(self._covariance[:, self._rivals])
        root = cholesky(among + _JITTER * np.eye(count))
        draws = product(root, rng.standard_normal((_DRAWS, count)).T)
        best = times_highest(self._mean, draws) / _DRAWS
        spread = weighted_spread(self._covariance, best)
        return np.asarray(spread / (self._beliefs.variance + self._beliefs.noise**2 + 1e-9))
