"""The best plan for a user whose profile nobody knows, exactly: dynamic programming over sets and answers.

A state is (set asked, answers). States of one set are the classes of profiles that answer alike, so a problem
of N profiles has at most N states a set, whatever the number of levels. With

    W(S, g) = sum of w_u,   u in class g of set S
    V(S, g) = max( G(S, g),  d G(S, g) + (1 - d) max_a  sum_{g' in S + a, g' within g} V(S + a, g') )
    G(S, g) = sum_u w_u s(u) - W c(S)

d being the chance that the person stops answering before the next question (`dropout`). V / W is the expected
objective given the answers. A way u to come here is a profile, or with declines a
(profile, declined attributes) pair of weight w d^declined (1 - d)^told. Ties: stop, then the lowest
attribute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from envs import UserError
from search.algorithms.exhaustive import ExhaustiveSearch
from search.path_rule import members
from search.population.policy_tree import STOP, PolicyTree
from search.population.population_problem import TIE, Belief, PopulationProblem
from search.population.set_table import sets_within
from search.population.tree_building import build_tree
from search.problem import Searcher

MAX_STATES = 20_000_000
"""Bound on sets x profiles x declined subsets; beyond it take `PopulationMCTS`."""
MAX_SETS = 200_000
"""Bound on sets, each of which takes some time however few the profiles are."""


class _Layer(NamedTuple):
    """The states of one set of k attributes: G classes of the U = N x (2^k or 1) ways to come there.

    `asked`: tuple[int], the set. `group`: int64[N, U / N], class of each way. `weight`, `stop`: float64[G],
    the latter the value of stopping, not divided by the weight.
    """

    asked: tuple[int, ...]
    group: np.ndarray
    weight: np.ndarray
    stop: np.ndarray


class States:
    """All states of a problem and what stopping there is worth: what its solutions share.

    Parameters
    ----------
    order : questions come in this order alone; default: in any

    Raises
    ------
    UserError
        more than `MAX_SETS` sets, or `MAX_STATES` pairs of sets and profiles.
    """

    def __init__(self, problem: PopulationProblem, order: Sequence[int] | None = None) -> None:
        self.problem = problem
        self.order = order
        self.subsets = problem.decline_rate > 0
        self._check_size()
        self.layers: dict[int, _Layer] = {}
        codes = problem.codes.astype(np.int64) + 1
        for mask in self._sets():
            asked = tuple(members(mask))
            group = self._group(codes, mask, asked)
            self.layers[mask] = self._layer(asked, mask, group)

    def next_questions(self, asked: tuple[int, ...]) -> Sequence[int]:
        """Return what may be asked once the set `asked` is."""
        if len(asked) >= self.problem.budget:
            return ()
        if self.order is not None:
            return self.order[len(asked) :][:1]
        return [a for a in range(len(self.problem.schema)) if a not in asked]

    def parents(self, mask: int, attribute: int) -> np.ndarray:
        """Return int64[G'], for each state of the set `mask` with `attribute` the one of `mask` before it."""
        layer, child = self.layers[mask], self.layers[mask | 1 << attribute]
        place = child.asked.index(attribute)
        here = layer.group[:, _without(child.group.shape[1], place)] if self.subsets else layer.group
        found = np.empty(len(child.weight), np.int64)
        found[child.group] = here
        return found

    def find(self, answers: Mapping[int, int], belief: Belief) -> tuple[int, int]:
        """Return (set, class) of the state after `answers`."""
        mask = sum(1 << a for a in answers)
        declined = mask & ~int(belief.answered[0])
        layer = self.layers[mask]
        subset = sum(1 << i for i, a in enumerate(layer.asked) if declined >> a & 1)
        return mask, int(layer.group[belief.profile[0], subset if self.subsets else 0])

    def _check_size(self) -> None:
        ways = 2 if self.subsets else 1
        n, budget = len(self.problem.schema), self.problem.budget
        sets = [1 if self.order is not None else math.comb(n, k) for k in range(budget + 1)]
        size = len(self.problem.weights) * sum(count * ways**k for k, count in enumerate(sets))
        if sum(sets) > MAX_SETS:
            raise UserError(
                f"dynamic programming: found {sum(sets):,} sets of attributes, expected at most "
                f"{MAX_SETS:,}; take a smaller budget or solver=mcts"
            )
        if size > MAX_STATES:
            raise UserError(
                f"dynamic programming: found {size:,} pairs of sets and profiles, "
                f"expected at most {MAX_STATES:,}; take a smaller budget or solver=mcts"
            )

    def _sets(self) -> list[int]:
        """Return the sets that may be asked, every set after its subsets."""
        if self.order is None:
            return sets_within(len(self.problem.schema), self.problem.budget).tolist()
        steps = self.order[: self.problem.budget]
        return [sum(1 << a for a in steps[:k]) for k in range(len(steps) + 1)]

    def _group(self, codes: np.ndarray, mask: int, asked: tuple[int, ...]) -> np.ndarray:
        """Return the classes of a set, a refinement of those of the set without its last attribute."""
        if not asked:
            return np.zeros((len(codes), 1), np.int64)
        last = asked[-1] if self.order is None else self.order[len(asked) - 1]
        before = self.layers[mask & ~(1 << last)].group
        observed = np.broadcast_to(codes[:, last, None], before.shape)
        if self.subsets:
            n_subsets, place = 1 << len(asked), asked.index(last)
            before = before[:, _without(n_subsets, place)]
            declined = (np.arange(n_subsets) >> place & 1).astype(bool)
            observed = np.where(declined, 0, codes[:, last, None])
        _, group = np.unique(before * (int(codes.max()) + 1) + observed, return_inverse=True)
        return group.reshape(before.shape)

    def _layer(self, asked: tuple[int, ...], mask: int, group: np.ndarray) -> _Layer:
        """Return the states of the set `mask`, each as if the agent had to stop there."""
        problem, d = self.problem, self.problem.decline_rate
        answered, chances = [mask], np.ones(1)
        if self.subsets:
            subsets = range(1 << len(asked))
            answered = [mask & ~sum(1 << a for i, a in enumerate(asked) if s >> i & 1) for s in subsets]
            n_told = np.array([t.bit_count() for t in answered])
            chances = (1 - d) ** n_told * d ** (len(asked) - n_told)
        weights = problem.weights[:, None] * chances
        scores = problem.scores_with(answered) - problem.penalty(mask)
        scores = np.where(np.isnan(scores), -np.inf, scores)
        gains = weights * np.where(weights > 0, scores, 0.0)  # 0 times -inf would be NaN
        weight = np.bincount(group.ravel(), weights.ravel())
        return _Layer(asked, group, weight, np.bincount(group.ravel(), gains.ravel()))


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
        states: States | None = None,
        fallback: Sequence[int] = (),
        min_profiles: float = 0,
        min_questions: int = 0,
    ) -> None:
        """Solve `problem`.

        `states`: those of `problem` if at hand (of one order of questions: only when to stop is free).
        `fallback`: attributes to go on with after an answer never seen. `min_profiles`: in a state that fewer
        profiles agree with (expected number; 0: never) the rest of `fallback` is asked instead of what is
        best for these few: a plan for others than these profiles should not trust one or two.
        `min_questions`: nobody stops before so many.
        """
        self._states = States(problem) if states is None else states
        self._problem = problem
        self._few = min_profiles / problem.n_profiles * (1 - 1e-9)
        self._min_profiles = min_profiles
        self._min_questions = min(min_questions, problem.budget)
        self._fallback = tuple(fallback)
        self._values: dict[int, np.ndarray] = {}
        self._actions: dict[int, np.ndarray] = {}
        for mask in reversed(self._states.layers):
            self._back_up(mask)
        root = self._states.layers[0]
        self.value = float(self._values[0][0] / root.weight[0])
        self.n_states = sum(int((layer.weight > 0).sum()) for layer in self._states.layers.values())

    def tree(self) -> PolicyTree:
        """Return the plan as a tree."""
        return build_tree(
            self._problem, self._choose, self._fallback, min_profiles=self._min_profiles, planner="exact"
        )

    def _back_up(self, mask: int) -> None:
        layer, dropout = self._states.layers[mask], self._problem.dropout
        early = len(layer.asked) < self._min_questions
        value = np.full_like(layer.stop, -np.inf) if early else layer.stop.copy()
        action = np.full(len(value), STOP)
        tolerance = TIE * layer.weight
        few = layer.weight < self._few
        forced = next((a for a in self._fallback if a not in layer.asked), STOP)
        for a in self._states.next_questions(layer.asked):
            parent = self._states.parents(mask, a)
            asking: np.ndarray = np.bincount(parent, self._values[mask | 1 << a], minlength=len(value))
            if dropout > 0:  # 0 times -inf would be NaN
                asking = (1 - dropout) * asking + dropout * layer.stop
            better = (asking > value + tolerance) & ~few | (few & (a == forced))
            value[better] = asking[better]
            action[better] = a
        self._values[mask], self._actions[mask] = value, action

    def _choose(self, answers: Mapping[int, int], belief: Belief) -> int:
        mask, state = self._states.find(answers, belief)
        return int(self._actions[mask][state])


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
