"""A `PopulationProblem` for pomdp-py's POMCP, to compare with. The only file that imports pomdp-py.

The model is a black box, one Python call a step, which is the fastest that pomdp-py takes. A state is (row of
the profile, set asked, answered); questions cost when asked, the score comes with the answer; discount 1.
Random numbers come from the generator handed in alone: pomdp-py's own use of Python's global state is in the
classes that are replaced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pomdp_py

from search.population.policy_tree import STOP, PolicyTree
from search.population.population_problem import Belief, PopulationProblem
from search.population.set_table import columns, sets_within
from search.population.tree_building import build_tree, look_ahead


class _Token:
    """A hashable number: what actions, observations and states are here."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Token) and self.number == other.number


class _Action(_Token, pomdp_py.Action):
    """Ask attribute `number`, or `STOP`."""


class _Observation(_Token, pomdp_py.Observation):
    """The code of an answer."""


class _PomdpState(pomdp_py.State):
    """A profile, the set asked, and whether the answer is given."""

    def __init__(self, profile: int, asked: int, over: bool) -> None:
        self.profile = profile
        self.asked = asked
        self.over = over

    def __hash__(self) -> int:
        return hash((self.profile, self.asked, self.over))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PomdpState) and (self.profile, self.asked, self.over) == (
            other.profile,
            other.asked,
            other.over,
        )


class _World(pomdp_py.BlackboxModel):
    """What happens: (state, action) -> (next state, observation, reward, steps)."""

    def __init__(self, problem: PopulationProblem) -> None:
        masks = sets_within(len(problem.schema), problem.budget)
        places = columns(masks, len(problem.schema), problem.budget)
        self._column = dict(zip(masks.tolist(), places.tolist(), strict=True))
        self._scores = problem.scores_with(masks).tolist()
        self._codes = problem.codes.tolist()
        self._prices = [problem.penalty(1 << a) for a in range(len(problem.schema))]
        self._observations = {code: _Observation(code) for code in range(-1, 127)}

    def sample(self, state: _PomdpState, action: _Action) -> tuple[_PomdpState, _Observation, float, int]:
        """Return what follows; nothing does once the answer is given."""
        if state.over:
            return state, self._observations[-1], 0.0, 1
        if action.number == STOP:
            score = self._scores[state.profile][self._column[state.asked]]
            return _PomdpState(state.profile, state.asked, True), self._observations[-1], score, 1
        a = action.number
        after = _PomdpState(state.profile, state.asked | 1 << a, False)
        return after, self._observations[self._codes[state.profile][a]], -self._prices[a], 1


class _Policy(pomdp_py.RolloutPolicy):
    """What is legal in a state, and a uniform choice of it for rollouts (POMCP's default)."""

    def __init__(self, problem: PopulationProblem, rng: np.random.Generator) -> None:
        n = len(problem.schema)
        self._budget = problem.budget
        self._rng = rng
        self._stop = [_Action(STOP)]
        self._questions = [_Action(a) for a in range(n)]
        self._legal: dict[int, list[_Action]] = {}

    def get_all_actions(self, state: Any = None, history: Any = None) -> list[_Action]:
        """Return the questions that are left, within the budget, and the answer."""
        if state.over or state.asked.bit_count() >= self._budget:
            return self._stop
        if state.asked not in self._legal:
            left = [q for q in self._questions if not state.asked >> q.number & 1]
            self._legal[state.asked] = [*self._stop, *left]
        return self._legal[state.asked]

    def rollout(self, state: Any, history: Any = None) -> _Action:
        """Return any legal action."""
        legal = self.get_all_actions(state)
        return legal[int(self._rng.random() * len(legal))]


class _Profiles(pomdp_py.Particles):
    """The belief at the root: the weighted profiles."""

    def __init__(self, problem: PopulationProblem, rng: np.random.Generator) -> None:
        super().__init__([_PomdpState(u, 0, False) for u in range(len(problem.weights))])
        self._steps = np.cumsum(problem.weights)[:-1]
        self._rng = rng

    def random(self) -> _PomdpState:
        """Draw a profile."""
        return self.particles[int(np.searchsorted(self._steps, self._rng.random(), side="right"))]


def pomcp_search(
    problem: PopulationProblem, num_simulations: int, exploration: float, rng: np.random.Generator
) -> Any:
    """Run pomdp-py's POMCP from the start of `problem` (without declines); return its tree of histories."""
    policy = _Policy(problem, rng)
    agent = pomdp_py.Agent(_Profiles(problem, rng), policy, blackbox_model=_World(problem))
    planner = pomdp_py.POMCP(
        max_depth=problem.budget + 1,
        discount_factor=1.0,
        num_sims=num_simulations,
        exploration_const=exploration,
        num_visits_init=0,
        value_init=0,
        rollout_policy=policy,
    )
    planner.plan(agent)
    return agent.tree


def pomcp_tree(problem: PopulationProblem, root: Any) -> PolicyTree:
    """Return the actions of highest value; where the tree ends, one question is looked ahead, as in ours."""

    def choose(answers: Mapping[int, int], belief: Belief) -> int:
        node = root
        for a, code in answers.items():
            edge = node[_Action(a)] if node is not None else None
            node = edge[_Observation(code)] if edge is not None else None
        tried = [] if node is None else [a for a in node.children if node[a].num_visits > 0]
        if not tried:
            return look_ahead(problem, answers, belief)
        return max(tried, key=lambda a: (node[a].value, -a.number)).number

    return build_tree(problem, choose, planner="pomdp-py POMCP")
