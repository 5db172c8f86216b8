"""The best set of a function of singles and pairs, by steepest ascent. Imported lazily: it imports Numba."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from search.core.saturating_link import link

_FAST: Any = {"cache": True, "error_model": "numpy"}


@njit("float64(float64, float64, float64, float64)", **_FAST)
def _objective(y, cost, height, curvature):
    """Return the link of y less the cost; y itself where `height` is 0, for the link rises with it."""
    if height == 0.0:
        return y
    return height * link(y, curvature)[0] / math.tanh(curvature) - cost


@njit(
    "Tuple((float64, int64, int64))(float64, float64, boolean[::1], float64[::1], float64[:, ::1],"
    " float64[::1], int64[::1], boolean, float64, float64)",
    **_FAST,
)
def _best_move(y, paid, inside, effect, pairs, costs, free, full, height, curvature):
    """Return (objective, attribute to add, to drop) of the best neighbour; -1 and -1 where none is better."""
    best, add, drop = _objective(y, paid, height, curvature), -1, -1
    for a in free:
        if inside[a]:
            value = _objective(y - effect[a], paid - costs[a], height, curvature)
            if value > best:
                best, add, drop = value, -1, a
        elif not full:
            value = _objective(y + effect[a], paid + costs[a], height, curvature)
            if value > best:
                best, add, drop = value, a, -1
        else:
            for b in free:
                if inside[b]:
                    gain = effect[a] - effect[b] - pairs[a, b]
                    value = _objective(y + gain, paid + costs[a] - costs[b], height, curvature)
                    if value > best:
                        best, add, drop = value, a, b
    return best, add, drop


@njit(
    "uint64(float64[::1], float64[:, ::1], float64[::1], int64[::1], int64, float64, float64)",
    **_FAST,
)
def best_set(weights, pairs, costs, free, budget, height, curvature):
    """Return the mask of the best set found of at most `budget` of the attributes `free`.

    From nothing and from each single attribute the best move is made until none is better: an addition or a
    removal, or in a full set an exchange. Of these local optima the best.

    Parameters
    ----------
    weights, pairs, costs : float64[n], float64[n, n] (symmetric, 0 on the diagonal), float64[n]
        of y and of what is paid
    height, curvature : float
        of the link (`search.surrogate.response_surface`); a height of 0 stands for no costs.
    """
    top, top_mask = -np.inf, np.uint64(0)
    inside = np.empty(len(weights), np.bool_)
    for start in range(-1, free.size):
        inside[:] = False
        effect = weights.copy()  # of each attribute beside those inside
        y, paid, size, mask = 0.0, 0.0, 0, np.uint64(0)
        best, add, drop = -np.inf, np.int64(-1), np.int64(-1)
        if start >= 0:
            add = free[start]
        while True:
            if drop >= 0:
                y -= effect[drop]
                effect -= pairs[drop]
            if add >= 0:
                y += effect[add]
                effect += pairs[add]
            for a, change in ((drop, -1), (add, 1)):
                if a >= 0:
                    paid += change * costs[a]
                    size += change
                    inside[a] = change > 0
                    mask ^= np.uint64(1) << np.uint64(a)
            best, add, drop = _best_move(
                y, paid, inside, effect, pairs, costs, free, size >= budget, height, curvature
            )
            if add < 0 and drop < 0:
                break
        if best > top:
            top, top_mask = best, mask
    return top_mask
