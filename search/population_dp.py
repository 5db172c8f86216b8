"""The best plan for a user whose profile nobody knows, exactly: dynamic programming over sets and answers.

A state is (set asked, answers). States of one set are the classes of profiles that answer alike, so a problem
of N profiles has at most N states a set, whatever the number of levels. With

    W(S, g) = sum of w_u,   u in class g of set S
    V(S, g) = max( sum_u w_u s(u) - W c(S),  max_a  sum_{g' in S + a, g' within g} V(S + a, g') )

V / W is the expected objective given the answers. A way u to come here is a profile, or with declines a
(profile, declined attributes) pair of weight w d^declined (1 - d)^told. Ties: stop, then the lowest
attribute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from envs import UserError
from search.exhaustive import ExhaustiveSearch
from search.path_rule import members
from search.policy_tree import STOP, PolicyTree
from search.population import TIE, Belief, PopulationProblem
from search.population_plans import build_tree
from search.problem import Searcher

MAX_STATES = 20_000_000
"""Bound on sets x profiles x declined subsets; beyond it take `PopulationMCTS`."""


class _Layer(NamedTuple):
    """The states of one set of k attributes: G classes of the U = N x (2^k or 1) ways to come there.

    `group`: int64[N, U / N], class of each way; `weight`, `value`: float64[G], not divided by each other;
    `action`: int64[G], best attribute or STOP.
    """

    group: np.ndarray
    weight: np.ndarray
    value: np.ndarray
    action: np.ndarray


class Solution:
    """The optimum of a `PopulationProblem`.

    Attributes
    ----------
    value : float, expected objective from the start
    n_states : int, states (set asked, answers) that can be reached and were valued
    """

    def __init__(
        self,
        problem: PopulationProblem,
        *,
        fallback: Sequence[int] = (),
        min_profiles: float = 0,
        order: Sequence[int] | None = None,
        min_questions: int = 0,
    ) -> None:
        """Solve `problem`.

        `fallback`: attributes to go on with after an answer never seen. `min_profiles`: in a state that
        fewer profiles agree with (expected number; 0: never) the rest of `fallback` is asked instead of what
        is best for these few: a plan for others than these profiles should not trust one or two. `order`:
        questions come in this order, and only when to stop is free. `min_questions`: nobody stops before so
        many.
        """
        self._problem = problem
        self._order = order
        self._min_questions = min_questions
        self._min_profiles = min_profiles
        self._fallback = fallback
        self._subsets = problem.decline_rate > 0
        sets = self._sets()
        size = sum(len(problem.weights) << (m.bit_count() if self._subsets else 0) for m in sets)
        if size > MAX_STATES:
            raise UserError(
                f"dynamic programming: found {size:,} pairs of sets and profiles, "
                f"expected at most {MAX_STATES:,}; take a smaller budget or the tree search"
            )
        self._layers = {mask: self._stopping(group, mask) for mask, group in self._groups(sets).items()}
        for mask in reversed(sets):
            self._back_up(mask)
        root = self._layers[0]
        self.value = float(root.value[0] / root.weight[0])
        self.n_states = sum(int(np.count_nonzero(layer.weight > 0)) for layer in self._layers.values())

    def tree(self) -> PolicyTree:
        """Return the plan as a tree."""
        return build_tree(
            self._problem, self._choose, self._fallback, min_profiles=self._min_profiles, planner="exact"
        )

    def _sets(self) -> list[int]:
        """Return the sets that may be asked, every set after its subsets."""
        if self._order is None:
            return [int(mask) for mask in self._problem.masks.tolist()]
        steps = self._order[: self._problem.budget]
        return [sum(1 << a for a in steps[:k]) for k in range(len(steps) + 1)]

    def _next(self, mask: int) -> list[int]:
        """Return what may be asked once the set `mask` is."""
        if mask.bit_count() >= self._problem.budget:
            return []
        if self._order is not None:
            return list(self._order[mask.bit_count() :][:1])
        return [a for a in range(len(self._problem.schema)) if not mask >> a & 1]

    def _groups(self, sets: Sequence[int]) -> dict[int, np.ndarray]:
        """Return the classes of each set, a refinement of those of the set without its last attribute."""
        codes = self._problem.codes.astype(np.int64) + 1
        width = int(codes.max()) + 1
        groups: dict[int, np.ndarray] = {}
        for mask in sets:
            if mask == 0:
                groups[0] = np.zeros((len(codes), 1), np.int64)
                continue
            chain = self._order is not None
            last = self._order[mask.bit_count() - 1] if chain and self._order else members(mask)[-1]
            before = groups[mask & ~(1 << last)]
            observed = np.broadcast_to(codes[:, last, None], before.shape)
            if self._subsets:
                place = members(mask).index(last)
                n_subsets = 1 << mask.bit_count()
                without = _without(n_subsets, place)
                declined = (np.arange(n_subsets) >> place & 1).astype(bool)
                observed = np.where(declined, 0, codes[:, last, None])
                before = before[:, without]
            _, group = np.unique(before * width + observed, return_inverse=True)
            groups[mask] = group.reshape(before.shape)
        return groups

    def _stopping(self, group: np.ndarray, mask: int) -> _Layer:
        """Return the states of the set `mask`, each as if the agent had to stop there."""
        problem, d = self._problem, self._problem.decline_rate
        asked = members(mask)
        told, chances = [mask], np.ones(1)
        if self._subsets:
            subsets = np.arange(1 << len(asked))
            told = [mask & ~sum(1 << a for i, a in enumerate(asked) if s >> i & 1) for s in subsets.tolist()]
            n_told = np.array([t.bit_count() for t in told])
            chances = (1 - d) ** n_told * d ** (len(asked) - n_told)
        weights = problem.weights[:, None] * chances
        scores = problem.table[:, problem.columns(told)] - problem.penalty(mask)
        if len(asked) < min(self._min_questions, problem.budget):
            scores = np.full_like(scores, -np.inf)
        scores = np.where(np.isnan(scores), -np.inf, scores)
        gains = np.where(weights > 0, weights * np.where(weights > 0, scores, 0.0), 0.0)
        weight = np.bincount(group.ravel(), weights.ravel())
        value = np.bincount(group.ravel(), gains.ravel())
        return _Layer(group, weight, value, np.full(len(weight), STOP))

    def _back_up(self, mask: int) -> None:
        layer = self._layers[mask]
        tolerance = TIE * layer.weight
        few = layer.weight * self._problem.n_profiles < self._min_profiles * (1 - 1e-9)
        forced = next((a for a in self._fallback if not mask >> a & 1), STOP)
        for a in self._next(mask):
            child = self._layers[mask | 1 << a]
            parent = np.empty(len(child.weight), np.int64)
            place = members(mask | 1 << a).index(a)
            here = layer.group[:, _without(child.group.shape[1], place)] if self._subsets else layer.group
            parent[child.group] = here
            value = np.bincount(parent, child.value, minlength=len(layer.weight))
            better = (value > layer.value + tolerance) & ~few | (few & (a == forced))
            layer.value[better] = value[better]
            layer.action[better] = a

    def _choose(self, answers: Mapping[int, int], belief: Belief) -> int:
        mask = sum(1 << a for a in answers)
        declined = mask & ~int(belief.told[0])
        subset = sum(1 << i for i, a in enumerate(members(mask)) if declined >> a & 1)
        layer = self._layers[mask]
        return int(layer.action[layer.group[belief.profile[0], subset if self._subsets else 0]])


def _without(n_subsets: int, place: int) -> np.ndarray:
    """Return int64[n_subsets], each subset code with the bit at `place` taken out."""
    subsets = np.arange(n_subsets)
    return (subsets >> (place + 1) << place) | (subsets & ((1 << place) - 1))


def best_fixed_path(
    problem: PopulationProblem, cost_weight: float | None = None, searcher: Searcher | None = None
) -> tuple[int, ...]:
    """Return the best path that asks everybody the same: of the mean over the population.

    `cost_weight`: what it is chosen by, where that differs from the problem's. `searcher`: default, all sets.
    """
    searcher = ExhaustiveSearch() if searcher is None else searcher
    return searcher.plan(problem.mean_problem(cost_weight), np.random.default_rng(0)).path


def fixed_tree(problem: PopulationProblem, path: Sequence[int]) -> PolicyTree:
    """Return the tree that asks for `path` whatever the answers: nothing but its fallback."""
    return build_tree(problem, lambda *_: STOP, path, min_profiles=math.inf, planner="fixed")
