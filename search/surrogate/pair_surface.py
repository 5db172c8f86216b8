"""The response surface as compiled code. Imported lazily: it imports Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from search.surrogate.response_surface import features


@njit("float64(uint64, float64[::1])", cache=True)
def pair_surface(mask, params):
    """Return s(mask) without misfit; the naive twin is in the tests.

    Parameters
    ----------
    mask : uint64
    params : float64[4 + n + n (n - 1) / 2]
        n, base, height, curvature, the weights, the pairs in row order.
    """
    n = int(params[0])
    y = 0.0
    for i in range(n):
        if (mask >> np.uint64(i)) & np.uint64(1):
            y += params[4 + i]
            row = 4 + n + i * n - i * (i + 1) // 2 - i - 1  # the pair (i, 0) would be here
            for j in range(i + 1, n):
                if (mask >> np.uint64(j)) & np.uint64(1):
                    y += params[row + j]
    k = params[3]
    risen = k * y if y < 0.0 else math.tanh(k * y)
    return params[1] + params[2] * risen / math.tanh(k)


def without(params: np.ndarray, known: int) -> np.ndarray:
    """Return `pair_surface`'s params with the effects of the attributes in `known` taken out.

    The base has them: what is known is known in every set.
    """
    n = int(params[0])
    free = features(np.array([((1 << n) - 1) & ~known], np.uint64), n)[0]
    return np.concatenate([params[:4], params[4:] * free])
