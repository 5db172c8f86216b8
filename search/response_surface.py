"""A Bayesian response surface over sets: main effects and pairs behind a saturating link.

    s(S) = b + e^h (1 - exp(-k y(S))) / (1 - exp(-k)) + e(S),   y(S) = sum_{a in S} w_a + sum_{a < b in S} v_ab

so that e^h is what a set of y = 1 gains; k is the link's curvature (k -> 0: a straight line). Base b, log height h,
weights w and pairs v have normal priors, the pairs' around 0, so that they are shrunk; the weights share an
unknown mean. e is a misfit of each set's own. y is then a Gaussian process over sets with the kernel

    K(S, T) = sd_0^2 |S| |T| + sum_{a in S and T} sd_a^2 + sum_{a < b in S and T} sd_ab^2.

The posterior is Gaussian, by iterated posterior linearisation (Garcia-Fernandez et al. 2015): s is replaced by
its best linear fit under the posterior itself, not by its tangent at the mode, whose prediction is too high where y
is uncertain (Jensen: the link is concave). b, h and y being jointly normal, all moments are those of log-normals:
E exp(h - k y) = exp(E h - k E y + var(h - k y) / 2). The rest is Gaussian process regression on the looks
(Rasmussen & Williams 2006, section 2.2), O(m^3) in the m sets that were looked at.

Curvature, the pairs' spread, the noise of a look and the misfit are not fitted but averaged over: `Members` are
models with values of their own, each weighted by its evidence; all are solved at once, as stacked arrays
`[G, ...]`. A mixture is handed on as the one Gaussian of the same means and covariances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

_JITTER = 1e-8
_STEEPEST = 6.0
"""Exponents of the link are cut here: early in a search the posterior is wide and e^x would overflow."""


@dataclass(frozen=True)
class SurfacePrior:
    """Normal priors over n attributes and P = n (n - 1) / 2 pairs, (0, 1), (0, 2), ... in row order.

    Score points: `base`, `base_sd`. Dimensionless: `log_height`, `log_height_sd` (of e^h in score points),
    `weight`, `weight_sd` (float64[n]), `shared_sd` (of the mean of all weights), `pair`, `pair_sd` (float64[P]).
    """

    base: float
    base_sd: float
    log_height: float
    log_height_sd: float
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
            log_height=-0.2,
            log_height_sd=0.7,
            weight=np.full(n_attributes, weight),
            weight_sd=np.full(n_attributes, 1.3 * weight),
            shared_sd=0.8 * weight,
            pair=np.zeros(n_pairs),
            pair_sd=np.full(n_pairs, weight),
        )


class Members(NamedTuple):
    """G models: float64[G] each; `pair_scale` multiplies the prior's `pair_sd`, `log_weight` is normalised."""

    curvature: np.ndarray
    pair_scale: np.ndarray
    noise: np.ndarray
    misfit: np.ndarray
    log_weight: np.ndarray

    @classmethod
    def grid(
        cls,
        curvatures: dict[float, float],
        pair_scales: dict[float, float],
        noises: dict[float, float],
        misfits: dict[float, float],
    ) -> Members:
        """Return the product of {value: prior weight} of each."""
        axes = (curvatures, pair_scales, noises, misfits)
        values = np.meshgrid(*(np.array(list(axis)) for axis in axes), indexing="ij")
        weights = np.meshgrid(*(np.log(list(axis.values())) for axis in axes), indexing="ij")
        log_weight = sum(w.ravel() for w in weights)
        return cls(*(v.ravel() for v in values), log_weight - np.logaddexp.reduce(log_weight))

    def take(self, which: np.ndarray) -> Members:
        """Return the members at the indices `which`."""
        return Members(*(field[which] for field in self))


class Looks(NamedTuple):
    """What was seen of m sets.

    `at`: int[m], their places among `Sets.masks`; `means`, `counts`: float64[m] of the looks at each; `within`: the
    sum of squared deviations of repeated looks from their means, `repeats`: its degrees of freedom.
    """

    at: np.ndarray
    means: np.ndarray
    counts: np.ndarray
    within: float
    repeats: int


def features(masks: np.ndarray, n_attributes: int) -> np.ndarray:
    """Return float64[B, n + n (n - 1) / 2]: membership of each attribute, then of each pair."""
    bits = (np.asarray(masks, np.uint64)[:, None] >> np.arange(n_attributes, dtype=np.uint64)) & np.uint64(1)
    single = bits.astype(np.float64)
    first, second = np.triu_indices(n_attributes, 1)
    return np.concatenate([single, single[:, first] * single[:, second]], axis=1)


class Sets:
    """The candidates, and what the prior says of y on them.

    Attributes
    ----------
    masks : uint64[C]
    rows : float64[C, n + P], `features`
    mean : float64[C], prior mean of y
    main, pair : float64[C, C], the kernel's parts; `pair` for a `pair_scale` of 1
    """

    def __init__(self, masks: np.ndarray, prior: SurfacePrior) -> None:
        n = len(prior.weight)
        self.masks = masks
        self.rows = features(masks, n)
        self.prior = prior
        single, double = self.rows[:, :n], self.rows[:, n:]
        size = single.sum(axis=1)
        self.mean = single @ prior.weight + double @ prior.pair
        self.main = (single * prior.weight_sd**2) @ single.T + prior.shared_sd**2 * np.outer(size, size)
        self.pair = (double * prior.pair_sd**2) @ double.T
        self.place = {mask: i for i, mask in enumerate(masks.tolist())}


class _State(NamedTuple):
    """Posterior moments that the linearisation needs: of h float64[G], of y and of (h, y) float64[G, C]."""

    height: np.ndarray
    height_var: np.ndarray
    y: np.ndarray
    y_var: np.ndarray
    height_y: np.ndarray

    def at(self, places: np.ndarray) -> _State:
        return _State(
            self.height,
            self.height_var,
            self.y[:, places],
            self.y_var[:, places],
            self.height_y[:, places],
        )

    def take(self, which: np.ndarray) -> _State:
        return _State(*(field[which] for field in self))


def prior_state(sets: Sets, members: Members) -> _State:
    """Return the moments before any look."""
    n_members = len(members.curvature)
    kernel = np.diagonal(sets.main) + members.pair_scale[:, None] ** 2 * np.diagonal(sets.pair)
    flat = np.ones(n_members)
    return _State(
        flat * sets.prior.log_height,
        flat * sets.prior.log_height_sd**2,
        np.broadcast_to(sets.mean, kernel.shape),
        kernel,
        np.zeros_like(kernel),
    )


def _slopes(state: _State, curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (float64[G, C], float64[G, C]): expected derivatives of s by h and by y.

    The first is the expected gain s - b as well.
    """
    k = curvature[:, None]
    reach = -np.expm1(-k)
    spread = state.height_var[:, None] - 2 * k * state.height_y + k**2 * state.y_var
    left = np.exp(np.minimum(state.height[:, None] - k * state.y + 0.5 * spread, _STEEPEST))
    whole = np.exp(np.minimum(state.height + 0.5 * state.height_var, _STEEPEST))[:, None]
    return (whole - left) / reach, k * left / reach


class Posterior:
    """The posterior of each of G members, given looks.

    Attributes
    ----------
    log_evidence : float64[G], of the looks
    """

    def __init__(
        self,
        sets: Sets,
        members: Members,
        looks: Looks,
        start: _State | None = None,
        iterations: int = 6,
    ) -> None:
        self.sets, self.members, self.looks = sets, members, looks
        at, prior = looks.at, sets.prior
        block = np.ix_(at, at)
        self._kernel = sets.main[block] + members.pair_scale[:, None, None] ** 2 * sets.pair[block]
        self._noise = members.noise[:, None] ** 2 / looks.counts + members.misfit[:, None] ** 2 + _JITTER
        state = (prior_state(sets, members) if start is None else start).at(at)
        for _ in range(iterations):
            state = self._step(state, prior)
        self.log_evidence = self._evidence()

    def _step(self, state: _State, prior: SurfacePrior) -> _State:
        """Linearise under `state`, solve, and return the posterior's moments at the sets looked at."""
        gain, slope = _slopes(state, self.members.curvature)
        kernel, mean = self._kernel, self.sets.mean[self.looks.at]
        cov = slope[:, :, None] * kernel * slope[:, None, :] + prior.base_sd**2
        cov += prior.log_height_sd**2 * gain[:, :, None] * gain[:, None, :]
        diagonal = np.arange(len(self.looks.at))
        cov[:, diagonal, diagonal] += self._noise
        self._root = np.linalg.inv(np.linalg.cholesky(cov))
        expected = prior.base + gain * (1 + prior.log_height - state.height)[:, None] + slope * (mean - state.y)
        self._told = (self._root @ (self.looks.means - expected)[:, :, None])[:, :, 0]
        self._weights = (self._told[:, None, :] @ self._root)[:, 0]
        self._slope = slope
        self._half_height = prior.log_height_sd**2 * (self._root @ gain[:, :, None])[:, :, 0]
        self._height = prior.log_height + prior.log_height_sd**2 * (gain * self._weights).sum(axis=1)
        self._base = prior.base + prior.base_sd**2 * self._weights.sum(axis=1)
        return self._moments(kernel, mean, np.diagonal(kernel, axis1=1, axis2=2))[0]

    def _moments(
        self, cross: np.ndarray, mean: np.ndarray, variance: np.ndarray
    ) -> tuple[_State, np.ndarray]:
        """Return the moments of sets, and float64[G, m, C], the root of what the looks take off y's kernel.

        `cross`: float64[G, m, C], prior covariance of y between the sets looked at and these; `mean`,
        `variance`: y's prior on these.
        """
        half = (self._root * self._slope[:, None, :]) @ cross
        y = mean + ((self._weights * self._slope)[:, None, :] @ cross)[:, 0]
        height_var = self.sets.prior.log_height_sd**2 - (self._half_height**2).sum(axis=1)
        y_var = np.maximum(variance - np.einsum("gmc,gmc->gc", half, half), 0.0)
        height_y = -(self._half_height[:, None, :] @ half)[:, 0]
        return _State(self._height, np.maximum(height_var, 0.0), y, y_var, height_y), half

    def _evidence(self) -> np.ndarray:
        logs = np.log(np.diagonal(self._root, axis1=1, axis2=2)).sum(axis=1)
        found = logs - 0.5 * (self._told**2).sum(axis=1)
        if self.looks.repeats:  # repeated looks tell of the noise alone
            noise = self.members.noise
            found = found - 0.5 * self.looks.within / noise**2 - self.looks.repeats * np.log(noise)
        # the means of repeated looks: their densities as functions of single looks
        return found

    def beliefs(self) -> Beliefs:
        """Return the mixture's beliefs about the true scores of all sets."""
        sets, members, prior, at = self.sets, self.members, self.sets.prior, self.looks.at
        scale = members.pair_scale[:, None] ** 2
        cross = sets.main[at] + scale[:, :, None] * sets.pair[at]
        own = np.diagonal(sets.main) + scale * np.diagonal(sets.pair)
        state, half = self._moments(cross, sets.mean, own)
        gain, slope = _slopes(state, members.curvature)
        half *= slope[:, None, :]
        half += gain[:, None, :] * self._half_height[:, :, None]
        half += prior.base_sd**2 * self._root.sum(axis=2)[:, :, None]
        misfit = members.misfit[:, None] ** 2
        half[:, :, at] += misfit[:, :, None] * self._root
        mean = self._base[:, None] + gain
        mean[:, at] += misfit * self._weights
        variance = prior.base_sd**2 + prior.log_height_sd**2 * gain**2 + slope**2 * own + misfit
        variance = np.maximum(variance - np.einsum("gmc,gmc->gc", half, half), 1e-12)
        log_weight = members.log_weight + self.log_evidence
        weight = np.exp(log_weight - np.logaddexp.reduce(log_weight))
        return Beliefs(self, state, weight, mean, variance, gain, slope, half)

    def weights_of_members(self) -> np.ndarray:
        """Return float64[G], the posterior probability of each member."""
        log_weight = self.members.log_weight + self.log_evidence
        return np.exp(log_weight - np.logaddexp.reduce(log_weight))


class Beliefs:
    """Beliefs about the true scores of C sets, as one Gaussian.

    Attributes
    ----------
    mean, variance : float64[C]
    noise : float, sd of a look
    weight : float64[G], of the members
    state : to start the next posterior from
    """

    def __init__(
        self,
        posterior: Posterior,
        state: _State,
        weight: np.ndarray,
        means: np.ndarray,
        variances: np.ndarray,
        gain: np.ndarray,
        slope: np.ndarray,
        half: np.ndarray,
    ) -> None:
        self.posterior, self.state, self.weight = posterior, state, weight
        self._gain, self._slope, self._half = gain, slope, half
        self.mean = weight @ means
        self._apart = means - self.mean
        self.variance = weight @ (variances + self._apart**2)
        self.noise = float(np.sqrt(weight @ posterior.members.noise**2))

    def covariance(self, some: np.ndarray) -> np.ndarray:
        """Return float64[C, S], between all sets and those at the indices `some`."""
        sets, members, prior = self.posterior.sets, self.posterior.members, self.posterior.sets.prior
        found = np.zeros((len(self.mean), len(some)))
        for g, weight in enumerate(self.weight):
            kernel = sets.main[:, some] + members.pair_scale[g] ** 2 * sets.pair[:, some]
            kernel *= np.outer(self._slope[g], self._slope[g, some])
            gain = self._gain[g]
            kernel += np.outer(gain * prior.log_height_sd**2, gain[some]) + prior.base_sd**2
            kernel[some, np.arange(len(some))] += members.misfit[g] ** 2
            kernel -= self._half[g].T @ self._half[g][:, some]
            found += weight * (kernel + np.outer(self._apart[g], self._apart[g, some]))
        return found
