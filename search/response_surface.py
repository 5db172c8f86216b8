"""A Bayesian response surface over sets: main effects and pairs behind a saturating link.

    s(S) = b + h (1 - exp(-k y(S))) / (1 - exp(-k)) + e(S),   y(S) = sum_{a in S} w_a + sum_{a < b in S} v_ab

so that h is what a set of y = 1 gains; k is the link's curvature (k -> 0: a straight line). Base b, weights w and
pairs v have normal priors, the pairs' around 0, so that they are shrunk; the weights share an unknown mean.
e is a misfit of each set's own. y is then a Gaussian process over sets with the kernel

    K(S, T) = sd_0^2 |S| |T| + sum_{a in S and T} sd_a^2 + sum_{a < b in S and T} sd_ab^2.

The posterior is Gaussian, by iterated posterior linearisation (Garcia-Fernandez et al. 2015): s is replaced by
its best linear fit under the posterior itself, not by its tangent at the mode, whose prediction is too high where y
is uncertain (Jensen: the link is concave). y being normal, all moments are those of log-normals:
E exp(-k y) = exp(-k E y + k^2 var(y) / 2). What is not linear counts as misfit. The rest is Gaussian process regression on the looks
(Rasmussen & Williams 2006, section 2.2), O(m^3) in the m sets that were looked at.

Curvature, height, the pairs' spread, the noise of a look and the misfit are not fitted but averaged over: `Members` are
models with values of their own, each weighted by its evidence; all are solved at once, as stacked arrays
`[G, ...]`. A mixture is handed on as the one Gaussian of the same means and covariances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

_JITTER = 1e-8
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class SurfacePrior:
    """Normal priors over n attributes and P = n (n - 1) / 2 pairs, (0, 1), (0, 2), ... in row order.

    Score points: `base`, `base_sd`. Dimensionless: `weight`, `weight_sd` (float64[n]), `shared_sd` (of the mean of all weights), `pair`, `pair_sd` (float64[P]).
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


class Members(NamedTuple):
    """G models: float64[G] each; `pair_scale` multiplies the prior's `pair_sd`."""

    curvature: np.ndarray
    height: np.ndarray
    pair_scale: np.ndarray
    noise: np.ndarray
    misfit: np.ndarray
    log_weight: np.ndarray

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
    place : {mask: index in masks}
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

    def kernel(self, members: Members, rows: np.ndarray, columns: np.ndarray | None = None) -> np.ndarray:
        """Return float64[G, R, S], prior covariance of y between sets (`columns` None: all of them)."""
        block = rows if columns is None else np.ix_(rows, columns)
        return self.main[block] + members.pair_scale[:, None, None] ** 2 * self.pair[block]


class Latent(NamedTuple):
    """Moments of y on C sets under G members: `mean`, `variance` float64[G, C]."""

    mean: np.ndarray
    variance: np.ndarray


def prior_latent(sets: Sets, members: Members) -> Latent:
    """Return the moments before any look."""
    own = np.diagonal(sets.main) + members.pair_scale[:, None] ** 2 * np.diagonal(sets.pair)
    return Latent(np.broadcast_to(sets.mean, own.shape), own)


class _Link(NamedTuple):
    """The link's best linear fit under y ~ `Latent`, float64[G, C] each.

    `gain`: E[s - b]. `slope`: cov(s, y) / var y. `bent`: variance of s that is not linear in y.
    """

    gain: np.ndarray
    slope: np.ndarray
    bent: np.ndarray


def _link(y: np.ndarray, members: Members) -> np.ndarray:
    """Return float64[G, C], s - b without misfit."""
    k = members.curvature[:, None]
    return members.height[:, None] / -np.expm1(-k) * (k * np.minimum(y, 0.0) - np.expm1(-k * np.maximum(y, 0.0)))


def _tangent(y: np.ndarray, members: Members) -> np.ndarray:
    """Return float64[G, C], derivative of s by y."""
    k = members.curvature[:, None]
    return members.height[:, None] * k / -np.expm1(-k) * np.exp(-k * np.maximum(y, 0.0))


def _linearise(latent: Latent, members: Members) -> _Link:
    k = members.curvature[:, None]
    scale = members.height[:, None] / -np.expm1(-k)
    spread = np.sqrt(latent.variance)
    first = second = slope = 0.0
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        y = latent.mean + spread * node
        left = np.exp(-k * np.maximum(y, 0.0))
        risen = 1.0 - left + k * np.minimum(y, 0.0)
        first = first + weight * risen
        second = second + weight * risen**2
        slope = slope + weight * k * left
    bent = np.maximum(second - first**2 - slope**2 * latent.variance, 0.0)
    return _Link(scale * first, scale * slope, scale**2 * bent)


class Start(NamedTuple):
    """Where to begin the climb to the mode: of G members, of the first sets looked at.

    `dual`: float64[G, m'], y's mode = prior mean + kernel @ dual; `base`: float64[G].
    """

    dual: np.ndarray
    base: np.ndarray


class Posterior:
    """The posterior of each of G members, given looks.

    Attributes
    ----------
    log_evidence : float64[G], of the looks
    weight : float64[G], posterior probability of each member
    start : for the posterior of the same members after further looks
    """

    def __init__(
        self,
        sets: Sets,
        members: Members,
        looks: Looks,
        start: Start | None = None,
        climbs: int = 6,
        passes: int = 1,
        floor: float = 0.0,
    ) -> None:
        self.sets, self.members, self.looks = sets, members, looks
        at = looks.at
        self._kernel = sets.kernel(members, at, at)
        self._mean = sets.mean[at]
        self._noise = members.noise[:, None] ** 2 / looks.counts + _JITTER
        self._misfit = np.broadcast_to(members.misfit[:, None] ** 2, self._noise.shape)
        dual = np.zeros_like(self._noise)
        base = np.full(len(dual), sets.prior.base)
        if start is not None:
            dual[:, : start.dual.shape[1]] = start.dual
            base = start.base
        for _ in range(climbs):
            dual, base = self._climb(dual, base)
        self.start = Start(dual, base)
        latent = Latent(self._mean + (self._kernel @ dual[:, :, None])[:, :, 0], np.zeros_like(dual))
        for _ in range(1 + passes):
            self._solve(latent)
            latent = self._latent(self._kernel, self._mean, np.diagonal(self._kernel, axis1=1, axis2=2))[0]
        self.log_evidence = self._evidence()
        log_weight = members.log_weight + self.log_evidence
        weight = np.exp(log_weight - np.logaddexp.reduce(log_weight))
        self.weight = np.maximum(weight, floor) / np.maximum(weight, floor).sum()

    def _climb(self, dual: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Go towards the mode of the model linearised here, as far as the true log posterior rises most."""
        members, prior = self.members, self.sets.prior
        lift = (self._kernel @ dual[:, :, None])[:, :, 0]
        y = self._mean + lift
        slope = _tangent(y, members)
        residual = self.looks.means - prior.base - _link(y, members) + slope * lift
        weights = np.linalg.solve(self._covariance(slope, self._misfit), residual[:, :, None])[:, :, 0]
        new_dual, new_base = weights * slope, prior.base + prior.base_sd**2 * weights.sum(axis=1)
        new_lift = (self._kernel @ new_dual[:, :, None])[:, :, 0]
        step, best = np.zeros(len(base)), np.full(len(base), -np.inf)
        for size in (0.0, 0.25, 1.0):
            value = self._log_posterior(
                dual + size * (new_dual - dual), lift + size * (new_lift - lift), base + size * (new_base - base)
            )
            step = np.where(value > best, size, step)
            best = np.maximum(value, best)
        return dual + step[:, None] * (new_dual - dual), base + step * (new_base - base)

    def _log_posterior(self, dual: np.ndarray, lift: np.ndarray, base: np.ndarray) -> np.ndarray:
        off = self.looks.means - base[:, None] - _link(self._mean + lift, self.members)
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
        link = _linearise(latent, self.members)
        prior = self.sets.prior
        self._slope = link.slope
        self._own = self._misfit + link.bent
        self._root = np.linalg.inv(np.linalg.cholesky(self._covariance(link.slope, self._own)))
        residual = self.looks.means - prior.base - link.gain - link.slope * (self._mean - latent.mean)
        self._told = (self._root @ residual[:, :, None])[:, :, 0]
        self._weights = (self._told[:, None, :] @ self._root)[:, 0]
        self._base = prior.base + prior.base_sd**2 * self._weights.sum(axis=1)

    def _latent(self, cross: np.ndarray, mean: np.ndarray, own: np.ndarray) -> tuple[Latent, np.ndarray]:
        """Return y's moments on C sets, and float64[G, m, C], the root of what the looks take off its kernel.

        `cross`: float64[G, m, C], kernel between the sets looked at and these; `mean`, `own`: y's prior
        moments on these.
        """
        half = (self._root * self._slope[:, None, :]) @ cross
        y = mean + ((self._weights * self._slope)[:, None, :] @ cross)[:, 0]
        variance = np.maximum(own - np.einsum("gmc,gmc->gc", half, half), 0.0)
        return Latent(y, variance), half

    def _evidence(self) -> np.ndarray:
        logs = np.log(np.diagonal(self._root, axis1=1, axis2=2)).sum(axis=1)
        found = logs - 0.5 * (self._told**2).sum(axis=1)
        if self.looks.repeats:  # looks at the same set tell of the noise alone
            noise = self.members.noise
            found = found - 0.5 * self.looks.within / noise**2 - self.looks.repeats * np.log(noise)
        return found

    def beliefs(self) -> Beliefs:
        """Return the mixture's beliefs about the true scores of all sets."""
        sets, members, prior, at = self.sets, self.members, self.sets.prior, self.looks.at
        own = prior_latent(sets, members).variance
        latent, half = self._latent(sets.kernel(members, at), sets.mean, own)
        link = _linearise(latent, members)
        half *= link.slope[:, None, :]
        half += prior.base_sd**2 * self._root.sum(axis=2)[:, :, None]
        unlike = members.misfit[:, None] ** 2 + link.bent
        unlike[:, at] = self._own
        half[:, :, at] += self._own[:, None, :] * self._root
        mean = self._base[:, None] + link.gain
        mean[:, at] += self._own * self._weights
        variance = prior.base_sd**2 + link.slope**2 * own + unlike
        variance = np.maximum(variance - np.einsum("gmc,gmc->gc", half, half), 1e-12)
        return Beliefs(self, mean, variance, link.slope, unlike, half)


class Beliefs:
    """Beliefs about the true scores of C sets, as one Gaussian.

    Attributes
    ----------
    mean, variance : float64[C]
    noise : float, sd of a look
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
        self.mean = weight @ means
        self._apart = means - self.mean
        self.variance = weight @ (variances + self._apart**2)
        self.noise = float(np.sqrt(weight @ posterior.members.noise**2))

    def covariance(self, some: np.ndarray) -> np.ndarray:
        """Return float64[C, S], between all sets and those at the indices `some`."""
        sets, members = self.posterior.sets, self.posterior.members
        found = np.full((len(self.mean), len(some)), sets.prior.base_sd**2)
        for g, weight in enumerate(self.posterior.weight):
            kernel = sets.main[:, some] + members.pair_scale[g] ** 2 * sets.pair[:, some]
            kernel *= np.outer(self._slope[g], self._slope[g, some])
            kernel[some, np.arange(len(some))] += self._unlike[g, some]
            kernel -= self._half[g].T @ self._half[g][:, some]
            found += weight * (kernel + np.outer(self._apart[g], self._apart[g, some]))
        return found
