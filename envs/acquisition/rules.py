"""The rules of attribute acquisition, as pure functions on sets.

A set of attributes is a bitmask (bit i = attribute i of the schema). Nothing here knows of
Gymnasium, judges or profiles: `envs.acquisition_env` adapts these rules, a search may call them.

The one rule for a question that is not legal (its attribute is known, has no value, does not exist,
or no question is left): it reveals nothing, yet it was asked, so it uses up one question if one is
left. It has no reward and no cost.

Scores may be NaN (unscored). A gain is always taken between *scored* sets: the first and the last
scored set of the path so far. A step into an unscored set therefore gains nothing, the next scored
set is compared with the last scored one, and the gains of the steps always sum to `total_gain`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class State(NamedTuple):
    """Where an episode stands; immutable.

    `known`: bitmask of the attributes whose value is known. `askable`: bitmask of those whose value
    exists and is not known (disjoint from `known`). `budget_left`: questions that may still be asked.
    `answered`: whether the agent has chosen to answer.
    """

    known: int
    askable: int
    budget_left: int
    answered: bool = False


def begin(exists: int, budget: int, known: int = 0) -> State:
    """Return the first state for a person whose profile has values for the bitmask `exists`.

    `known`: bitmask of what the query itself reveals; it does not count against `budget`.

    Raises
    ------
    ValueError
        `budget` is negative, or `known` has an attribute without a value.
    """
    if budget < 0:
        raise ValueError(f"budget: found {budget}, expected at least 0")
    if known & ~exists:
        raise ValueError("known: holds an attribute without a value, expected a subset of those that exist")
    return State(known, exists & ~known, budget)


def is_over(state: State) -> bool:
    """Tell whether nothing more can be asked: answered, the budget is spent, or nothing is askable."""
    return state.answered or state.budget_left == 0 or state.askable == 0


def legal(state: State) -> int:
    """Return the bitmask of the attributes that may be asked now; asking any other reveals nothing."""
    return 0 if is_over(state) else state.askable


def ask(state: State, attribute: int) -> State:
    """Return the state after asking attribute number `attribute`, by the rule in the module docstring."""
    bit = legal(state) & (1 << attribute)
    left = max(0, state.budget_left - 1)
    return State(state.known | bit, state.askable & ~bit, left, state.answered)


def answer(state: State) -> State:
    """Return the state after the agent has answered with what it knows."""
    return state._replace(answered=True)


def total_cost(mask: int, costs: np.ndarray) -> float:
    """Return the sum of `costs` (float64[n]) over the attributes in the bitmask `mask`."""
    return float(sum(cost for i, cost in enumerate(costs) if mask >> i & 1))


def step_gain(last: float, score: float) -> tuple[float, float]:
    """Return (gain of one step, the new `last`).

    `last`: score of the last scored set, NaN if there was none. `score`: s(U + a), NaN if unscored.
    The gain is s(U + a) - s(U) (arXiv 2505.18882, the reward of its planner), or 0 when either is NaN.
    """
    if math.isnan(score):
        return 0.0, last
    return (0.0 if math.isnan(last) else score - last), score


def total_gain(path: Sequence[int], score: Callable[[int], float]) -> float:
    """Return s(U_T) - s(U_0) of a path of known sets, asking for as few scores as possible.

    `path`: bitmasks U_0, ..., U_T. Where an end is unscored, the nearest scored set of the path stands
    in for it; 0 when none is scored. Equals the sum of `step_gain` along the path.
    """
    first = _first_scored(path, score)
    return 0.0 if math.isnan(first) else _first_scored(path[::-1], score) - first


def _first_scored(path: Sequence[int], score: Callable[[int], float]) -> float:
    return next((value for value in map(score, path) if not math.isnan(value)), math.nan)
