"""What all evaluations of a problem say of every set: the response surface, for searches without one of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from search.problem import Problem

if TYPE_CHECKING:  # they import Numba, which a search without noise does not need
    from search.surrogate.ensemble import Ensemble
    from search.surrogate.posterior import Posterior
    from search.surrogate.response_surface import Evaluations, Sets

_MOST_COMPARED = 120
"""Sets that members of the ensemble are compared on, every k-th of those asked where there are more."""
_MOST_FITTED = 240
"""Sets the surface is fitted to, every k-th where there are more; others add their own evaluations."""
_CLIMBS = 6
_CHUNK = 2048


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


class PooledBeliefs:
    """Beliefs about the sets of `problem` given all that it has scored (`search.surrogate.response_surface`).

    The posterior mean of a set is what to believe of it: the luckiest of many evaluations is drawn towards
    what its attributes do elsewhere. `earlier`: beliefs about the same problem, whose ensemble goes on.
    """

    def __init__(self, problem: Problem, earlier: PooledBeliefs | None = None) -> None:
        from search.surrogate.ensemble import Ensemble, Structures
        from search.surrogate.response_surface import Sets, SurfacePrior

        self.evaluations = evaluations_of(problem)
        self._known = int(problem.known)
        self._prior = SurfacePrior.default(
            problem.n_attributes, min(problem.budget, int(problem.askable).bit_count())
        )
        count = len(self.evaluations.masks)
        self._fitted = slice(None, None, _step(count, _MOST_FITTED))
        self._compared = _step(len(self.evaluations.masks[self._fitted]), _MOST_COMPARED)
        self._ensemble: Ensemble
        if earlier is not None and earlier._compared == self._compared:
            self._ensemble = earlier._ensemble
        else:
            self._ensemble = Ensemble(Structures.default(problem.noisy), problem.noisy)
        self._sets = Sets(self.evaluations.masks[self._fitted], self._prior, self._known)
        self._posterior = self._of(self._sets)

    def predict(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (float64[B] posterior means, float64[B] sds) of the true scores of `masks` (uint64[B])."""
        masks = np.asarray(masks, np.uint64)
        parts = [self._predict(masks[i : i + _CHUNK]) for i in range(0, len(masks), _CHUNK)]
        mean = np.concatenate([part[0] for part in parts] or [np.empty(0)])
        variance = np.concatenate([part[1] for part in parts] or [np.empty(0)])
        return mean, np.sqrt(variance)

    def beliefs(self, masks: np.ndarray) -> dict[int, float]:
        """Return {mask: posterior mean} of `masks` (uint64[B])."""
        return dict(zip(masks.tolist(), self.predict(masks)[0].tolist(), strict=True))

    def _of(self, sets: Sets) -> Posterior:
        from search.surrogate.ensemble import FLOOR
        from search.surrogate.posterior import Posterior

        few = self._ensemble.posterior(sets, self._summary(self._compared))
        if self._compared == 1:
            return few
        return Posterior(sets, few.models, self._summary(1), climbs=_CLIMBS, floor=FLOOR)

    def _summary(self, step: int) -> Evaluations:
        """Return the evaluations of every `step`-th set that is fitted."""
        from search.surrogate.response_surface import Evaluations

        seen = self.evaluations
        means, counts = seen.means[self._fitted], seen.counts[self._fitted].astype(np.float64)
        at = np.arange(0, len(means), step)
        return Evaluations(at, means[at], counts[at], float(seen.squares), seen.freedom)

    def _predict(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from search.surrogate.response_surface import Sets

        sets, wanted = self._sets, masks.tolist()
        if not sets.place.keys() >= set(wanted):
            together = dict.fromkeys([*sets.masks.tolist(), *wanted])
            sets = Sets(np.array(list(together), np.uint64), self._prior, self._known)
        beliefs = self._posterior.beliefs(sets)
        at = [sets.place[mask] for mask in wanted]
        mean, variance = beliefs.mean[at], beliefs.variance[at]
        if self._fitted.step > 1:
            self._add_own_evaluations(masks, mean, variance, beliefs.noise)
        return mean, variance

    def _add_own_evaluations(
        self, masks: np.ndarray, mean: np.ndarray, variance: np.ndarray, noise: float
    ) -> None:
        """Update sets that were looked at but not fitted, each by its own evaluations alone, in place."""
        seen = self.evaluations
        rest = {m: i for i, m in enumerate(seen.masks.tolist()) if m not in self._sets.place}
        for at, mask in enumerate(masks.tolist()):
            if (i := rest.get(mask)) is not None:
                trust = variance[at] / (variance[at] + noise**2 / seen.counts[i])
                mean[at] += trust * (seen.means[i] - mean[at])
                variance[at] *= 1 - trust


def _step(count: int, most: int) -> int:
    return max(1, -(-count // most))
