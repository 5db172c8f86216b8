"""Prior moments of sums of singles and pairs over sets, compiled. Imported lazily: it imports Numba.

`search.surrogate.response_surface` has the formula; R, C: sets; n: attributes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_FAST: Any = {"cache": True, "error_model": "numpy"}


@njit(
    "UniTuple(float64[:, ::1], 2)(float64[:, :], float64[:, :], float64[:], float64[:, :], float64)", **_FAST
)
def gram(rows, columns, weight_variance, pair_variance, shared_variance):
    """Return (main, pair), float64[R, C] each, prior covariance of y between sets R and C.

    `rows`: float64[R, n], `columns`: float64[C, n], memberships. `pair_variance`: float64[n, n], above the
    diagonal, for a `pair_scale` of 1.
    """
    n = columns.shape[1]
    has = np.ascontiguousarray(columns.T)
    main, pair = np.zeros((rows.shape[0], columns.shape[0])), np.zeros((rows.shape[0], columns.shape[0]))
    size = np.zeros(columns.shape[0])
    for a in range(n):
        for c in range(size.size):
            size[c] += has[a, c]
    inside = np.empty(n, np.int64)
    for r in range(rows.shape[0]):
        count = 0
        for a in range(n):
            if rows[r, a] > 0.0:
                inside[count] = a
                count += 1
        for i in range(count):
            a = inside[i]
            for c in range(size.size):
                main[r, c] += weight_variance[a] * has[a, c]
            for j in range(i + 1, count):
                b, variance = inside[j], pair_variance[a, inside[j]]
                for c in range(size.size):
                    pair[r, c] += variance * (has[a, c] * has[b, c])
        for c in range(size.size):
            main[r, c] += shared_variance * (count * size[c])
    return main, pair


@njit("UniTuple(float64[::1], 2)(float64[:, :], float64[:], float64[:, :], float64)", **_FAST)
def own_gram(rows, weight_variance, pair_variance, shared_variance):
    """Return the diagonals of `gram` of the sets `rows` with themselves, float64[R] each."""
    main, pair = np.zeros(rows.shape[0]), np.zeros(rows.shape[0])
    for r in range(rows.shape[0]):
        size = 0.0
        for a in range(rows.shape[1]):
            if rows[r, a] > 0.0:
                size += 1.0
                main[r] += weight_variance[a]
                for b in range(a + 1, rows.shape[1]):
                    if rows[r, b] > 0.0:
                        pair[r] += pair_variance[a, b]
        main[r] += shared_variance * (size * size)
    return main, pair


@njit("float64[::1](float64[:, :], float64[:], float64[:, :])", **_FAST)
def sums_of_effects(rows, weights, pairs):
    """Return float64[R], y of the sets `rows` (float64[R, n]); `pairs`: float64[n, n], above the diagonal."""
    found = np.zeros(rows.shape[0])
    for r in range(rows.shape[0]):
        both = 0.0
        for a in range(rows.shape[1]):
            if rows[r, a] > 0.0:
                found[r] += weights[a]
                for b in range(a + 1, rows.shape[1]):
                    if rows[r, b] > 0.0:
                        both += pairs[a, b]
        found[r] += both
    return found
