"""All sets of at most `budget` attributes as table columns, and the judges of many profiles."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Surfaces(NamedTuple):
    """The judge of each profile as compiled code: score(u, mask) = function(mask & askable[u], own params).

    `function`: as in `envs.judges.protocol.Surface`. `params`: float64[P], the parameters of all profiles one
    after the other, those of profile u from `starts[u]` to `starts[u + 1]` (int64[N + 1]). `askable`:
    uint64[N]; a value that a profile does not have cannot become known.
    """

    function: Any
    params: np.ndarray
    starts: np.ndarray
    askable: np.ndarray

    def of(self, profiles: np.ndarray) -> Surfaces:
        """Return those of `profiles` (int64[M])."""
        parts = [self.params[self.starts[u] : self.starts[u + 1]] for u in profiles.tolist()]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return Surfaces(self.function, np.concatenate(parts), starts, self.askable[profiles])


def sets_within(n: int, budget: int) -> np.ndarray:
    """Return uint64[n_sets], all sets of at most `budget` of `n` attributes, smaller first, then by value.

    Within one size that is the colexicographic order: the place of {a_1 < a_2 < ...} among them is
    sum_i C(a_i, i), which compiled code relies on.
    """
    layers = [np.zeros(1, np.uint64)]
    for _ in range(budget):
        last = layers[-1]
        above = np.array([mask.bit_length() for mask in last.tolist()])  # only attributes beyond the highest
        parts = [last[above <= a] | np.uint64(1 << a) for a in range(n)]
        layers.append(np.sort(np.concatenate(parts)))
    return np.concatenate(layers)


def columns(masks: np.ndarray | Sequence[int], n: int, budget: int) -> np.ndarray:
    """Return int64[B], the place of each of `masks` (uint64[B]) in `sets_within(n, budget)`.

    Raises
    ------
    ValueError
        a set that is not among them.
    """
    order, ascending = _by_value(n, budget)
    masks = np.asarray(masks, dtype=np.uint64)
    found = np.minimum(np.searchsorted(ascending, masks), len(ascending) - 1)
    if (ascending[found] != masks).any():
        raise ValueError(f"a set of more than {budget} attributes, or of others than the {n}")
    return order[found]


@functools.lru_cache(maxsize=8)
def _by_value(n: int, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (int64[n_sets] places, uint64[n_sets] sets) of all sets by ascending value."""
    masks = sets_within(n, budget)
    order = np.argsort(masks)
    return order, masks[order]
