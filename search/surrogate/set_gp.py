"""Gaussian process over sets: pools noisy evaluations into a posterior mean for every set.

    s(S) = m + u(|S|) + d(|S|) sum_{a in S} w_a + sum_{a < b in S} k_ab + e_S,    y_i = s(S_i) + noise

u is a line and a Wiener process in the number of questions; weights w, pairs k and misfits e are normal
around 0, so that each is shrunk towards what all sets share; d(j) = exp(-f max(0, j - 1)), for under a judge
that saturates one attribute matters less among many. Written as a Gaussian process (Rasmussen & Williams
2006, eq. 2.23 to 2.30 and 5.8), with c = |S & T|, the kernel is

    cov(S, T) = u0^2 + u1^2 |S| |T| + u2^2 min(|S|, |T|)
                + d(|S|) d(|T|) w^2 c + k^2 c (c - 1) / 2 + e^2 [S = T].

The spreads w, k, e, the fading f and the noise's sd are those of the highest evidence on a grid, times broad
priors on noise and misfit, found one coordinate at a time. Repeated evaluations tell the noise as far as
there are any. The posterior mean of a set is what to believe of it: the luckiest of many evaluations is
drawn towards what its attributes do elsewhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from envs.elementwise import each
from search.problem import Problem

_LEVEL, _LINE, _WIENER = 1.0, 0.09, 0.09
"""u0^2, u1^2, u2^2 in squared score points: a score may lie anywhere in [1, 5]."""
_GRID = (
    (0.03, 0.08, 0.15, 0.3, 0.6),  # w
    (0.02, 0.05, 0.1, 0.2, 0.4),  # k
    (0.01, 0.03, 0.1),  # e
    (0.0, 0.2, 0.5, 1.0),  # f
    (0.03, 0.06, 0.1, 0.17, 0.25, 0.35, 0.5, 0.7, 1.0),  # noise
)
_START = (2, 1, 1, 1, 4)
_NOISE_PRIOR = (math.log(0.25), 0.8)
"""Of the logarithm of the noise's sd: mean and sd."""
_MISFIT_PRIOR = (math.log(0.03), 0.6)
"""The same of the misfit, which only repeated evaluations tell from noise."""
_SWEEPS = 2
_MOST_FITTED = 120
"""Sets the spreads are chosen by, every k-th of those asked where there are more."""
_MOST_POOLED = 1000
"""Sets the regression is fitted to, every k-th where there are more; others add their own evaluations."""
_CHUNK = 8192
_JITTER = 1e-8


class ScoredSets(NamedTuple):
    """Scored evaluations by set, in the order of asking.

    `masks`: uint64[C]. `counts`: int64[C], scored evaluations. `means`: float64[C]. `next_look`: int64[C],
    sample index of the next look. `squares`: float, sum of squared deviations from the sets' means, of
    `freedom` degrees.
    """

    masks: np.ndarray
    counts: np.ndarray
    means: np.ndarray
    next_look: np.ndarray
    squares: float
    freedom: int


def evaluations_of(problem: Problem) -> ScoredSets:
    """Return what `problem` has scored, by set; sets without a score are left out."""
    masks, samples, scores = problem.observations()
    rows: dict[int, list[float]] = {}
    following: dict[int, int] = {}
    for mask, sample, score in zip(masks.tolist(), samples.tolist(), scores.tolist(), strict=True):
        following[mask] = max(following.get(mask, 0), sample + 1)
        if not math.isnan(score):
            rows.setdefault(mask, []).append(score)
    means = {mask: sum(row) / len(row) for mask, row in rows.items()}
    return ScoredSets(
        np.array(list(rows), np.uint64),
        np.array([len(row) for row in rows.values()], np.int64),
        np.array(list(means.values()), np.float64),
        np.array([following[mask] for mask in rows], np.int64),
        sum((y - means[mask]) ** 2 for mask, row in rows.items() for y in row),
        sum(len(row) - 1 for row in rows.values()),
    )


class Spreads(NamedTuple):
    """Sds of weights, pairs, misfits and noise in score points, and how fast the effects fade."""

    weight: float
    pair: float
    misfit: float
    fade: float
    noise: float


class SetGaussianProcess:
    """The posterior over the sets of `problem` given all that it has scored.

    `spreads`: where on the grid to start, such as an earlier posterior's; `refit`: whether to move from
    there.
    """

    def __init__(
        self, problem: Problem, spreads: tuple[int, ...] | None = None, *, refit: bool = True
    ) -> None:
        self.evaluations = evaluations_of(problem)
        self._known = problem.known
        self._n = problem.n_attributes
        self._noisy = problem.noisy
        self._level = float(self.evaluations.means.mean()) if len(self.evaluations.means) else 0.0
        self.spreads = _START if spreads is None else spreads
        if refit:
            self.spreads = self._of_highest_evidence(self.spreads)
        self.values = self._values(self.spreads)
        self._fitted = slice(None, None, self._step(_MOST_POOLED))
        self._lower, self._white = self._root(self.values, self._fitted)

    def predict(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (float64[B] posterior means, float64[B] sds) of the true scores of `masks` (uint64[B])."""
        masks = np.asarray(masks, np.uint64)
        parts = [self._predict(masks[i : i + _CHUNK]) for i in range(0, len(masks), _CHUNK)]
        mean = np.concatenate([part[0] for part in parts] or [np.empty(0)])
        variance = np.concatenate([part[1] for part in parts] or [np.empty(0)])
        if self._fitted.step > 1:
            self._add_own_evaluations(masks, mean, variance)
        return mean, np.sqrt(variance)

    def _predict(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from search.core.linear_algebra import row_product, solve_lower

        rows, fitted = self._membership(masks), self.evaluations.masks[self._fitted]
        cross = _kernel(self._membership(fitted), rows, self.values)
        cross += self.values.misfit**2 * (fitted[:, None] == masks[None, :])
        half = solve_lower(self._lower, cross)
        own = _kernel_diagonal(rows, self.values) + self.values.misfit**2
        variance = np.maximum(own - (half**2).sum(axis=0), 0.0)
        return self._level + row_product(self._white, half), variance

    def _add_own_evaluations(self, masks: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> None:
        """Update sets that were looked at but not fitted, each by its own evaluations alone, in place."""
        fitted = set(self.evaluations.masks[self._fitted].tolist())
        rest = {mask: i for i, mask in enumerate(self.evaluations.masks.tolist()) if mask not in fitted}
        for at, mask in enumerate(masks.tolist()):
            if (i := rest.get(mask)) is not None:
                noise = self.values.noise**2 / self.evaluations.counts[i] + _JITTER
                trust = variance[at] / (variance[at] + noise)
                mean[at] += trust * (self.evaluations.means[i] - mean[at])
                variance[at] *= 1 - trust

    def beliefs(self, masks: np.ndarray) -> dict[int, float]:
        """Return {mask: posterior mean} of `masks` (uint64[B])."""
        return dict(zip(masks.tolist(), self.predict(masks)[0].tolist(), strict=True))

    def _membership(self, masks: np.ndarray) -> np.ndarray:
        asked = (masks & ~self._known)[:, None] >> np.arange(self._n, dtype=np.uint64)[None, :]
        return (asked & np.uint64(1)).astype(np.float64)

    def _values(self, spreads: tuple[int, ...]) -> Spreads:
        found = Spreads(*(grid[i] for grid, i in zip(_GRID, spreads, strict=True)))
        return found if self._noisy else found._replace(noise=0.0)

    def _step(self, most: int) -> int:
        return max(1, -(-len(self.evaluations.masks) // most))

    def _of_highest_evidence(self, start: tuple[int, ...]) -> tuple[int, ...]:
        found = {start: self._evidence(start)}
        best = start
        for _ in range(_SWEEPS):
            for axis in range(len(_GRID) if self._noisy else len(_GRID) - 1):
                for i in range(len(_GRID[axis])):
                    other = (*best[:axis], i, *best[axis + 1 :])
                    if other not in found:
                        found[other] = self._evidence(other)
                best = max(found, key=lambda spreads: (found[spreads], spreads))
        return best

    def _evidence(self, spreads: tuple[int, ...]) -> float:
        """Return log p(scores | spreads) + log p(noise, misfit), without what does not depend on them."""
        values = self._values(spreads)
        lower, white = self._root(values, slice(None, None, self._step(_MOST_FITTED)))
        total = -0.5 * (white**2).sum() - each(math.log, np.diag(lower)).sum()
        if self._noisy:
            total -= self.evaluations.freedom * math.log(values.noise) + self.evaluations.squares / (
                2 * values.noise**2
            )
            total -= _penalty(values.noise, _NOISE_PRIOR) + _penalty(values.misfit, _MISFIT_PRIOR)
        return float(total)

    def _root(self, values: Spreads, which: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return (L, L^-1 (y - m)) of the sets `which`, L L' being the covariance of their mean scores y."""
        from search.core.linear_algebra import cholesky, solve_lower

        rows, counts = self._membership(self.evaluations.masks[which]), self.evaluations.counts[which]
        own = values.misfit**2 + values.noise**2 / counts + _JITTER
        lower = cholesky(_kernel(rows, rows, values) + np.diag(own))
        return lower, solve_lower(lower, (self.evaluations.means[which] - self._level)[:, None])[:, 0]


def _penalty(value: float, prior: tuple[float, float]) -> float:
    return 0.5 * ((math.log(value) - prior[0]) / prior[1]) ** 2


def _kernel(first: np.ndarray, second: np.ndarray, values: Spreads) -> np.ndarray:
    """Return float64[A, B], the covariance without misfit; the rows are float64[A, n], float64[B, n]."""
    from search.core.linear_algebra import product

    common = product(first, second.T)
    one, two = first.sum(axis=1)[:, None], second.sum(axis=1)[None, :]
    sizes = _LEVEL + _LINE * one * two + _WIENER * np.minimum(one, two)
    weights = values.weight**2 * common * _fading(one, values) * _fading(two, values)
    return sizes + weights + values.pair**2 * common * (common - 1) / 2


def _kernel_diagonal(rows: np.ndarray, values: Spreads) -> np.ndarray:
    size = rows.sum(axis=1)
    weights = values.weight**2 * size * _fading(size, values) ** 2
    return _LEVEL + _LINE * size**2 + _WIENER * size + weights + values.pair**2 * size * (size - 1) / 2


def _fading(size: np.ndarray, values: Spreads) -> np.ndarray:
    fading = each(math.exp, -values.fade * np.maximum(np.arange(size.max(initial=0.0) + 1.0) - 1.0, 0.0))
    found: np.ndarray = fading[size.astype(np.int64)]  # an exponential for each size there is, not each set
    return found
