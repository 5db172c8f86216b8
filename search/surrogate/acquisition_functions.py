"""Acquisition functions: how much one more evaluation of each set is expected to help.

Both read c_i(S) = cov(s_i, s_S) / sqrt(var(s_S) + noise^2), how far one evaluation at S may move what is
believed of the set i.
"""

from __future__ import annotations

import numpy as np

from search.core.linear_algebra import cholesky, product
from search.surrogate.posterior import Beliefs

_NODES = {
    0.0: 16 / 35,
    **{sign * 1.1544053947399682: 0.24012317860501273 for sign in (-1, 1)},
    **{sign * 2.366759410734541: 0.030757123967586498 for sign in (-1, 1)},
    **{sign * 3.7504397177257425: 0.0005482688559722178 for sign in (-1, 1)},
}
"""{node: weight} of Gauss-Hermite quadrature of order 7. Written down, for NumPy finds them by LAPACK."""
_RIVALS = 40
"""Sets, the most promising ones, among which the maximum is taken."""
_DRAWN_RIVALS, _DRAWS = 100, 256
"""The same where the best set is drawn, and how often."""
_JITTER = 1e-6


def knowledge_gradient(mean: np.ndarray, beliefs: Beliefs, evaluations: int) -> np.ndarray:
    """Return float64[B], E[max_i (mean_i + c_i(S) Z)] - max_i mean_i of `evaluations` looks at each set S.

    Frazier, Powell & Dayanik 2009, correlated beliefs; Z is standard normal, by Gauss-Hermite quadrature.
    `mean`: float64[B], objectives believed.
    """
    rivals = _promising(mean, beliefs, _RIVALS)
    change = beliefs.covariance(rivals)
    change /= np.sqrt(beliefs.variance + beliefs.noise**2 / evaluations + 1e-9)[:, None]
    gains = np.zeros(len(mean))
    for node, weight in _NODES.items():
        gains += weight * (mean[rivals] + change * node).max(axis=1)
    return gains - mean[rivals].max()


def top_two_variance(mean: np.ndarray, beliefs: Beliefs, rng: np.random.Generator) -> np.ndarray:
    """Return float64[B], sum_ij p_i p_j (c_i(S) - c_j(S))^2 / 2 of an evaluation of each set S.

    It is the variance that the look takes from the differences between sets that may be the best, p_i being
    the chance that i is: the top-two idea (Russo 2020) with every pair, weighed by Thompson draws.
    """
    rivals = _promising(mean, beliefs, _DRAWN_RIVALS)
    change = beliefs.covariance(rivals)
    root = cholesky(change[rivals] + _JITTER * np.eye(len(rivals)))
    draws = mean[rivals] + product(root, rng.standard_normal((_DRAWS, len(rivals))).T).T
    best = np.bincount(draws.argmax(axis=1), minlength=len(rivals)) / _DRAWS
    spread = ((change - (change * best).sum(axis=1)[:, None]) ** 2 * best).sum(axis=1)
    return np.asarray(spread / (beliefs.variance + beliefs.noise**2 + 1e-9))


def _promising(mean: np.ndarray, beliefs: Beliefs, count: int) -> np.ndarray:
    """Return int[count], the sets of the highest mean plus standard deviation."""
    return np.argsort(-(mean + np.sqrt(beliefs.variance)), kind="stable")[:count]
