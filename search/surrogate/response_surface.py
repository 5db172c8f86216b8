"""A Bayesian response surface over sets: main effects and pairs behind a saturating link.

    s(S) = b + h g(y(S)) / g(1) + e(S),   y(S) = sum_{a in S} w_a + sum_{a < b in S} v_ab
    g(y) = tanh(k y) for y >= 0,      k y below

so that h is what a set of y = 1 gains; k is the link's curvature (k -> 0: a straight line). It is nearly
straight at first and level in the end, as a mean of bounded verdicts is. Below 0, where attributes harm, it
goes straight on. Base b, weights w and pairs v have normal priors, the pairs' around 0, so that they are
shrunk; the weights share an unknown mean. e is a misfit of each set's own. y is then a Gaussian process over
sets with the kernel

    K(S, T) = sd_0^2 |S| |T| + sum_{a in S and T} sd_a^2 + sum_{a < b in S and T} sd_ab^2.

Curvature, height, the pairs' spread, the noise of an evaluation and the misfit are not fitted but averaged
over: `SurfaceModels` are models with values of their own, solved at once as stacked arrays `[G, ...]`.
`search.surrogate.posterior` has the inference.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from envs.elementwise import each
from search.core import set_covariance

_TABLED = 1200
"""Up to so many sets, prior covariances between all of them are kept: 23 MB."""


@dataclass(frozen=True)
class SurfacePrior:
    """Normal priors over n attributes and P = n (n - 1) / 2 pairs, (0, 1), (0, 2), ... in row order.

    Score points: `base`, `base_sd`. Dimensionless: `weight`, `weight_sd` (float64[n]), `shared_sd` (of the
    mean of all weights), `pair`, `pair_sd` (float64[P]).
    """

    base: float
    base_sd: float
    weight: np.ndarray
    weight_sd: np.ndarray
    shared_sd: float
    pair: np.ndarray
    pair_sd: np.ndarray

    @classmethod
    def default(cls, n_attributes: int, budget: int) -> SurfacePrior:
        """Return a prior for scores in [1, 5] of which nothing is known.

        Weights are scaled so that a full budget of typical attributes has y = 1.
        """
        n_pairs = n_attributes * (n_attributes - 1) // 2
        weight = 1.0 / max(budget, 1)
        return cls(
            base=3.0,
            base_sd=0.8,
            weight=np.full(n_attributes, weight),
            weight_sd=np.full(n_attributes, 1.3 * weight),
            shared_sd=0.8 * weight,
            pair=np.zeros(n_pairs),
            pair_sd=np.full(n_pairs, weight),
        )

    @functools.cached_property
    def pair_table(self) -> np.ndarray:
        """float64[n, n], `pair` above the diagonal."""
        return _above_diagonal(self.pair, len(self.weight))

    @functools.cached_property
    def variances(self) -> tuple[np.ndarray, np.ndarray, float]:
        """(float64[n] of weights, float64[n, n] of pairs above the diagonal, of the weights' mean)."""
        n = len(self.weight)
        return self.weight_sd**2, _above_diagonal(self.pair_sd**2, n), self.shared_sd**2


class SurfaceModels(NamedTuple):
    """G models: float64[G] each; `pair_scale` multiplies the prior's `pair_sd`."""

    curvature: np.ndarray
    height: np.ndarray
    pair_scale: np.ndarray
    noise: np.ndarray
    misfit: np.ndarray
    log_weight: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """Return float64[G], h / g(1)."""
        found: np.ndarray = self.height / each(math.tanh, self.curvature)
        return found

    def take(self, which: np.ndarray) -> SurfaceModels:
        """Return the members at the indices `which`."""
        return SurfaceModels(*(field[which] for field in self))


class Evaluations(NamedTuple):
    """What was seen of m sets.

    `at`: int[m], their places among `Sets.masks`; `means`, `counts`: float64[m] of the looks at each;
    `within`: the sum of squared deviations of repeated evaluations from their means, `repeats`: its degrees
    of freedom.
    """

    at: np.ndarray
    means: np.ndarray
    counts: np.ndarray
    within: float
    repeats: int

    @classmethod
    def of(cls, at: Sequence[int], scores: Sequence[Sequence[float]]) -> Evaluations:
        """Return the summary of the scores of each set, at the places `at`."""
        counts = np.array([float(len(seen)) for seen in scores])
        means = np.array([sum(seen) / len(seen) for seen in scores])
        repeated = ((seen, m) for seen, m in zip(scores, means.tolist(), strict=True) if len(seen) > 1)
        within = sum((s - m) ** 2 for seen, m in repeated for s in seen)
        return cls(np.array(at, np.int64), means, counts, float(within), int(counts.sum()) - len(counts))


def membership(masks: np.ndarray, n_attributes: int) -> np.ndarray:
    """Return float64[B, n], 1 where the attribute is in the set."""
    bits = (np.asarray(masks, np.uint64)[:, None] >> np.arange(n_attributes, dtype=np.uint64)) & np.uint64(1)
    return bits.astype(np.float64)


def with_pairs(member: np.ndarray) -> np.ndarray:
    """Return float64[B, n + n (n - 1) / 2]: `membership`, then that of each pair."""
    first, second = _pairs_of(member.shape[1])
    return np.concatenate([member, member[:, first] * member[:, second]], axis=1)


@functools.cache
def _pairs_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(n, 1)


class Sets:
    """The candidates, and what the prior says of y on them.

    Attributes
    ----------
    masks : uint64[C]
    member : float64[C, n], which attributes are in each set beyond those known
    mean : float64[C], prior mean of y
    place : {mask: index in masks}
    """

    def __init__(self, masks: np.ndarray, prior: SurfacePrior, known: int = 0) -> None:
        self.masks = masks
        self.prior = prior
        self.member = membership(masks & ~np.uint64(known), len(prior.weight))
        self.mean = set_covariance.sums_of_effects(self.member, prior.weight.copy(), prior.pair_table)
        self._own = set_covariance.own_gram(self.member, *prior.variances)
        self.place = {mask: i for i, mask in enumerate(masks.tolist())}

    def gram(self, rows: np.ndarray, columns: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return (main, pair), float64[R, S], parts of y's prior covariance, `pair` for a `pair_scale` of 1.

        Between the sets at the indices `rows` and those at `columns` (None: all).
        """
        if len(self.masks) > _TABLED:
            others = self.member if columns is None else self.member[columns]
            found: tuple[np.ndarray, np.ndarray] = set_covariance.gram(
                self.member[rows], others, *self.prior.variances
            )
            return found
        main, pair = (part.take(rows, axis=0) for part in self._table)
        if columns is not None:
            main, pair = main.take(columns, axis=1), pair.take(columns, axis=1)
        return main, pair

    @functools.cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """`gram` of all: rows of it are asked for at each step of a search."""
        found: tuple[np.ndarray, np.ndarray] = set_covariance.gram(
            self.member, self.member, *self.prior.variances
        )
        return found

    def kernel(
        self, models: SurfaceModels, rows: np.ndarray, columns: np.ndarray | None = None
    ) -> np.ndarray:
        """Return float64[G, R, S], prior covariance of y between sets (`columns` None: all of them)."""
        main, pair = self.gram(rows, columns)
        return main + models.pair_scale[:, None, None] ** 2 * pair

    def own(self, models: SurfaceModels) -> np.ndarray:
        """Return float64[G, C], prior variance of y."""
        main, pair = self._own
        found: np.ndarray = main + models.pair_scale[:, None] ** 2 * pair
        return found


def _above_diagonal(values: np.ndarray, n: int) -> np.ndarray:
    """Return float64[n, n] with the P `values` of pairs above the diagonal."""
    found = np.zeros((n, n))
    found[_pairs_of(n)] = values
    return found
