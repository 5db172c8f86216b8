"""The simulated judge of one scenario as one array, for `compiled_surface`."""

from __future__ import annotations

import numpy as np

HEADER, PER_ATTRIBUTE = 8, 7
"""The head is n, P, base[3], height[3]."""
HARM, OFFSET, LOW, HIGH = 3, 4, 5, 6
"""Places in the part of an attribute, after its three loads: its harm, how many pairs begin with attributes
before it, and the bitmask of its partners after it in two halves, each exact as a float64."""


def pair_index(n: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return float64[n, 3], OFFSET, LOW and HIGH of each attribute: the same for all people.

    `first`, `second`: int64[P], the attributes of the pairs, ascending and first < second.
    """
    partners = [0] * n
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        partners[i] |= 1 << j
    offsets = np.searchsorted(first, np.arange(n))
    return np.column_stack([offsets, [m & 0xFFFFFFFF for m in partners], [m >> 32 for m in partners]])


def surface_params(
    base: np.ndarray,
    height: np.ndarray,
    load: np.ndarray,
    harm: np.ndarray,
    pair: np.ndarray,
    index: np.ndarray,
) -> np.ndarray:
    """Return the parameters of `simulated_surface` of each of K people: float64[K, 8 + 7 n + P].

    `base`, `height`: float64[K, 3]. `load`: float64[K, n, 3]. `harm`: float64[K, n]. `pair`: float64[K, P],
    the strengths. `index`: what `pair_index` gave.
    """
    (k, n), n_pairs = harm.shape, pair.shape[1]
    params = np.empty((k, HEADER + PER_ATTRIBUTE * n + n_pairs))
    params[:, 0], params[:, 1] = n, n_pairs
    params[:, 2:5], params[:, 5:8] = base, height
    parts = np.empty((k, n, PER_ATTRIBUTE))
    parts[:, :, :HARM], parts[:, :, HARM], parts[:, :, OFFSET:] = load, harm, index
    params[:, HEADER : HEADER + PER_ATTRIBUTE * n] = parts.reshape(k, -1)
    params[:, HEADER + PER_ATTRIBUTE * n :] = pair
    return params
