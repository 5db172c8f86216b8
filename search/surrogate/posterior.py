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

import math
from typing import NamedTuple

import numpy as np

from envs.elementwise import each
from search.core.linear_algebra import cholesky, inverse_lower, product, row_product, solve
from search.surrogate.response_surface import (
    Evaluations,
    Latent,
    Sets,
    SurfaceModels,
    linearise,
    link,
    prior_latent,
    tangent,
)

_JITTER = 1e-8


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
        at = evaluations.at
        self._kernel = sets.kernel(models, at, at)
        self._mean = sets.mean[at]
        self._noise = models.noise[:, None] ** 2 / evaluations.counts + _JITTER
        self._misfit = np.broadcast_to(models.misfit[:, None] ** 2, self._noise.shape)
        dual = np.zeros_like(self._noise)
        base = np.full(len(dual), sets.prior.base)
        if start is not None:
            dual[:, : start.dual.shape[1]] = start.dual
            base = start.base
        for _ in range(climbs):
            dual, base = self._climb(dual, base)
        self.start = Start(dual, base)
        latent = Latent(self._mean + row_product(dual, self._kernel), np.zeros_like(dual))
        for again in range(1 + passes):
            self._solve(latent)
            if (
                not again
            ):  # later on, what is not linear counts as misfit, which would tell against curved links
                self.log_evidence = self._evidence()
            latent = self._latent(self._kernel, self._mean, np.diagonal(self._kernel, axis1=1, axis2=2))[0]
        log_weight = models.log_weight + self.log_evidence
        weight = each(math.exp, log_weight - np.logaddexp.reduce(log_weight))
        self.weight = np.maximum(weight, floor) / np.maximum(weight, floor).sum()

    def _climb(self, dual: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Go towards the mode of the model linearised here, as far as the true log posterior rises most."""
        models, prior = self.models, self.sets.prior
        lift = row_product(dual, self._kernel)  # which is symmetric
        y = self._mean + lift
        slope = tangent(y, models)
        residual = self.evaluations.means - prior.base - link(y, models) + slope * lift
        weights = solve(self._covariance(slope, self._misfit), residual)
        new_dual, new_base = weights * slope, prior.base + prior.base_sd**2 * weights.sum(axis=1)
        new_lift = row_product(new_dual, self._kernel)
        step, best = np.zeros(len(base)), np.full(len(base), -np.inf)
        for size in (0.0, 0.25, 1.0):
            value = self._log_posterior(
                dual + size * (new_dual - dual),
                lift + size * (new_lift - lift),
                base + size * (new_base - base),
            )
            step = np.where(value > best, size, step)
            best = np.maximum(value, best)
        return dual + step[:, None] * (new_dual - dual), base + step * (new_base - base)

    def _log_posterior(self, dual: np.ndarray, lift: np.ndarray, base: np.ndarray) -> np.ndarray:
        off = self.evaluations.means - base[:, None] - link(self._mean + lift, self.models)
        prior = (lift * dual).sum(axis=1) + ((base - self.sets.prior.base) / self.sets.prior.base_sd) ** 2
        return -0.5 * ((off**2 / (self._noise + self._misfit)).sum(axis=1) + prior)

    def _covariance(self, slope: np.ndarray, own: np.ndarray) -> np.ndarray:
        cov = slope[:, :, None] * self._kernel
        cov *= slope[:, None, :]
        cov += self.sets.prior.base_sd**2
        diagonal = np.arange(len(self._mean))
        cov[:, diagonal, diagonal] += self._noise + own
        return cov

    def _solve(self, latent: Latent) -> None:
        """Linearise under `latent` on the sets looked at, and solve."""
        fit = linearise(latent, self.models)
        prior = self.sets.prior
        self._slope = fit.slope
        self._own = self._misfit + fit.bent
        self._target = self.evaluations.means - fit.gain + fit.slope * latent.mean
        self._root = inverse_lower(cholesky(self._covariance(fit.slope, self._own)))
        residual = self._target - prior.base - fit.slope * self._mean
        self._whitened = row_product(residual, self._root.transpose(0, 2, 1))
        self._weights = row_product(self._whitened, self._root)
        self.base = prior.base + prior.base_sd**2 * self._weights.sum(axis=1)

    def _latent(self, cross: np.ndarray, mean: np.ndarray, own: np.ndarray) -> tuple[Latent, np.ndarray]:
        """Return y's moments on C sets, and float64[G, m, C], root of what the data take off its kernel.

        `cross`: float64[G, m, C], kernel between the sets looked at and these; `mean`, `own`: y's prior
        moments on these.
        """
        half = product(self._root * self._slope[:, None, :], cross)
        y = mean + row_product(self._weights * self._slope, cross)
        variance = np.maximum(own - (half**2).sum(axis=1), 0.0)
        return Latent(y, variance), half

    def linear(self, g: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (float64[m] slope, target, variance): member g's target = base + slope * y + error."""
        return self._slope[g], self._target[g], self._noise[g] + self._own[g]

    def _evidence(self) -> np.ndarray:
        logs = each(math.log, np.diagonal(self._root, axis1=1, axis2=2)).sum(axis=1)
        found = logs - 0.5 * (self._whitened**2).sum(axis=1)
        if self.evaluations.repeats:  # looks at the same set tell of the noise alone
            noise = self.models.noise
            found = (
                found
                - 0.5 * self.evaluations.within / noise**2
                - self.evaluations.repeats * each(math.log, noise)
            )
        return found

    def beliefs(self) -> Beliefs:
        """Return the mixture's beliefs about the true scores of all sets."""
        sets, models, prior, at = self.sets, self.models, self.sets.prior, self.evaluations.at
        own = prior_latent(sets, models).variance
        latent, half = self._latent(sets.kernel(models, at), sets.mean, own)
        fit = linearise(latent, models)
        half *= fit.slope[:, None, :]
        half += prior.base_sd**2 * self._root.sum(axis=2)[:, :, None]
        unlike = models.misfit[:, None] ** 2 + fit.bent
        unlike[:, at] = self._own
        half[:, :, at] += self._own[:, None, :] * self._root
        mean = self.base[:, None] + fit.gain
        # Of a residual only the misfit's share is believed: the link's bend is no effect of one set's own,
        # and would let a lucky look promise itself.
        mean[:, at] += models.misfit[:, None] ** 2 * self._weights
        variance = prior.base_sd**2 + fit.slope**2 * own + unlike
        variance = np.maximum(variance - (half**2).sum(axis=1), 1e-12)
        return Beliefs(self, mean, variance, fit.slope, unlike, half)

    def draw(self, rng: np.random.Generator | None) -> np.ndarray:
        """Return float64[3 + n + P]: base, height, curvature, weights, pairs.

        Of the most probable member its mean; with `rng` a sample, of a member drawn by its weight, as it is
        linearised (Matheron's rule: a sample of the prior, corrected by the evaluations).
        """
        g = int(np.argmax(self.weight)) if rng is None else int(rng.choice(len(self.weight), p=self.weight))
        prior, rows = self.sets.prior, self.sets.rows[self.evaluations.at]
        n = len(prior.weight)
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

    def __init__(
        self,
        posterior: Posterior,
        means: np.ndarray,
        variances: np.ndarray,
        slope: np.ndarray,
        unlike: np.ndarray,
        half: np.ndarray,
    ) -> None:
        self.posterior = posterior
        self._slope, self._unlike, self._half = slope, unlike, half
        weight = posterior.weight
        self.mean = row_product(weight, means)
        self._apart = means - self.mean
        self.variance = row_product(weight, variances + self._apart**2)
        self.noise = float(np.sqrt((weight * posterior.models.noise**2).sum()))

    def covariance(self, some: np.ndarray) -> np.ndarray:
        """Return float64[C, S], between all sets and those at the indices `some`."""
        sets, weight = self.posterior.sets, self.posterior.weight[:, None]
        slopes = (weight * self._slope[:, some]).T
        pair_slopes = slopes * self.posterior.models.pair_scale**2
        found = sets.main[some] * product(slopes, self._slope)
        found += sets.pair[some] * product(pair_slopes, self._slope)
        found[np.arange(len(some)), some] += (weight * self._unlike[:, some]).sum(axis=0)
        found += product((weight * self._apart[:, some]).T, self._apart) + sets.prior.base_sd**2
        taken = (weight[:, :, None] * self._half[:, :, some]).reshape(-1, len(some))
        found -= product(taken.T, self._half.reshape(-1, len(self.mean)))
        return found.T
