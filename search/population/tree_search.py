"""Tree search for a user whose profile nobody knows, where the sets are too many for dynamic programming."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from envs import UserError
from search.population.compiled.histories import (
    NONE,
    ROOT,
    Histories,
    HistoryRules,
    People,
    grown,
    new_histories,
)
from search.population.policy_tree import STOP, PolicyTree
from search.population.population_problem import TIE, Belief, PopulationProblem
from search.population.tree_building import build_tree, look_ahead

ROOM = (4096, 1024, 16_384)
"""Nodes, opened nodes and ways that a search has room for at first; it is doubled when it is full."""


class PopulationMCTS:
    """Plan by root-sampling tree search (`search.population.compiled.tree_kernels` has the equations).

    As in POMCP (Silver & Veness 2010, Algorithm 1) each simulation draws a profile from the belief at the
    root and follows its answers. Unlike there the profiles are listed, so beliefs, stopping values and the
    probabilities of outcomes are exact, and a value is the best policy found below rather than a mean of
    returns, which exploration would drag down.

    Parameters
    ----------
    num_simulations : int >= 1
    exploration : float >= 0, c in units of the range of stopping values seen (0.3: of 0.01 to 3 the best on
        bundled profiles at 300 to 3,000 simulations)
    """

    name = "population_mcts"

    def __init__(self, num_simulations: int = 10_000, exploration: float = 0.3) -> None:
        if num_simulations < 1:
            raise UserError(f"num_simulations: found {num_simulations}, expected an integer >= 1")
        if not (math.isfinite(exploration) and exploration >= 0):
            raise UserError(f"exploration: found {exploration}, expected a number >= 0")
        self.num_simulations = num_simulations
        self.exploration = exploration

    def plan(
        self,
        problem: PopulationProblem,
        rng: np.random.Generator,
        *,
        fallback: Sequence[int] = (),
        min_profiles: float = 0,
    ) -> PolicyTree:
        """Return the best tree found; `fallback`, `min_profiles`: see `population_dp.Solution`."""
        found = self.search(problem, rng, fallback=fallback, min_profiles=min_profiles)
        return found.tree()

    def search(
        self,
        problem: PopulationProblem,
        rng: np.random.Generator,
        *,
        fallback: Sequence[int] = (),
        min_profiles: float = 0,
    ) -> Found:
        """Run the search and return what it found."""
        from search.population.compiled import tree_kernels as kernels

        surfaces, n, size = problem.surfaces, len(problem.schema), self.num_simulations
        people = People(
            problem.codes,
            problem.cost_weight * problem.schema.costs,
            np.array(fallback, np.int64),
            surfaces.params,
            surfaces.starts,
            surfaces.askable,
        )
        few = min_profiles / problem.n_profiles * (1 - 1e-9)
        rules = HistoryRules(
            problem.budget, n, float(self.exploration), problem.decline_rate, few, problem.dropout
        )
        profiles, declines = _draws(problem, rng, size)
        nodes, edges = np.zeros(problem.budget + 1, np.int64), np.zeros(problem.budget, np.int64)
        nodes_room, rows, ways = ROOM
        h = new_histories(n, nodes_room, rows, max(ways, len(problem.weights)))
        kernels.add_root(h, rules, surfaces.function, people, problem.weights)
        ran = 0
        while True:
            ran = kernels.run(h, rules, surfaces.function, people, nodes, edges, profiles, declines, ran)
            if ran == size or h.solved[ROOT]:
                return Found(problem, h, int(ran), tuple(fallback), min_profiles)
            h = grown(h, n)
            kernels.rebuild_slots(h)


def _draws(problem: PopulationProblem, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (int64[T] profiles, uint64[T] declined questions), one of each a simulation.

    A row of numbers a simulation, so that a longer search begins with the shorter one.
    """
    n = len(problem.schema)
    rows = rng.random((size, 1 + n * (problem.decline_rate > 0)))
    steps = np.cumsum(problem.weights)[:-1]
    bits = (rows[:, 1:] < problem.decline_rate) * (
        np.uint64(1) << np.arange(rows.shape[1] - 1, dtype=np.uint64)
    )
    return np.searchsorted(steps, rows[:, 0], side="right"), bits.sum(axis=1, dtype=np.uint64)


class Found:
    """What a search found.

    Attributes
    ----------
    value : float, expected objective of the plan as far as the search looked (a lower bound of the optimum)
    simulations : int, how many ran
    solved : bool, whether nothing was left to look at, so that the value is the optimum
    """

    def __init__(
        self,
        problem: PopulationProblem,
        histories: Histories,
        simulations: int,
        fallback: tuple[int, ...],
        min_profiles: float,
    ) -> None:
        self._problem = problem
        self._histories = histories
        self._fallback = fallback
        self._min_profiles = min_profiles
        self.value = float(histories.value[ROOT])
        self.simulations = simulations
        self.solved = bool(histories.solved[ROOT])

    def tree(self) -> PolicyTree:
        """Return the plan; where the search never looked it asks what pays most if nothing follows."""
        return build_tree(
            self._problem,
            self._choose,
            self._fallback,
            min_profiles=self._min_profiles,
            planner=PopulationMCTS.name,
        )

    def _choose(self, answers: Mapping[int, int], belief: Belief) -> int:
        from search.population.compiled import tree_kernels as kernels

        h, node, asked = self._histories, ROOT, 0
        for a, code in answers.items():  # in the order of asking; every prefix was on the plan
            asked |= 1 << a
            node = kernels.find(h, np.uint64(asked), node, a, code)
            if node == NONE:
                break
        if node == NONE or h.row[node] == NONE:
            return look_ahead(self._problem, answers, belief)
        best, chosen = h.stop[node], STOP
        for a, value in enumerate(h.q[h.row[node]].tolist()):
            if value > best + TIE:
                best, chosen = value, a
        return chosen
