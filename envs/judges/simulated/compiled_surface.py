"""The simulated judge of one scenario, compiled. Imported lazily: importing it imports Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

HEADER = 8
"""Length of the head of `params`: n, number of pairs, base[3], height[3]."""


@njit("float64(uint64, float64[::1])", cache=True)
def simulated_surface(mask, params):
    """Return the score of the set `mask`; the naive twin is `SimulatedJudge.dimensions`.

    Parameters
    ----------
    mask : uint64
        Bit i = attribute i is known.
    params : float64[8 + 4 n + 3 P]
        n, P, base[3], height[3]; for each attribute its three loads and its harm; for each pair its two
        attributes and its strength.
    """
    n = int(params[0])
    risk = empathy = personal = harm = 0.0
    for i in range(n):
        if (mask >> np.uint64(i)) & np.uint64(1):
            at = HEADER + 4 * i
            risk += params[at]
            empathy += params[at + 1]
            personal += params[at + 2]
            harm += params[at + 3]
    both = 0.0
    for pair in range(int(params[1])):
        at = HEADER + 4 * n + 3 * pair
        if (mask >> np.uint64(params[at])) & (mask >> np.uint64(params[at + 1])) & np.uint64(1):
            both += params[at + 2]
    lost = -math.expm1(-harm)
    total = params[2] - (params[2] - 1.0) * lost - params[5] * math.expm1(-risk - both)
    total += params[3] - (params[3] - 1.0) * lost - params[6] * math.expm1(-empathy - both)
    total += params[4] - (params[4] - 1.0) * lost - params[7] * math.expm1(-personal - both)
    return total / 3.0
