"""Surfaces for the tests, each `float64(uint64, float64[::1])`, and makers of their parameters."""

import numpy as np
from numba import njit

from envs.judges.protocol import Surface

SIGNATURE = "float64(uint64, float64[::1])"


@njit(SIGNATURE, cache=True)
def lookup(mask, params):
    """Any set function of up to 12 attributes: `params[mask]`."""
    return params[mask]


@njit(SIGNATURE, cache=True)
def additive(mask, params):
    """Return params[0] + the sum of params[1 + i] over the attributes i of `mask`."""
    total = params[0]
    for i in range(params.size - 1):
        if (mask >> np.uint64(i)) & np.uint64(1):
            total += params[1 + i]
    return total


@njit(SIGNATURE, cache=True)
def pairs(mask, params):
    """Additive over n = params[0] attributes (base params[1]), and more for each complete pair.

    `params`: n, base, n weights, then (first, second, strength) of each pair.
    """
    n = int(params[0])
    total = params[1]
    for i in range(n):
        if (mask >> np.uint64(i)) & np.uint64(1):
            total += params[2 + i]
    for at in range(2 + n, params.size, 3):
        if (mask >> np.uint64(params[at])) & (mask >> np.uint64(params[at + 1])) & np.uint64(1):
            total += params[at + 2]
    return total


def random_additive(rng, n):
    """Weights of mean .2 and sd .2: about one in six harms."""
    return Surface(additive, np.concatenate([[2.0], rng.normal(0.2, 0.2, n)]))


def random_pairs(rng, n):
    """Single attributes bring little (some harm a little); n random pairs bring up to 1 when complete."""
    rows = []
    for _ in range(n):
        first, second = rng.choice(n, 2, replace=False)
        rows.append([first, second, rng.uniform(0.2, 1.0)])
    return Surface(pairs, np.concatenate([[n, 2.0], rng.normal(0.03, 0.08, n), np.ravel(rows)]))
