"""Bayesian search: a response surface learned from few judge calls chooses the next call: `search=bayes`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from envs import UserError
from search.core.set_ascent import best_set as ascend
from search.path_rule import best_set, members, order, plan_of_path
from search.plans import Plan
from search.problem import Observations, Problem
from search.surrogate.acquisition_functions import AcquisitionFunctions
from search.surrogate.across_scenarios import SurfaceHistory
from search.surrogate.ensemble import Ensemble, Structures
from search.surrogate.posterior import Beliefs, Posterior
from search.surrogate.response_surface import Evaluations, Sets, SurfacePrior

_FIRST = 3
"""Looks at the set with nothing asked, before all others."""


class BayesSearch:
    """Plan on a Bayesian response surface (`search.surrogate.response_surface`).

    The next look goes to the set S that raises the expected maximum of the posterior mean most,

        KG(S) = E[ max_i ( mu_i + c_i(S) Z ) ] - max_i mu_i,   c_i(S) = cov_i(S) / sqrt(var(S) + noise^2)

    (Frazier, Powell & Dayanik 2009, correlated beliefs; Z standard normal, by Gauss-Hermite quadrature), mu
    an objective: the score less the cost. Without noise a set is looked at once. With noise sets are looked
    at again, first of all the one with nothing asked; and as one step ahead is too short a view then, every
    other look goes where it settles most which set is the best,

        sum_ij p_i p_j (c_i(S) - c_j(S))^2 / 2,

    the variance that it takes from the differences between sets, p_i being the chance that i is the best: the
    top-two idea (Russo 2020) with all pairs weighed by Thompson draws. The plan is the set of the highest
    posterior mean among those that were looked at, so that no lucky score is believed; the last call goes to
    the best set of all if need be. Nothing is asked for the order of the path: it follows from the beliefs.

    Parameters
    ----------
    num_simulations : int >= 2, judge calls
    min_gain : float >= 0, score points; stop when KG of all calls left on one set stays below
    max_candidates : int, so many sets are enumerated; beyond that, candidates are what steepest ascent finds
        on draws of the surface (Thompson), what was looked at, and the neighbours of the best
    proposals : int >= 1, draws a round
    """

    name = "bayes"

    def __init__(
        self,
        num_simulations: int = 60,
        min_gain: float = 0.0005,
        max_candidates: int = 1100,
        proposals: int = 4,
    ) -> None:
        counts = {
            "num_simulations": num_simulations,
            "max_candidates": max_candidates,
            "proposals": proposals,
        }
        for name, found in counts.items():
            least = 2 if name == "num_simulations" else 1
            if found < least:
                raise UserError(f"search.{name}: found {found}, expected an integer >= {least}")
        if not (math.isfinite(min_gain) and min_gain >= 0):
            raise UserError(f"search.min_gain: found {min_gain}, expected a number >= 0")
        self.num_simulations = num_simulations
        self.min_gain = min_gain
        self.max_candidates = max_candidates
        self.proposals = proposals
        self.history: SurfaceHistory | None = None

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the best path believed in."""
        state = _SearchState(self, problem, rng)
        stopped = "all simulations ran"
        state.evaluate(state.known)
        while state.used < state.first_evaluations():
            state.evaluate(state.known)
        while state.used < state.calls and state.askable and state.known in state.evaluations:
            choice = state.choose()
            if choice is None:
                stopped = f"no further call is worth {self.min_gain:g} score points"
                break
            state.evaluate(choice)
        if problem.calls_left == 0:
            stopped = "no judge calls left"
        return state.conclude(stopped)

    def most_judge_calls(self, n_askable: int, budget: int) -> int:
        """Return the most judge calls of one plan: the order of the path takes none."""
        return self.num_simulations

    def fit(self, observations: Sequence[Observations]) -> BayesSearch:
        """Return a searcher whose prior knows what the surfaces of earlier scenarios were like."""
        learned = BayesSearch(self.num_simulations, self.min_gain, self.max_candidates, self.proposals)
        learned.history = SurfaceHistory(observations, self.history)
        return learned


class _SearchState:
    """One scenario's search."""

    def __init__(self, settings: BayesSearch, problem: Problem, rng: np.random.Generator) -> None:
        self.settings = settings
        self.problem = problem
        self.rng = rng
        self.known = int(problem.known)
        self.askable = members(int(problem.askable))
        self.budget = min(problem.budget, len(self.askable))
        prior = SurfacePrior.default(problem.n_attributes, self.budget)
        structures = Structures.default(problem.noisy)
        if settings.history is not None:
            prior, structures = settings.history.prior(problem.group, problem.codes, prior, problem.noisy)
        self.prior = prior
        self.ensemble = Ensemble(structures, problem.noisy)
        self.evaluations: dict[int, list[float]] = {}
        self.unscored: dict[int, int] = {}
        self.used = 0
        n_sets = sum(math.comb(len(self.askable), k) for k in range(self.budget + 1))
        self.enumerated = n_sets <= settings.max_candidates
        self.calls = settings.num_simulations
        if problem.calls_left is not None:
            self.calls = min(self.calls, problem.calls_left)
        if not problem.noisy:
            self.calls = min(self.calls, n_sets)
        self._consider(self._all_sets() if self.enumerated else [self.known])

    def _consider(self, masks: Sequence[int]) -> None:
        """Make `masks` the candidates."""
        self.sets = Sets(np.array(masks, np.uint64), self.prior, self.known)
        self.costs = self.problem.objectives(self.sets.masks, np.zeros(len(masks)))

    def first_evaluations(self) -> int:
        """Return how often the set with nothing asked, the measure of every plan, is evaluated at first.

        Under noise several times: the gradient sees little use in it, but without it neither height nor
        curvature of the link can be told from sets near the budget.
        """
        return min(_FIRST, self.calls // 10) if self.problem.noisy and self.known in self.evaluations else 1

    def evaluate(self, mask: int) -> None:
        """Ask the judge once more about `mask`."""
        scores = self.evaluations.get(mask, [])
        sample = len(scores) + self.unscored.get(mask, 0)
        score = float(self.problem.evaluate(np.array([mask], np.uint64), [sample])[0])
        self.used += 1
        if math.isnan(score):
            self.unscored[mask] = self.unscored.get(mask, 0) + 1
        else:
            self.evaluations.setdefault(mask, []).append(score)

    def choose(self) -> int | None:
        """Return the set to evaluate next; None when no evaluation is worth it."""
        posterior = self._posterior()
        if not self.enumerated:
            self._consider(self._proposals(posterior))
        return self._choose(posterior.beliefs(self.sets), left=self.calls - self.used)

    def _posterior(self, renew: bool = False) -> Posterior:
        if not self.enumerated:
            self._consider(list(self.evaluations))
        return self.ensemble.posterior(self.sets, self._seen(), renew)

    def _all_sets(self) -> list[int]:
        sets = itertools.chain.from_iterable(
            itertools.combinations(self.askable, k) for k in range(self.budget + 1)
        )
        return [self.known | sum(1 << a for a in chosen) for chosen in sets]

    def _proposals(self, posterior: Posterior) -> list[int]:
        """Return the candidates of a problem with too many sets to enumerate, those looked at first."""
        sources = [None, *[self.rng] * self.settings.proposals]
        found = best_sets(self.problem, [posterior.draw(source) for source in sources])
        best = found[0]
        inside, outside = members(best & ~self.known), members(int(self.problem.askable) & ~best)
        near = {best & ~(1 << a) for a in inside}
        near |= {best & ~(1 << a) | 1 << b for a in inside for b in outside}
        if len(inside) < self.budget:
            near |= {best | 1 << b for b in outside}
        singles = [self.known | 1 << a for a in self.askable]
        return list(dict.fromkeys([*self.evaluations, *found, *sorted(near), *singles]))

    def _seen(self) -> Evaluations:
        return Evaluations.of(
            [self.sets.place[mask] for mask in self.evaluations], list(self.evaluations.values())
        )

    def _choose(self, beliefs: Beliefs, left: int) -> int | None:
        masks = self.sets.masks.tolist()
        mean = beliefs.mean + self.costs
        open_sets = self._open_sets()
        for mask in self.unscored:
            if mask not in self.evaluations and mask in self.sets.place:
                mean[self.sets.place[mask]] = -np.inf
        top = int(np.argmax(mean))
        unseen = masks[top] not in self.evaluations and bool(open_sets[top])
        if left == 1 and unseen:
            return masks[top]  # only a set that was looked at can be chosen
        hope = self._chances() if self.unscored else 1.0
        settle = self.problem.noisy and left % 2 == 1
        acquisition = AcquisitionFunctions(mean, beliefs, drawn=settle)
        gains = np.where(open_sets, hope * acquisition.knowledge_gradient(1), -1.0)
        worth = float(gains.max())
        if worth < self.settings.min_gain and self.problem.noisy:
            gains = np.where(open_sets, hope * acquisition.knowledge_gradient(left), -1.0)
            worth = float(gains.max())
        if worth < self.settings.min_gain:
            if unseen:
                return masks[top]
            if len(self.evaluations) > 4 * len(self.askable) or not open_sets.any():
                return None
            # So early no surface is known, whatever the models agree on: they may all be wrong.
            return masks[int(np.argmax(np.where(open_sets, beliefs.variance, -1.0)))]
        if settle:  # always, and a wrong model would never look elsewhere
            gains = np.where(open_sets, hope * acquisition.top_two_variance(self.rng), -1.0)
        return masks[int(np.argmax(gains))]

    def _open_sets(self) -> np.ndarray:
        """Return bool[C], whether another look at the set can tell anything."""
        found = np.ones(len(self.sets.masks), bool)
        if self.problem.noisy:
            shut = [m for m, tries in self.unscored.items() if tries >= 2 and m not in self.evaluations]
        else:
            shut = [*self.evaluations, *self.unscored]
        found[[self.sets.place[mask] for mask in shut if mask in self.sets.place]] = False
        return found

    def _chances(self) -> np.ndarray:
        """Return float64[C], how probable a score is: (1 + scored) / (1 + asked), of the worst attribute."""
        looked = list(self.evaluations) + list(self.unscored)
        chances = np.ones(len(self.sets.masks))
        for a in self.askable:
            asked = sum(mask >> a & 1 for mask in looked)
            scored = sum(mask >> a & 1 for mask in self.evaluations)
            has = (self.sets.masks >> np.uint64(a) & np.uint64(1)).astype(bool)
            chances[has] = np.minimum(chances[has], (1 + scored) / (1 + asked))
        return chances

    def conclude(self, stopped: str) -> Plan:
        """Return the path of the set believed best, among those evaluated."""
        if self.known not in self.evaluations or (len(self.evaluations) == 1 and self.unscored):
            best_set(self.problem)  # says what is wrong
        posterior = self._posterior(renew=True)
        believed = self._believed(posterior)
        target = best_set(self.problem, {mask: believed[mask] for mask in self.evaluations})
        if not self.enumerated:
            inside = members(target & ~self.known)
            parts = [
                sum(1 << a for i, a in enumerate(inside) if code >> i & 1) for code in range(1 << len(inside))
            ]
            self._consider(list(dict.fromkeys([*self.evaluations, *(self.known | part for part in parts)])))
            believed = self._believed(posterior)
        path = order(self.problem, target, believed)
        reported = self._reported_beliefs(believed)
        return plan_of_path(self.problem, path, simulations=self.used, stopped=stopped, beliefs=reported)

    def _reported_beliefs(self, believed: dict[int, float]) -> dict[int, float]:
        """Return what the plan tells of sets: beliefs under noise, else scores; nothing of unscored ones."""
        if not self.problem.noisy:
            return {mask: scores[0] for mask, scores in self.evaluations.items()}
        return {
            mask: b for mask, b in believed.items() if mask in self.evaluations or mask not in self.unscored
        }

    def _believed(self, posterior: Posterior) -> dict[int, float]:
        """Return {mask: believed score}; without noise a score is no belief."""
        mean = posterior.beliefs(self.sets).mean
        found = dict(zip(self.sets.masks.tolist(), mean.tolist(), strict=True))
        if not self.problem.noisy:
            found |= {mask: scores[0] for mask, scores in self.evaluations.items()}
        return found


def best_sets(problem: Problem, draws: Sequence[np.ndarray]) -> list[int]:
    """Return the mask of the best set that steepest ascent finds under each draw (`Posterior.draw`)."""
    n, known = problem.n_attributes, int(problem.known)
    free = np.array(members(int(problem.askable)), np.int64)
    costs = problem.cost_weight * problem.costs
    found = []
    for draw in draws:
        pairs = np.zeros((n, n))
        pairs[np.triu_indices(n, 1)] = draw[3 + n :]
        height = float(draw[1]) if costs.any() else 0.0
        mask = ascend(
            draw[3 : 3 + n].copy(), pairs + pairs.T, costs, free, problem.budget, height, float(draw[2])
        )
        found.append(known | int(mask))
    return found
