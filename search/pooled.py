"""What looks at some sets say of all sets: a Gaussian regression that pools them.

    s(S) = m + u(|S|) + sum_{a in S} w_a + sum_{a < b in S} k_ab + e_S,    y_i = s(S_i) + noise

u is a line and a Wiener process in the number of questions, the weights w, pairs k and misfits e are normal around 0,
so that each is shrunk towards what all sets share. Written as a Gaussian process (Rasmussen & Williams 2006, eq. 2.23
to 2.30 and 5.8) with c = |S & T| the kernel is

    cov(S, T) = u0^2 + u1^2 |S| |T| + u2^2 min(|S|, |T|) + w^2 c + k^2 c (c - 1) / 2 + e^2 [S = T].

The spreads w, k, e and the noise's sd are those of the highest evidence (times a broad prior on the noise) on a
grid, found one coordinate at a time. Noise is known from repeated looks as far as there are any. The posterior mean of
a set is what to believe of it: the luckiest of many looks is drawn towards what its attributes do elsewhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from search.problem import Problem

_LEVEL, _LINE, _WIENER = 1.0, 0.09, 0.09
"""u0^2, u1^2, u2^2 in squared score points: a score may lie anywhere in [1, 5]."""
_GRID = (
    (0.03, 0.08, 0.15, 0.3, 0.6),  # w
    (0.01, 0.04, 0.1, 0.2, 0.4),  # k
    (0.01, 0.03, 0.1),  # e
    (0.0, 0.2, 0.5, 1.0),  # f
    (0.03, 0.06, 0.1, 0.17, 0.25, 0.35, 0.5, 0.7, 1.0),  # noise
)
_START = (2, 1, 0, 1, 4)
_NOISE_PRIOR = (math.log(0.25), 0.8)
"""Of the logarithm of the noise's sd: mean and sd."""
_MISFIT_PRIOR = (math.log(0.03), 0.6)
"""The same of the misfit. Only repeated looks tell misfit and noise apart; taken for misfit, noise is believed."""
_SWEEPS = 2
_MOST_FITTED = 200
"""Sets the spreads are chosen by, every k-th of those asked where there are more."""
_JITTER = 1e-8


class Looks(NamedTuple):
    """Scored looks by set, in the order of asking.

    `masks`: uint64[C]. `counts`: int64[C], scored looks. `means`: float64[C]. `next_look`: int64[C], sample index of
    the next look. `squares`: float, sum of squared deviations from the sets' means, of `freedom` degrees.
    """

    masks: np.ndarray
    counts: np.ndarray
    means: np.ndarray
    next_look: np.ndarray
    squares: float
    freedom: int


def looks_of(problem: Problem) -> Looks:
    """Return what `problem` has scored, by set; sets without a score are left out."""
    masks, samples, scores = problem.observations()
    rows: dict[int, list[float]] = {}
    following: dict[int, int] = {}
    for mask, sample, score in zip(masks.tolist(), samples.tolist(), scores.tolist(), strict=True):
        following[mask] = max(following.get(mask, 0), sample + 1)
        if not math.isnan(score):
            rows.setdefault(mask, []).append(score)
    means = {mask: sum(row) / len(row) for mask, row in rows.items()}
    return Looks(
        np.array(list(rows), np.uint64),
        np.array([len(row) for row in rows.values()], np.int64),
        np.array(list(means.values()), np.float64),
        np.array([following[mask] for mask in rows], np.int64),
        sum((y - means[mask]) ** 2 for mask, row in rows.items() for y in row),
        sum(len(row) - 1 for row in rows.values()),
    )


class Spreads(NamedTuple):
    """Standard deviations of weights, pairs, misfits and noise in score points, and how fast the effects fade."""

    weight: float
    pair: float
    misfit: float
    fade: float
    noise: float


class Pooled:
    """The posterior over the sets of `problem` given all that it has scored.

    `spreads`: where on the grid to start, such as an earlier posterior's; `refit`: whether to move from there.
    """

    def __init__(
        self, problem: Problem, spreads: tuple[int, ...] | None = None, *, refit: bool = True
    ) -> None:
        self.looks = looks_of(problem)
        self._known = problem.known
        self._n = problem.n_attributes
        self._noisy = problem.noisy
        self._rows = self._members(self.looks.masks)
        self._level = float(self.looks.means.mean()) if len(self.looks.means) else 0.0
        self.spreads = _START if spreads is None else spreads
        if refit:
            self.spreads = self._of_highest_evidence(self.spreads)
        self.values = self._values(self.spreads)
        self._lower = self._root(self.values, 1)
        self._white = np.linalg.solve(self._lower, self.looks.means - self._level)

    def predict(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (float64[B] posterior means, float64[B] sds) of the true scores of `masks` (uint64[B])."""
        masks = np.asarray(masks, np.uint64)
        rows = self._members(masks)
        cross = _kernel(self._rows, rows, self.values)
        cross += self.values.misfit**2 * (self.looks.masks[:, None] == masks[None, :])
        half = np.linalg.solve(self._lower, cross)
        own = _kernel_diagonal(rows, self.values) + self.values.misfit**2
        variance = np.maximum(own - np.einsum("ij,ij->j", half, half), 0.0)
        return self._level + half.T @ self._white, np.sqrt(variance)

    def beliefs(self, masks: np.ndarray) -> dict[int, float]:
        """Return {mask: posterior mean} of `masks` (uint64[B])."""
        return dict(zip(masks.tolist(), self.predict(masks)[0].tolist(), strict=True))

    def _members(self, masks: np.ndarray) -> np.ndarray:
        asked = (masks & ~self._known)[:, None] >> np.arange(self._n, dtype=np.uint64)[None, :]
        return (asked & np.uint64(1)).astype(np.float64)

    def _values(self, spreads: tuple[int, ...]) -> Spreads:
        found = Spreads(*(grid[i] for grid, i in zip(_GRID, spreads, strict=True)))
        return found if self._noisy else found._replace(noise=0.0)

    def _of_highest_evidence(self, start: tuple[int, ...]) -> tuple[int, ...]:
        step = -(-len(self.looks.masks) // _MOST_FITTED)
        found = {start: self._evidence(start, step)}
        best = start
        for _ in range(_SWEEPS):
            for axis in range(len(_GRID) if self._noisy else len(_GRID) - 1):
                for i in range(len(_GRID[axis])):
                    other = (*best[:axis], i, *best[axis + 1 :])
                    if other not in found:
                        found[other] = self._evidence(other, step)
                best = max((s for s in found), key=lambda s: (found[s], s))
        return best

    def _root(self, values: Spreads, step: int) -> np.ndarray:
        """Return the lower Cholesky root of the covariance of the mean look at every `step`-th set."""
        rows, counts = self._rows[::step], self.looks.counts[::step]
        own = values.misfit**2 + values.noise**2 / counts + _JITTER
        return np.linalg.cholesky(_kernel(rows, rows, values) + np.diag(own))

    def _evidence(self, spreads: tuple[int, ...], step: int) -> float:
        """Return log p(looks | spreads) + log p(noise), without what does not depend on them."""
        values = self._values(spreads)
        noise = values.noise
        lower = self._root(values, step)
        white = np.linalg.solve(lower, self.looks.means[::step] - self._level)
        total = -0.5 * white @ white - np.log(np.diag(lower)).sum()
        if self._noisy:
            total -= self.looks.freedom * math.log(noise) + self.looks.squares / (2 * noise**2)
            total -= _penalty(noise, _NOISE_PRIOR) + _penalty(values.misfit, _MISFIT_PRIOR)
        return float(total)


def _penalty(value: float, prior: tuple[float, float]) -> float:
    return 0.5 * ((math.log(value) - prior[0]) / prior[1]) ** 2


def _kernel(first: np.ndarray, second: np.ndarray, values: Spreads) -> np.ndarray:
    """Return float64[A, B], the covariance without misfit; `first`, `second`: float64[A, n], float64[B, n]."""
    common = first @ second.T
    one, two = first.sum(axis=1)[:, None], second.sum(axis=1)[None, :]
    sizes = _LEVEL + _LINE * one * two + _WIENER * np.minimum(one, two)
    effects = values.weight**2 * common + values.pair**2 * common * (common - 1) / 2
    return (
        sizes
        + np.exp(-values.fade * np.maximum(one - 1, 0))
        * np.exp(-values.fade * np.maximum(two - 1, 0))
        * effects
    )


def _kernel_diagonal(rows: np.ndarray, values: Spreads) -> np.ndarray:
    size = rows.sum(axis=1)
    effects = values.weight**2 * size + values.pair**2 * size * (size - 1) / 2
    return (
        _LEVEL
        + _LINE * size**2
        + _WIENER * size
        + np.exp(-2 * values.fade * np.maximum(size - 1, 0)) * effects
    )
