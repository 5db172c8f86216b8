"""Compiled scoring of sets for many profiles; a file of its own keeps other imports quick."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

import envs.kernel_cache  # noqa: F401 - finds a place for what is compiled

_ONE = np.uint64(1)
_FAST: Any = {"cache": True, "error_model": "numpy", "_nrt": False}
_INTS = types.Array(types.int64, 1, "C")
_MASKS = types.Array(types.uint64, 1, "C")
_FLOATS = types.Array(types.float64, 1, "C")
_SURFACE = types.FunctionType(types.float64(types.uint64, _FLOATS))


@njit("int64(int64, int64)", **_FAST)
def _binomial(n, k):
    found = 1
    for i in range(k):
        found = found * (n - i) // (i + 1)
    return found


@njit("float64(uint64, float64[::1])", cache=True)
def table_surface(mask, params):
    """Return the score of `mask` in a table; `params`: n, then a score for each of `sets_within(n, ...)`."""
    n = np.int64(params[0])
    size, place = 0, 0
    for a in range(n):
        if (mask >> np.uint64(a)) & _ONE:
            size += 1
            place += _binomial(a, size)
    for k in range(size):
        place += _binomial(n, k)
    return params[1 + place]


@njit(types.void(_SURFACE, _FLOATS, _INTS, _MASKS, _INTS, _MASKS, _FLOATS), **_FAST)
def score_pairs(function, params, starts, askable, profiles, answered, found):
    """Write into `found` (float64[B]) the scores of `profiles` (int64[B]) with `told` (uint64[B]) known."""
    for i in range(found.size):
        u = profiles[i]
        found[i] = function(answered[i] & askable[u], params[starts[u] : starts[u + 1]])


@njit(types.void(_SURFACE, _FLOATS, _INTS, _MASKS, _MASKS, types.Array(types.float64, 2, "C")), **_FAST)
def score_sets(function, params, starts, askable, masks, table):
    """Write into `table` (float64[N, B]) the scores of all profiles with `masks` (uint64[B]) known."""
    for u in range(table.shape[0]):
        own = params[starts[u] : starts[u + 1]]
        for i in range(masks.size):
            table[u, i] = function(masks[i] & askable[u], own)
