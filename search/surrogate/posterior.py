"""The posterior of a response surface and the beliefs about sets that it leads to.

Inference in three steps, each in the dual form, O(m^3) in the m sets that were looked at:

1. the mode of y given the evaluations, by Gauss-Newton steps with a line search on the log posterior;
2. the evidence of each member, of the model linearised there (Laplace; Rasmussen & Williams 2006, 5.5.1);
3. posterior linearisation (Garcia-Fernandez et al. 2015): s is replaced by its best linear fit under the
   posterior itself, and what is not linear in y counts as misfit. The tangent at the mode would promise too
   much of sets whose y is uncertain, for the link is concave (Jensen), and more so of the one that is chosen.

What remains is Gaussian process regression (ibid., 2.2). The mixture of the members, weighted by evidence, is
handed on as the one Gaussian of the same means and covariances.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from envs.elementwise import each
from search.core import surface_posterior
from search.core.acquisition_kernels import mixed_covariance
from search.core.linear_algebra import row_product
from search.surrogate.response_surface import Evaluations, Sets, SurfaceModels, with_pairs


class Start(NamedTuple):
    """Where to begin the climb to the mode: of G members, of the first sets looked at.

    `dual`: float64[G, m'], y's mode = prior mean + kernel @ dual; `base`: float64[G].
    """

    dual: np.ndarray
    base: np.ndarray


class Posterior:
    """The posterior of each of G members, given evaluations.

    Attributes
    ----------
    log_evidence : float64[G], of the evaluations
    weight : float64[G], posterior probability of each member
    base : float64[G], posterior mean
    start : for the posterior of the same members after further evaluations
    """

    def __init__(
        self,
        sets: Sets,
        models: SurfaceModels,
        evaluations: Evaluations,
        start: Start | None = None,
        climbs: int = 6,
        passes: int = 1,
        floor: float = 0.0,
    ) -> None:
        self.sets, self.models, self.evaluations = sets, models, evaluations
        at, prior = evaluations.at, sets.prior
        self._link = models.curvature, models.scale
        dual = np.zeros((len(models.noise), len(at)))
        base = np.full(len(dual), prior.base)
        if start is not None:
            dual[:, : start.dual.shape[1]] = start.dual
            base = start.base.copy()
        fit = surface_posterior.posterior(
            *sets.gram(at, at),
            models.pair_scale**2,
            sets.mean[at],
            *evaluations[1:],
            models.noise,
            models.misfit,
            *self._link,
            prior.base,
            prior.base_sd,
            dual,
            base,
            climbs,
            passes,
        )
        self._slope, self._own, self._target, self._noise, self._root, self._weights, self.base = fit[:-1]
        self.start = Start(dual, base)
        self.log_evidence: np.ndarray = fit[-1]
        log_weight = models.log_weight + self.log_evidence
        weight = each(math.exp, log_weight - np.logaddexp.reduce(log_weight))
        self.weight = np.maximum(weight, floor) / np.maximum(weight, floor).sum()

    def linear(self, g: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (float64[m] slope, target, variance): member g's target = base + slope * y + error."""
        return self._slope[g], self._target[g], self._noise[g] + self._own[g]

    def beliefs(self, sets: Sets) -> Beliefs:
        """Return the mixture's beliefs about the true scores of `sets`, those looked at among them."""
        at = self.evaluations.at
        if sets is not self.sets:
            at = np.array([sets.place[mask] for mask in self.sets.masks[at].tolist()])
        return Beliefs(
            self,
            sets,
            surface_posterior.mixture(
                self.weight,
                self._root,
                self._slope,
                self._weights,
                self._own,
                self.base,
                *sets.gram(at),
                self.models.pair_scale**2,
                self.models.misfit,
                sets.mean,
                sets.own(self.models),
                *self._link,
                at,
                self.sets.prior.base_sd**2,
            ),
        )

    @functools.cached_property
    def _rows(self) -> np.ndarray:
        """float64[m, n + P], of the sets looked at."""
        return with_pairs(self.sets.member[self.evaluations.at])

    def draw(self, rng: np.random.Generator | None) -> np.ndarray:
        """Return float64[3 + n + P]: base, height, curvature, weights, pairs.

        Of the most probable member its mean; with `rng` a sample, of a member drawn by its weight, as it is
        linearised (Matheron's rule: a sample of the prior, corrected by the evaluations).
        """
        g = int(np.argmax(self.weight)) if rng is None else int(rng.choice(len(self.weight), p=self.weight))
        prior = self.sets.prior
        n = len(prior.weight)
        rows = self._rows
        sd = np.concatenate([prior.weight_sd, self.models.pair_scale[g] * prior.pair_sd])
        theta = np.concatenate([prior.weight, prior.pair])
        base, pull_of_data = prior.base, self._weights[g]
        if rng is not None:
            drawn = sd * rng.standard_normal(len(sd))
            drawn[:n] += prior.shared_sd * rng.standard_normal()
            lifted = prior.base_sd * rng.standard_normal()
            error = np.sqrt(self._noise[g] + self._own[g]) * rng.standard_normal(len(rows))
            seen = lifted + self._slope[g] * (rows * drawn).sum(axis=1) + error
            pull_of_data = pull_of_data - row_product(row_product(seen, self._root[g].T), self._root[g])
            theta, base = theta + drawn, base + lifted
        pull = row_product(self._slope[g] * pull_of_data, rows)
        theta = theta + sd**2 * pull
        theta[:n] += prior.shared_sd**2 * pull[:n].sum()
        base += prior.base_sd**2 * pull_of_data.sum()
        return np.concatenate([[base, self.models.height[g], self.models.curvature[g]], theta])


class Beliefs:
    """Beliefs about the true scores of C sets, as one Gaussian.

    Attributes
    ----------
    mean, variance : float64[C]
    noise : float, sd of an evaluation
    """

    def __init__(self, posterior: Posterior, sets: Sets, mixed: tuple[np.ndarray, ...]) -> None:
        self.posterior, self.sets = posterior, sets
        self.mean, self.variance, self._apart, self._slope, self._unlike, self._half = mixed
        self.noise = float(np.sqrt((posterior.weight * posterior.models.noise**2).sum()))

    def covariance(self, some: np.ndarray) -> np.ndarray:
        """Return float64[S, C], between the sets at the indices `some` and all."""
        models, weight = self.posterior.models, self.posterior.weight
        found: np.ndarray = mixed_covariance(
            some,
            *self.sets.gram(some),
            weight,
            models.pair_scale**2,
            self._slope,
            self._unlike,
            self._apart,
            self._half,
            self.sets.prior.base_sd**2,
        )
        return found
