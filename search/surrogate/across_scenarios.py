"""Empirical Bayes prior of the response surface, learned from earlier scenarios.

Linearised where its own posterior is, the surface of scenario i says of its evaluations

    t_i = b_i + J_i theta_i + noise,   theta_i ~ N(X_i beta, T),   T diagonal: how people differ

with theta the weights and pairs. X_i beta is, for an attribute's weight, a common effect + one of the
domain + one of the level of the person's value (codes; -1 is a level too), for a pair a common effect.
beta is normal a priori, the effects around 0; given T its posterior is that of a linear mixed model
(Henderson 1975; theta_i integrated out), and T follows by a few steps of expectation-maximisation (Dempster,
Laird & Rubin 1977). The curvature of the link, which theta is relative to, is the one of the highest evidence
in all scenarios together. The next scenario's prior is the predictive distribution of theta, its parameters
taken as independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from envs.elementwise import each
from search.core.linear_algebra import inverse, product, row_product
from search.problem import Observations
from search.surrogate.ensemble import Ensemble, Structures
from search.surrogate.posterior import Posterior
from search.surrogate.response_surface import Evaluations, Sets, SurfacePrior, with_pairs

_MOST = 200
"""Scenarios remembered, the latest ones."""
_MOST_PAIRS = 200
"""With more pairs than that their common effects are not learned, only how large they are."""
_EFFECT = 0.5
"""Sd of the effects of domains and levels, in units of the default prior's sd."""
_TRUST = 5.0
"""Scenarios' worth of the default prior's spread in T, and of the default weights of the structures."""
_STEPS = 3
_NOISE_SPREAD = 0.35
"""How much log noise may differ from what it was."""


@dataclass(frozen=True)
class _Linear:
    """One scenario, linearised: target = base + slope * y + error of `variance`; float64[m] each."""

    slope: np.ndarray
    target: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class _Summary:
    """One scenario: what its evaluations say, for each curvature considered.

    `evidence`: {curvature: log evidence}, `weight`: float64[M], posterior probability of each structure.
    """

    group: str
    codes: np.ndarray
    rows: np.ndarray
    base: float
    log_residual: float
    linear: dict[float, _Linear]
    evidence: dict[float, float]
    weight: np.ndarray


class SurfaceHistory:
    """Summaries of the surfaces that earlier scenarios showed.

    Parameters
    ----------
    observations : what the searches saw, in scenario order
    earlier : a memory whose summaries of the same scenarios are taken over
    """

    def __init__(self, observations: Sequence[Observations], earlier: SurfaceHistory | None = None) -> None:
        latest = [seen for seen in observations if np.isfinite(seen.scores).any()][-_MOST:]
        n = len(latest[-1].codes) if latest else 0
        latest = [seen for seen in latest if len(seen.codes) == n]
        self.budget = max((_asked(seen) for seen in latest), default=1)
        self.noisy = any(seen.samples.any() for seen in latest)
        self._default = SurfacePrior.default(n, max(self.budget, 1))
        known: dict[str, _Summary] = {}
        if earlier is not None and (earlier.budget, earlier.noisy) == (self.budget, self.noisy):
            known = earlier.summaries
        self.summaries: dict[str, _Summary] = {
            seen.scenario_id: known.get(seen.scenario_id) or _summary(seen, self._default, self.noisy)
            for seen in latest
        }
        self._effects = _Effects(list(self.summaries.values()), self._default) if latest else None

    def prior(
        self, group: str, codes: np.ndarray, default: SurfacePrior, noisy: bool
    ) -> tuple[SurfacePrior, Structures]:
        """Return what to expect of a scenario of domain `group` with value levels `codes` (int8[n])."""
        structures = Structures.default(noisy)
        if self._effects is None or len(codes) != len(self._default.weight):
            return default, structures
        if noisy == self.noisy:
            structures = self._structures(structures)
        else:
            structures = structures.of_curvature(self._effects.curvature)
        return self._effects.predict(group, codes), structures

    def _structures(self, structures: Structures) -> Structures:
        """Weigh the structures, and the noise (or misfit), by how they fared."""
        assert self._effects is not None  # noqa: S101 - the caller's promise
        summaries = list(self.summaries.values())
        kept = structures.of_curvature(self._effects.curvature)
        at = structures.curvature == self._effects.curvature
        seen = sum(s.weight[at] / max(s.weight[at].sum(), 1e-12) for s in summaries)
        share = each(math.exp, kept.log_weight - np.logaddexp.reduce(kept.log_weight))
        log = np.array([s.log_residual for s in summaries])
        spread = math.hypot(_NOISE_SPREAD, float(log.std()))
        residuals = {
            value: weight * math.exp(-0.5 * ((math.log(value) - float(log.mean())) / spread) ** 2)
            for value, weight in kept.residuals.items()
        }
        return replace(kept, log_weight=each(math.log, seen + _TRUST * share), residuals=residuals)


def _asked(seen: Observations) -> int:
    known = int(np.bitwise_and.reduce(seen.masks))
    return max((int(mask) & ~known).bit_count() for mask in seen.masks.tolist())


def _summary(seen: Observations, default: SurfacePrior, noisy: bool) -> _Summary:
    scores: dict[int, list[float]] = {}
    for mask, score in zip(seen.masks.tolist(), seen.scores.tolist(), strict=True):
        if not math.isnan(score):
            scores.setdefault(mask, []).append(score)
    masks = np.array(list(scores), np.uint64)
    evaluations = Evaluations.of(range(len(masks)), list(scores.values()))
    sets = Sets(masks, default, int(np.bitwise_and.reduce(seen.masks)))
    structures = Structures.default(noisy)
    ensemble = Ensemble(structures, noisy)
    ensemble.posterior(sets, evaluations)
    everything = np.arange(len(structures.curvature))
    posterior = Posterior(sets, structures.models(everything, {ensemble.residual: 1.0}, noisy), evaluations)
    log_weight = posterior.models.log_weight + posterior.log_evidence
    linear, evidence = {}, {}
    for curvature in np.unique(structures.curvature).tolist():
        at = np.flatnonzero(structures.curvature == curvature)
        best = int(at[np.argmax(log_weight[at])])
        linear[curvature] = _Linear(*posterior.linear(best))
        evidence[curvature] = float(np.logaddexp.reduce(log_weight[at]))
    base = float((posterior.weight * posterior.base).sum())
    return _Summary(
        seen.group,
        np.asarray(seen.codes),
        with_pairs(sets.member),
        base,
        math.log(ensemble.residual),
        linear,
        evidence,
        posterior.weight,
    )


class _Effects:
    """beta and T, learned from some scenarios."""

    def __init__(self, summaries: Sequence[_Summary], default: SurfacePrior) -> None:
        self.default = default
        self.n = len(default.weight)
        n_pairs = len(default.pair)
        self.n_common = self.n + (n_pairs if n_pairs <= _MOST_PAIRS else 0)
        curvatures = list(summaries[0].evidence)
        self.curvature = max(curvatures, key=lambda k: sum(s.evidence[k] for s in summaries))
        self.domains = {name: i for i, name in enumerate(dict.fromkeys(s.group for s in summaries))}
        cells = dict.fromkeys((a, int(level)) for s in summaries for a, level in enumerate(s.codes))
        first = self.n_common + self.n * len(self.domains)
        self.cells = {cell: first + i for i, cell in enumerate(cells)}
        bases = np.array([s.base for s in summaries])
        self.base, self.base_sd = float(bases.mean()), max(0.15, 1.2 * float(bases.std()))
        size = first + len(cells)
        self.start = np.zeros(size)
        self.start[: self.n] = default.weight
        self.sd = np.full(size, _EFFECT * float(default.weight_sd[0]))
        self.sd[: self.n] = np.hypot(default.weight_sd, default.shared_sd)
        self.sd[self.n : self.n_common] = 0.25 * default.pair_sd[: self.n_common - self.n]
        self.between = np.concatenate([0.7 * default.weight_sd, 0.25 * default.pair_sd]) ** 2
        self.usual = self.between.copy()
        for _ in range(_STEPS):
            self._solve(summaries)

    def _columns(self, group: str, codes: np.ndarray) -> np.ndarray:
        """Return int[2, n], the columns of beta of the domain's and the levels' effects; -1 = not seen."""
        domain = self.domains.get(group)
        of_domain = np.full(self.n, -1)
        if domain is not None:
            of_domain = self.n_common + domain * self.n + np.arange(self.n)
        return np.array([of_domain, [self.cells.get((a, int(c)), -1) for a, c in enumerate(codes)]])

    def _solve(self, summaries: Sequence[_Summary]) -> None:
        """Solve for beta under the present T, then renew T."""
        precision = np.diag(1.0 / self.sd**2)
        pull = self.start / self.sd**2
        parts = []
        for s in summaries:
            linear = s.linear[self.curvature]
            j = linear.slope[:, None] * s.rows
            cov = product(j, (j * self.between).T) + self.base_sd**2 + np.diag(linear.variance)
            trust = inverse(cov)
            design = np.zeros((len(j), len(self.sd)))
            design[:, : self.n_common] = j[:, : self.n_common]
            for columns in self._columns(s.group, s.codes):
                design[:, columns] += j[:, : self.n]
            pull_of_data = linear.target - self.base
            weighed = product(design.T, trust).T
            precision += product(design.T, weighed)
            pull += row_product(pull_of_data, weighed)
            parts.append((j, trust, design, pull_of_data))
        self.covariance = inverse(precision)
        self.beta = row_product(pull, self.covariance)
        total = _TRUST * self.usual
        for j, trust, design, pull_of_data in parts:
            off = pull_of_data - (design * self.beta).sum(axis=1)
            at_person = self.between * row_product(row_product(off, trust), j)
            left = self.between - self.between**2 * (product(j.T, trust).T * j).sum(axis=0)
            total += at_person**2 + left
        self.between = total / (len(parts) + _TRUST)
        self.between[self.n :] = self.between[self.n :].mean()

    def predict(self, group: str, codes: np.ndarray) -> SurfacePrior:
        """Return the next scenario's prior."""
        n, n_pairs = self.n, self.n_common - self.n
        row = np.zeros((n, len(self.beta)))
        row[:, :n] = np.eye(n)
        unseen = np.zeros(n)
        for columns in self._columns(group, codes):
            there = np.flatnonzero(columns >= 0)
            row[there, columns[there]] = 1.0
            unseen[columns < 0] += (_EFFECT * self.default.weight_sd[columns < 0]) ** 2
        weight_var = self.between[:n] + unseen + (product(row, self.covariance) * row).sum(axis=1)
        pair, pair_var = self.default.pair.copy(), self.between[n:].copy()
        pair[:n_pairs] = self.beta[n : self.n_common]
        pair_var[:n_pairs] += np.diagonal(self.covariance)[n : self.n_common]
        return replace(
            self.default,
            base=self.base,
            base_sd=self.base_sd,
            weight=(row * self.beta).sum(axis=1),
            weight_sd=np.sqrt(weight_var),
            shared_sd=0.3 * self.default.shared_sd,
            pair=pair,
            pair_sd=4.0 * np.sqrt(pair_var),  # the middle one of PAIR_SCALES is a quarter
        )
