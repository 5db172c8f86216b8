"""A link that saturates, g(y) = tanh(k y) for y >= 0 and k y below, compiled. Imported lazily: imports Numba.

`search.surrogate.response_surface` says what it is for.
`math.tanh` is the C library's; NumPy's is vector code of one kind for each kind of processor, the last bits
of which differ.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

import envs.kernel_cache  # noqa: F401 - finds a place for what is compiled

_FAST: Any = {"cache": True, "error_model": "numpy"}
_NODES = (
    (0.0, 8 / 15),
    (1.355626179974266, 0.22207592200561266),
    (-1.355626179974266, 0.22207592200561266),
    (2.8569700138728056, 0.01125741132772069),
    (-2.8569700138728056, 0.01125741132772069),
)
"""(node, weight) of Gauss-Hermite quadrature of order 5. Written down, for NumPy finds them by LAPACK."""


@njit("UniTuple(float64, 2)(float64, float64)", **_FAST)
def link(y, k):
    """Return (g, dg/dy) of y under the curvature k > 0."""
    above = math.tanh(k * y) if y > 0.0 else 0.0
    return above + k * min(y, 0.0), k * (1.0 - above * above)


@njit("UniTuple(float64[:, ::1], 3)(float64[:, :], float64[:, :], float64[:])", **_FAST)
def moments(mean, variance, curvature):
    """Return (E[g], E[g^2], E[dg/dy]) under y ~ N(mean, variance), by quadrature; all float64[G, C]."""
    first, second, slope = np.zeros(mean.shape), np.zeros(mean.shape), np.zeros(mean.shape)
    for g in range(mean.shape[0]):
        k = curvature[g]
        for c in range(mean.shape[1]):
            spread = math.sqrt(variance[g, c])
            for node, weight in _NODES:
                y = mean[g, c] + spread * node
                above = math.tanh(k * y) if y > 0.0 else 0.0
                risen = above + k * min(y, 0.0)
                first[g, c] += weight * risen
                second[g, c] += weight * risen * risen
                slope[g, c] += weight * k * (1.0 - above * above)
    return first, second, slope
