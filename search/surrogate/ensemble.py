"""Bayesian model averaging over response-surface structures, renewed as evaluations arrive."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from envs.elementwise import each
from search.surrogate.posterior import Posterior, Start
from search.surrogate.response_surface import Evaluations, Sets, SurfaceModels

PAIR_SCALES = (0.06, 0.25, 1.0)
_STRAIGHT = 0.01
_LINKS = {
    **{(_STRAIGHT, height): 0.05 for height in (0.3, 1.0)},
    **{(k, h): w for k in (0.5, 1.0, 2.0) for h, w in ((0.25, 0.2), (0.5, 0.6), (1.0, 1.0), (1.8, 0.6))},
}
"""{(curvature, height): weight}; judges saturate, and where one does not, its scores soon say so."""
_NOISES = {0.06: 0.2, 0.1: 0.6, 0.17: 1.0, 0.28: 1.0, 0.45: 0.8, 0.75: 0.4}
_MISFITS = {0.003: 1.0, 0.01: 1.0, 0.03: 1.0, 0.08: 0.5}
_MISFIT = 0.02
"""The misfit under noise, where it cannot be told from pairs."""
_LEADERS = 4
_ACTIVE = 5
_ENOUGH = 0.95
"""Members of the highest weights are followed: at most so many, to so much of the weight."""
_FLOOR = 0.03
"""Least weight of a member followed: one of each pair scale is, for an early verdict can be wrong."""
_RENEWAL = 1.35
"""Sets looked at between two renewals grow by this factor."""


@dataclass(frozen=True)
class Structures:
    """Links and pairs' spreads, float64[M] each, and how probable each is before any look.

    `residuals`: {noise of an evaluation, or misfit where there is no noise: prior weight}, score points.
    """

    curvature: np.ndarray
    height: np.ndarray
    pair_scale: np.ndarray
    log_weight: np.ndarray
    residuals: dict[float, float]

    @classmethod
    def default(cls, noisy: bool) -> Structures:
        """Return what is considered of a judge of which nothing is known."""
        rows = np.array([(*link, pair) for link in _LINKS for pair in PAIR_SCALES])
        curvature, height, pair_scale = rows.T
        log_weight = np.repeat(each(math.log, list(_LINKS.values())), len(PAIR_SCALES))
        return cls(curvature, height, pair_scale, log_weight, _NOISES if noisy else _MISFITS)

    def of_curvature(self, curvature: float) -> Structures:
        """Return those with this curvature."""
        at = self.curvature == curvature
        fields = (self.curvature[at], self.height[at], self.pair_scale[at], self.log_weight[at])
        return Structures(*fields, self.residuals)

    def models(self, which: np.ndarray, residuals: dict[float, float], noisy: bool) -> SurfaceModels:
        """Return the product of the structures at the indices `which` with `residuals`."""
        repeat = np.repeat(which, len(residuals))
        residual = np.tile(list(residuals), len(which))
        log_weight = self.log_weight[repeat] + np.tile(each(math.log, list(residuals.values())), len(which))
        none = np.zeros(len(repeat))
        return SurfaceModels(
            self.curvature[repeat],
            self.height[repeat],
            self.pair_scale[repeat],
            residual if noisy else none,
            none + _MISFIT if noisy else residual,
            log_weight,
        )


class Ensemble:
    """The few models that are followed, chosen anew by evidence as evaluations come in.

    First every structure at the present noise, then the leading ones, and the leading one of each pair
    scale, with every noise; without noise the misfit takes its place.
    """

    def __init__(self, structures: Structures, noisy: bool) -> None:
        self.structures = structures
        self.noisy = noisy
        logs = each(math.log, list(structures.residuals))
        self.residual = math.exp(np.average(logs, weights=list(structures.residuals.values())))
        self._models: SurfaceModels | None = None
        self._start: Start | None = None
        self._first: Start | None = None
        self._renewal = 2

    def posterior(self, sets: Sets, evaluations: Evaluations, renew: bool = False) -> Posterior:
        """Return the posterior of the members followed, after a renewal where one is due or wanted."""
        if self._models is None or renew or len(evaluations.at) >= self._renewal:
            self._renew(sets, evaluations)
            self._renewal = math.ceil(_RENEWAL * len(evaluations.at)) + 1
        assert self._models is not None  # noqa: S101 - renewed above
        found = Posterior(sets, self._models, evaluations, self._start, 2, floor=_FLOOR)
        self._start = found.start
        return found

    def _renew(self, sets: Sets, evaluations: Evaluations) -> None:
        everything = np.arange(len(self.structures.curvature))
        models = self.structures.models(everything, {self.residual: 1.0}, self.noisy)
        climbs = 6 if self._first is None else 2
        # Evidence is all that is wanted of those compared, and it takes no linearisation under the posterior.
        first = Posterior(sets, models, evaluations, self._first, climbs, passes=0)
        self._first = first.start
        scales = self.structures.pair_scale
        leaders = [*np.argsort(-first.weight, kind="stable")[:_LEADERS].tolist()]
        leaders += [int(np.argmax(np.where(scales == s, first.weight, -1.0))) for s in np.unique(scales)]
        leaders = list(dict.fromkeys(leaders))
        residuals = self.structures.residuals
        options = self.structures.models(np.array(leaders), residuals, self.noisy)
        start = Start(*(np.repeat(field[leaders], len(residuals), axis=0) for field in first.start))
        second = Posterior(sets, options, evaluations, start, 2, passes=0)
        best = np.argsort(-second.weight, kind="stable").tolist()
        enough = int(np.searchsorted(np.cumsum(second.weight[best]), _ENOUGH)) + 1
        chosen = best[: min(enough, _ACTIVE)]
        for scale in np.unique(scales):
            if not np.any(options.pair_scale[chosen] == scale):
                chosen.append(next(i for i in best if options.pair_scale[i] == scale))
        self._models = options.take(np.array(chosen))
        self._start = Start(*(field[chosen] for field in second.start))
        values = options.noise if self.noisy else options.misfit
        self.residual = math.exp((second.weight * each(math.log, values)).sum())
