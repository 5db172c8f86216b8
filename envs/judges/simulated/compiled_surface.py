"""The simulated judge of one scenario, compiled. Imported lazily: importing it imports Numba.

Equal to the judge's own scores to the last bit, so that what a search has found on the surface needs no
second look: each sum runs in ascending order, as in `SimulatedJudge.dimensions`, and leaves out what is 0
because it is not known.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

import envs.kernel_cache  # noqa: F401 - finds a place for what is compiled
from envs.bit_scan import lowest_bit
from envs.judges.simulated.surface_params import HARM, HEADER, HIGH, LOW, OFFSET, PER_ATTRIBUTE

_ONE = np.uint64(1)
_HALF = np.uint64(32)


@njit("float64(uint64, float64[::1], int64, int64)", cache=True)
def _pair_sum(mask, params, at, strengths):
    """Return the sum over the complete pairs; the parts of attributes begin at `at`."""
    total = 0.0
    while mask:
        part = at + PER_ATTRIBUTE * lowest_bit(mask)
        mask &= mask - _ONE
        partners = np.uint64(params[part + LOW]) | np.uint64(params[part + HIGH]) << _HALF
        if not partners & mask:
            continue
        pair = strengths + int(params[part + OFFSET])
        while partners:
            if mask >> np.uint64(lowest_bit(partners)) & _ONE:
                total += params[pair]
            partners &= partners - _ONE
            pair += 1
    return total


@njit("UniTuple(float64, 3)(uint64, float64[::1], int64)", cache=True)
def _dimensions(mask, params, start):
    """Return the three dimensions of the set `mask`; its parameters begin at `start`."""
    n, n_pairs, at = int(params[start]), int(params[start + 1]), start + HEADER
    risk = empathy = personal = harm = 0.0
    left = mask
    both = _pair_sum(left, params, at, at + PER_ATTRIBUTE * n) if n_pairs else 0.0
    while left:
        part = at + PER_ATTRIBUTE * lowest_bit(left)
        left &= left - _ONE
        risk += params[part]
        empathy += params[part + 1]
        personal += params[part + 2]
        harm += params[part + HARM]
    lost = math.expm1(-harm) if harm else 0.0
    b, h = start + 2, start + 5
    return (
        params[b] - params[h] * math.expm1(-risk - both) + lost * (params[b] - 1.0),
        params[b + 1] - params[h + 1] * math.expm1(-empathy - both) + lost * (params[b + 1] - 1.0),
        params[b + 2] - params[h + 2] * math.expm1(-personal - both) + lost * (params[b + 2] - 1.0),
    )


@njit("float64(uint64, float64[::1])", cache=True)
def simulated_surface(mask, params):
    """Return the score of the set `mask` (uint64, bit i = attribute i is known) under `surface_params`.

    The naive twin is `SimulatedJudge.dimensions`.
    """
    risk, empathy, personal = _dimensions(mask, params, 0)
    return (risk + empathy + personal) / 3.0


@njit("float64(uint64, float64[::1])", cache=True)
def mean_surface(mask, params):
    """Return the mean of several `simulated_surface`.

    Parameters
    ----------
    mask : uint64
    params : float64[1 + K + ...]
        K; for each of the K the place where its parameters begin; these parameters.
    """
    k = int(params[0])
    risk = empathy = personal = 0.0
    for i in range(k):
        r, e, p = _dimensions(mask, params, int(params[1 + i]))
        risk += r
        empathy += e
        personal += p
    return (risk / k + empathy / k + personal / k) / 3.0
