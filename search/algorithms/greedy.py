"""One question at a time, the best next one: `search=greedy`."""

from __future__ import annotations

import math

import numpy as np

from search.path_rule import members
from search.plans import Plan
from search.problem import Problem
from search.surrogate.reallocate import finish


class GreedySearch:
    """Add the attribute of the highest objective until the budget is spent, then apply the path rule.

    For a monotone submodular score its value is within 1 - 1/e of the best (Nemhauser, Wolsey & Fisher
    1978); complements and attributes that harm void that bound. Ties go to the lowest attribute index.
    34 judge calls (and one for nothing known) for 10 attributes and budget 4.

    Under a noisy judge each next question is judged by one evaluation, and the path is the best of what was
    looked at by posterior mean (`surrogate.set_gp`). Judge calls that `max_judge_calls` leaves then go into
    further looks at the sets that may be the best (`surrogate.reallocate`).

    Parameters
    ----------
    lazy : take the gain of an earlier step as an upper bound of the gain now, and look only at questions
        whose
        bound is the highest (Minoux 1978). For submodular scores the same path with fewer calls. A complement
        gains as the set grows, so its old gain is no bound: lazy looks at it too late, and loses much on
        pairs that only count together.
    """

    name = "greedy"

    def __init__(self, lazy: bool = False) -> None:
        self.lazy = lazy

    def expected_judge_calls(self, n_askable: int, budget: int) -> int:
        """Return the judge calls of one plan: nothing known, then all that is left at each step."""
        return 1 + sum(n_askable - k for k in range(min(budget, n_askable)))

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the greedy path (its best set, should a later question cost more than it brings)."""
        mask = int(problem.known)
        value = float(_objectives(problem, [mask])[0])
        bounds = dict.fromkeys(members(int(problem.askable)), math.inf)
        stopped = "the budget is spent" if len(bounds) >= problem.budget else "everything is asked"
        for _ in range(min(problem.budget, len(bounds))):
            step = _lazy_step(problem, mask, value, bounds) if self.lazy else _step(problem, mask, bounds)
            if isinstance(step, str):
                stopped = step
                break
            chosen, value = step
            del bounds[chosen]
            mask |= 1 << chosen
        return finish(problem, stopped=stopped)


def _objectives(problem: Problem, sets: list[int]) -> np.ndarray:
    masks = np.array(sets, dtype=np.uint64)
    return problem.objectives(masks, problem.evaluate(masks))


def _step(problem: Problem, mask: int, rest: dict[int, float]) -> tuple[int, float] | str:
    """Return (best next attribute, objective with it), or why there is none."""
    if problem.calls_left is not None and problem.calls_left < len(rest):
        return "no judge calls left"
    values = _objectives(problem, [mask | 1 << a for a in rest])
    if np.isnan(values).all():
        return "every next question is unscored"
    best = int(np.nanargmax(values))
    return list(rest)[best], float(values[best])


def _lazy_step(
    problem: Problem, mask: int, value: float, bounds: dict[int, float]
) -> tuple[int, float] | str:
    """Return what `_step` does, looking first where the bound is highest; `bounds` become the gains seen."""
    fresh: set[int] = set()
    while True:
        a = max(bounds, key=lambda b: (_bound(bounds[b], b in fresh), -b))
        if a in fresh:
            unscored = math.isnan(bounds[a])
            return "every next question is unscored" if unscored else (a, value + bounds[a])
        if problem.calls_left == 0:
            return "no judge calls left"
        bounds[a] = float(_objectives(problem, [mask | 1 << a])[0]) - value
        fresh.add(a)


def _bound(gain: float, fresh: bool) -> float:
    """Return `gain`; where it is unscored, anything is possible in a step to come, nothing in this one."""
    if math.isnan(gain):
        return -math.inf if fresh else math.inf
    return gain
