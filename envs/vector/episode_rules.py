"""The rules of `envs.acquisition.rules`, observations and scores for many environments at once, compiled.

N environments, n attributes, S scenarios. Sets are uint64, bit i = attribute i. The naive twin is
`AttributeAcquisitionEnv`: a test holds them equal to the last bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from envs.bit_scan import lowest_bit
from envs.vector.generator_kernels import next_below

_FAST: Any = {"cache": True, "error_model": "numpy"}
_ZERO, _ONE = np.uint64(0), np.uint64(1)


class Profiles(NamedTuple):
    """What the environments share."""

    exists: np.ndarray  # uint64[S], attributes that have a value
    answers: np.ndarray  # int16[S, n], the observation's code of each answer once it is known
    domain: np.ndarray  # int64[S], index in the schema's domains
    costs: np.ndarray  # float64[n], in the schema's units


class Episodes(NamedTuple):
    """Where each environment stands; written in place."""

    scenario: np.ndarray  # int64[N], index of the scenario
    sample: np.ndarray  # int64[N], the judge's sample of this episode
    known: np.ndarray  # uint64[N]
    askable: np.ndarray  # uint64[N], attributes that have a value and are not known
    budget_left: np.ndarray  # int64[N], questions that may still be asked
    over: np.ndarray  # bool[N], whether the episode has ended
    illegal: np.ndarray  # bool[N], whether the last question was
    cost: np.ndarray  # float64[N], of what was asked
    spent: np.ndarray  # float64[N], cost of the last question
    path: np.ndarray  # uint64[N, L], the distinct known sets U_0, ..., U_T
    length: np.ndarray  # int64[N], T
    score: np.ndarray  # float64[N], s(known) where the judge was asked, else NaN
    last: np.ndarray  # float64[N], score of the last scored set of the path, NaN if none


class Observed(NamedTuple):
    """What `observe` writes."""

    known: np.ndarray  # int8[N, n]
    answers: np.ndarray  # int16[N, n]
    mask: np.ndarray  # int8[N, n + 1], what is legal


def new_episodes(n_envs: int, longest: int) -> Episodes:
    """Return the arrays of `n_envs` environments whose paths have at most `longest` questions."""
    kinds = [np.int64] * 2 + [np.uint64] * 2 + [np.int64] + [np.bool_] * 2 + [np.float64] * 2
    first: Any = [np.zeros(n_envs, dtype=kind) for kind in kinds]
    path = np.zeros((n_envs, longest + 1), np.uint64)
    length, unscored = np.zeros(n_envs, np.int64), np.full(n_envs, np.nan)
    arrays: list[Any] = [*first, path, length, unscored, unscored.copy()]
    return Episodes(*arrays)


@njit(**_FAST)
def draw(generators, which, n_scenarios, n_samples, episodes):
    """Draw scenario and sample of each environment in `which` (int64[K]) from its row of `generators`."""
    for env in which:
        episodes.scenario[env] = next_below(generators[env], np.uint64(n_scenarios))
        episodes.sample[env] = next_below(generators[env], np.uint64(n_samples))


@njit(**_FAST)
def begin(which, known, budget, people, episodes):
    """Begin an episode of each environment in `which` (int64[K]) with the set `known` (uint64)."""
    for env in which:
        episodes.known[env] = known
        episodes.askable[env] = people.exists[episodes.scenario[env]] & ~known
        episodes.budget_left[env] = budget
        episodes.over[env] = episodes.illegal[env] = False
        episodes.cost[env] = episodes.spent[env] = 0.0
        episodes.path[env, 0], episodes.length[env] = known, 0
        episodes.score[env] = episodes.last[env] = np.nan


@njit(**_FAST)
def act(actions, which, costs, episodes):
    """Take `actions` (int64[N]) in the environments `which` (int64[K]): `rules.ask` or `rules.answer`.

    Returns int64[M], the environments whose known set has grown.
    """
    n, grown, n_grown = costs.size, np.empty_like(which), 0
    for env in which:
        action, left = actions[env], episodes.budget_left[env]
        episodes.illegal[env], episodes.spent[env] = False, 0.0
        if action < n:
            bit = _ONE << np.uint64(action)
            if left > 0 and episodes.askable[env] & bit:
                episodes.known[env] |= bit
                episodes.askable[env] &= ~bit
                episodes.length[env] += 1
                episodes.path[env, episodes.length[env]] = episodes.known[env]
                episodes.score[env] = np.nan
                episodes.spent[env] = costs[action]
                grown[n_grown] = env
                n_grown += 1
                total, asked = 0.0, episodes.known[env] & ~episodes.path[env, 0]
                while asked:  # ascending, as `rules.total_cost` adds
                    total += costs[lowest_bit(asked)]
                    asked &= asked - _ONE
                episodes.cost[env] = total
            else:
                episodes.illegal[env] = True
            left = max(0, left - 1)
            episodes.budget_left[env] = left
        episodes.over[env] = action == n or left == 0 or episodes.askable[env] == _ZERO
    return grown[:n_grown]


@njit(**_FAST)
def gains(which, cost_weight, episodes, rewards):
    """Write into `rewards` (float64[N]) `rules.step_gain` less the costs, for the environments `which`."""
    for env in which:
        gain, score = 0.0, episodes.score[env]
        if not np.isnan(score):
            if not np.isnan(episodes.last[env]):
                gain = score - episodes.last[env]
            episodes.last[env] = score
        rewards[env] = gain - cost_weight * episodes.spent[env]


@njit(**_FAST)
def observe(people, episodes, observed):
    """Write what every environment shows, and what is legal in it."""
    n = people.costs.size
    for env in range(episodes.known.size):
        known, scenario = episodes.known[env], episodes.scenario[env]
        legal = episodes.askable[env]
        if episodes.over[env] or episodes.budget_left[env] == 0:
            legal = _ZERO
        for i in range(n):
            there = (known >> np.uint64(i)) & _ONE
            observed.known[env, i] = there
            observed.answers[env, i] = people.answers[scenario, i] if there else 0
            observed.mask[env, i] = (legal >> np.uint64(i)) & _ONE
        observed.mask[env, n] = 1


# With the surface compiled in, once a process: as a function's address, which could be kept on disk, each
# call would look it up for longer than a thousand steps take.
@njit(error_model="numpy")
def score_all(function, params, starts, scenarios, masks, found):
    """Write into `found` (float64[B]) the scores of `masks` (uint64[B]) of `scenarios` (int64[B]).

    `params`: of all scenarios; those of scenario s are `params[starts[s] : starts[s + 1]]`.
    """
    for i in range(found.size):
        s = scenarios[i]
        found[i] = function(masks[i], params[starts[s] : starts[s + 1]])
