"""The loops of acquisition functions, compiled. Imported lazily: it imports Numba.

`search.surrogate.acquisition_functions` has the formulas. C: candidates; S: the promising ones among them; G:
members of a mixture; m: sets that were looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from search.core.linear_algebra import _product

_FAST: Any = {"cache": True, "error_model": "numpy"}


@njit(
    "float64[:, ::1](int64[:], float64[:, ::1], float64[:, ::1], float64[:], float64[:], float64[:, ::1],"
    " float64[:, ::1], float64[:, ::1], float64[:, :, ::1], float64)",
    **_FAST,
)
def mixed_covariance(some, main, pair, weight, pair_variance, slope, unlike, apart, half, base_variance):
    """Return float64[S, C], covariance of the mixture between the sets `some` and all.

    `main`, `pair`: float64[S, C], `gram`'s. `weight`, `pair_variance`: float64[G], of the members; `slope`,
    `unlike`, `apart`: float64[G, C], their slopes, own variances, and means less the mixture's.
    """
    g_all, m, count = half.shape
    left = np.empty((1, some.size, g_all * m))
    for g in range(g_all):
        for i in range(m):
            for s in range(some.size):
                left[0, s, g * m + i] = weight[g] * half[g, i, some[s]]
    found = _product(left, half.reshape((1, g_all * m, count)))[0]
    singles, pairs, means = np.empty(count), np.empty(count), np.empty(count)
    for s in range(some.size):
        singles[:], pairs[:], means[:] = 0.0, 0.0, 0.0
        extra = 0.0
        for g in range(g_all):
            one = weight[g] * slope[g, some[s]]
            two, three = one * pair_variance[g], weight[g] * apart[g, some[s]]
            extra += weight[g] * unlike[g, some[s]]
            for c in range(count):
                singles[c] += one * slope[g, c]
                pairs[c] += two * slope[g, c]
                means[c] += three * apart[g, c]
        for c in range(count):
            singles[c] = main[s, c] * singles[c] + pair[s, c] * pairs[c]
        singles[some[s]] += extra
        for c in range(count):
            found[s, c] = singles[c] + (means[c] + base_variance) - found[s, c]
    return found


@njit("float64[::1](float64[:], float64[:, ::1], float64[:], float64[:], float64[:])", **_FAST)
def expected_maximum(mean, covariance, spread, nodes, weights):
    """Return float64[C], E[max_s mean_s + covariance_sc Z / spread_c], by quadrature over the normal Z.

    `mean`: float64[S], `covariance`: float64[S, C], `spread`: float64[C].
    """
    count = spread.size
    found, change = np.zeros(count), np.empty(count)
    top = np.full((nodes.size, count), -np.inf)
    for s in range(mean.size):
        for c in range(count):
            change[c] = covariance[s, c] / spread[c]
        for i in range(nodes.size):
            row, node = top[i], nodes[i]
            for c in range(count):
                value = mean[s] + change[c] * node
                row[c] = value if value > row[c] else row[c]
    for i in range(nodes.size):
        for c in range(count):
            found[c] += weights[i] * top[i, c]
    return found


@njit("int64[::1](float64[:], float64[:, ::1])", **_FAST)
def times_highest(mean, draws):
    """Return int64[S], in how many of D draws `mean + draws` (float64[S, D]) is highest; first of equals."""
    first, top = np.zeros(draws.shape[1], np.int64), np.full(draws.shape[1], -np.inf)
    for s in range(mean.size):
        for d in range(first.size):
            value = mean[s] + draws[s, d]
            first[d] = s if value > top[d] else first[d]
            top[d] = value if value > top[d] else top[d]
    found = np.zeros(mean.size, np.int64)
    for d in range(first.size):
        found[first[d]] += 1
    return found


@njit("float64[::1](float64[:, ::1], float64[:])", **_FAST)
def weighted_spread(values, weights):
    """Return float64[C], sum_s w_s (v_sc - sum_t w_t v_tc)^2 of `values`, float64[S, C]."""
    mean, found = np.zeros(values.shape[1]), np.zeros(values.shape[1])
    for s in range(values.shape[0]):
        if weights[s] > 0.0:
            for c in range(mean.size):
                mean[c] += values[s, c] * weights[s]
    for s in range(values.shape[0]):
        if weights[s] > 0.0:
            for c in range(mean.size):
                off = values[s, c] - mean[c]
                found[c] += off * off * weights[s]
    return found
