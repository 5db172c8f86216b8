"""Bayesian search: a response surface learned from few judge calls chooses the next call: `search=bayes`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from envs import UserError
from search.path_rule import best_set, members, order, plan_of_path
from search.plans import Plan
from search.problem import Observations, Problem
from search.response_surface import Beliefs, Looks, Members, Posterior, Sets, Start, SurfacePrior

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_RIVALS = 40
"""Sets, the most promising ones, among which the maximum is taken."""
_LINKS = (
    *((0.01, height) for height in (0.3, 1.0)),
    *((k, height) for k in (1.0, 2.5) for height in (0.25, 0.5, 1.0, 1.8)),
)
"""(curvature, height)"""
_PAIR_SCALES = (0.06, 0.25, 1.0)
_STRUCTURES = [(*link, pair) for link in _LINKS for pair in _PAIR_SCALES]
_NOISES = {0.06: 0.2, 0.1: 0.6, 0.17: 1.0, 0.28: 1.0, 0.45: 0.8, 0.75: 0.4}
_MISFITS = {0.003: 1.0, 0.01: 1.0, 0.03: 1.0, 0.08: 0.5}
_FLOOR = 0.03
_MISFIT = 0.02
_LEADERS = 4
_ACTIVE = 5
_ENOUGH = 0.95
"""Between two choices of the members, those of the highest weights are followed: at most so many, to so much."""


class BayesSearch:
    """Plan by knowledge gradient on a Bayesian response surface (`search.response_surface`).

    The next look goes to the set S that raises the expected maximum of the posterior mean most,

        KG(S) = E[ max_i ( mu_i + sigma_i(S) Z ) ] - max_i mu_i,   sigma_i(S) = cov_i(S) / sqrt(var(S) + noise^2)

    (Frazier, Powell & Dayanik 2009, correlated beliefs; Z standard normal, by Gauss-Hermite quadrature). Without
    noise a set is looked at once; with noise again where that tells most. The plan is the set of the highest
    posterior mean among those that were looked at, so that no lucky score is believed; the last call goes to
    the best set of all if need be.

    Parameters
    ----------
    num_simulations : int >= 2, judge calls
    min_gain : float >= 0, score points; stop when KG of all calls left on one set stays below
    max_candidates : int, so many sets are enumerated; beyond that, candidates are what compiled MCTS finds on
        draws of the surface (Thompson), what was looked at, and the neighbours of the best
    proposals : int >= 1, draws a round
    """

    name = "bayes"

    def __init__(
        self,
        num_simulations: int = 60,
        min_gain: float = 0.0005,
        max_candidates: int = 1100,
        proposals: int = 8,
    ) -> None:
        if num_simulations < 2:
            raise UserError(f"search.num_simulations: found {num_simulations}, expected an integer >= 2")
        if not (math.isfinite(min_gain) and min_gain >= 0):
            raise UserError(f"search.min_gain: found {min_gain}, expected a number >= 0")
        if max_candidates < 1:
            raise UserError(f"search.max_candidates: found {max_candidates}, expected an integer >= 1")
        if proposals < 1:
            raise UserError(f"search.proposals: found {proposals}, expected an integer >= 1")
        self.num_simulations = num_simulations
        self.min_gain = min_gain
        self.max_candidates = max_candidates
        self.proposals = proposals

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the best path believed in."""
        return _Search(self, problem, rng).plan()


class _Search:
    """One scenario's search."""

    def __init__(self, settings: BayesSearch, problem: Problem, rng: np.random.Generator) -> None:
        self.settings = settings
        self.problem = problem
        self.rng = rng
        self.askable = members(int(problem.askable))
        self.budget = min(problem.budget, len(self.askable))
        self.prior = SurfacePrior.default(problem.n_attributes, self.budget)
        self.residual = 0.25 if problem.noisy else 0.01
        self.active: Members | None = None
        self.start: Start | None = None
        self.first_start: Start | None = None
        self.next_refit = 2
        self.looks: dict[int, list[float]] = {}
        self.unscored: dict[int, int] = {}
        n_sets = sum(math.comb(len(self.askable), k) for k in range(self.budget + 1))
        self.calls = settings.num_simulations
        if problem.calls_left is not None:
            self.calls = min(self.calls, problem.calls_left)
        if not problem.noisy:
            self.calls = min(self.calls, n_sets)
        self.sets = Sets(self._all_sets(), self.prior)
        self.costs = self.problem.objectives(self.sets.masks, np.zeros(len(self.sets.masks)))

    def plan(self) -> Plan:
        known = int(self.problem.known)
        stopped = "all simulations ran"
        self._look(known)
        used = 1
        while used < self.calls and self.askable and known in self.looks:
            beliefs = self._beliefs(refit=used >= self.next_refit)
            choice = self._choose(beliefs, left=self.calls - used)
            if choice is None:
                stopped = f"no further call is worth {self.settings.min_gain:g} score points"
                break
            self._look(choice)
            used += 1
        if self.problem.calls_left == 0:
            stopped = "no judge calls left"
        return self._conclude(used, stopped)

    def _all_sets(self) -> np.ndarray:
        known = int(self.problem.known)
        sets = itertools.chain.from_iterable(
            itertools.combinations(self.askable, k) for k in range(self.budget + 1)
        )
        return np.array([known | sum(1 << a for a in chosen) for chosen in sets], dtype=np.uint64)

    def _look(self, mask: int) -> None:
        """Ask the judge once more about `mask`."""
        scores = self.looks.get(mask, [])
        sample = len(scores) + self.unscored.get(mask, 0)
        score = float(self.problem.evaluate(np.array([mask], np.uint64), [sample])[0])
        if math.isnan(score):
            self.unscored[mask] = self.unscored.get(mask, 0) + 1
        else:
            self.looks.setdefault(mask, []).append(score)

    def _seen(self) -> Looks:
        at = np.array([self.sets.place[mask] for mask in self.looks])
        means = np.array([np.mean(scores) for scores in self.looks.values()])
        counts = np.array([float(len(scores)) for scores in self.looks.values()])
        within = sum(float(((np.array(s) - np.mean(s)) ** 2).sum()) for s in self.looks.values() if len(s) > 1)
        return Looks(at, means, counts, within, int(counts.sum()) - len(counts))

    def _members(self, structures: Sequence[tuple[float, float, float]], residuals: dict[float, float]) -> Members:
        """Return the product of (curvature, height, pair scale) and noises (without noise: misfits)."""
        rows = np.array([(*s, r, math.log(w)) for s in structures for r, w in residuals.items()])
        curvature, height, pair_scale, residual, log_weight = rows.T
        log_weight = log_weight + np.where(curvature < 0.1, math.log(2.0), 0.0)
        none = np.zeros(len(rows))
        if self.problem.noisy:
            return Members(curvature, height, pair_scale, residual, none + _MISFIT, log_weight)
        return Members(curvature, height, pair_scale, none, residual, log_weight)

    def _renew(self, looks: Looks) -> None:
        """Choose the members to follow: the best structure of each pair scale, then its noise or misfit."""
        first = Posterior(
            self.sets,
            self._members(_STRUCTURES, {self.residual: 1.0}),
            looks,
            self.first_start,
            6 if self.first_start is None else 2,
        )
        self.first_start = first.start
        scales = np.array([pair for *_, pair in _STRUCTURES])
        leaders = list(np.argsort(-first.weight, kind="stable")[:_LEADERS])
        leaders += [int(np.argmax(np.where(scales == s, first.weight, -1.0))) for s in _PAIR_SCALES]
        leaders = list(dict.fromkeys(leaders))
        residuals = _NOISES if self.problem.noisy else _MISFITS
        options = self._members([_STRUCTURES[i] for i in leaders], residuals)
        start = Start(*(np.repeat(field[leaders], len(residuals), axis=0) for field in first.start))
        second = Posterior(self.sets, options, looks, start, 2)
        best = list(np.argsort(-second.weight, kind="stable"))
        enough = int(np.searchsorted(np.cumsum(second.weight[best]), _ENOUGH)) + 1
        chosen = best[: min(enough, _ACTIVE)]
        for scale in _PAIR_SCALES:
            if not np.any(options.pair_scale[chosen] == scale):
                chosen.append(next(i for i in best if options.pair_scale[i] == scale))
        self.active = options.take(np.array(chosen))
        self.start = Start(*(field[chosen] for field in second.start))
        values = options.noise if self.problem.noisy else options.misfit
        self.residual = float(np.exp(second.weight @ np.log(values)))

    def _beliefs(self, refit: bool) -> Beliefs:
        looks = self._seen()
        if refit or self.active is None:
            self._renew(looks)
            self.next_refit = math.ceil(1.35 * len(looks.at)) + 1
        posterior = Posterior(self.sets, self.active, looks, self.start, 2, floor=_FLOOR)
        self.start = posterior.start
        return posterior.beliefs()

    def _choose(self, beliefs: Beliefs, left: int) -> int | None:
        """Return the set to look at next; None when no look is worth it."""
        masks = self.sets.masks.tolist()
        mean = beliefs.mean + self.costs
        open_sets = np.array([self._open(mask) for mask in masks])
        for mask in self.unscored:
            if mask not in self.looks:
                mean[self.sets.place[mask]] = -np.inf
        top = int(np.argmax(mean))
        if left == 1 and masks[top] not in self.looks and open_sets[top]:
            return masks[top]  # only a set that was looked at can be chosen
        gains = np.where(open_sets, self._gradient(mean, beliefs, 1), -1.0)
        choice = int(np.argmax(gains))
        if gains[choice] < self.settings.min_gain:
            if self.problem.noisy:
                gains = np.where(open_sets, self._gradient(mean, beliefs, left), -1.0)
                choice = int(np.argmax(gains))
            if gains[choice] < self.settings.min_gain:
                unseen = masks[top] not in self.looks and open_sets[top]
                return masks[top] if unseen else None
        return masks[choice]

    def _open(self, mask: int) -> bool:
        """Tell whether another look at `mask` can tell anything."""
        if self.problem.noisy:
            return self.unscored.get(mask, 0) < 2 or mask in self.looks
        return mask not in self.looks and mask not in self.unscored

    def _gradient(self, mean: np.ndarray, beliefs: Beliefs, looks: int) -> np.ndarray:
        """Return float64[B], the knowledge gradient of `looks` looks at each set."""
        promise = mean + np.sqrt(beliefs.variance)
        rivals = np.argsort(-promise, kind="stable")[:_RIVALS]
        change = beliefs.covariance(rivals)
        change /= np.sqrt(beliefs.variance + beliefs.noise**2 / looks + 1e-9)[:, None]
        gains = np.zeros(len(mean))
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            gains += weight * (mean[rivals] + change * node).max(axis=1)
        return gains - mean[rivals].max()

    def _conclude(self, used: int, stopped: str) -> Plan:
        known = int(self.problem.known)
        if known not in self.looks:
            best_set(self.problem)  # says what is wrong
        believed = self._believed(self._beliefs(refit=True))
        target = best_set(self.problem, {m: believed[m] for m in self.looks})
        path = order(self.problem, target, believed)
        return plan_of_path(self.problem, path, simulations=used, stopped=stopped, beliefs=believed)

    def _believed(self, beliefs: Beliefs) -> dict[int, float]:
        found = dict(zip(self.sets.masks.tolist(), beliefs.mean.tolist(), strict=True))
        if not self.problem.noisy:  # then a score is no belief
            found |= {mask: scores[0] for mask, scores in self.looks.items()}
        return found
