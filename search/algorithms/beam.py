"""Beam search: keep the best sets of each size, extend each by every question: `search=beam`."""

from __future__ import annotations

import math

import numpy as np

from envs import UserError
from search.path_rule import members
from search.plans import Plan
from search.problem import Problem
from search.surrogate.reallocate import finish


class BeamSearch:
    """Keep the `width` best sets of each size and extend each by every question, then apply the path rule.

    Beam search (Lowerre 1976) over sets: two orders of asking that lead to the same set are one state, so
    that the beam holds `width` different sets. Width 1 is greedy; an unlimited width scores every set. Ties
    go to the first set in the order of masks. For 10 attributes, budget 4 and width 3 about 75 judge calls.

    When judge calls run out, the children of the better sets are scored first. Under a noisy judge the beam
    is chosen by one evaluation at each set, and leftover calls and the path are treated as `greedy` says.

    Parameters
    ----------
    width : int >= 1
    """

    name = "beam"

    def __init__(self, width: int = 3) -> None:
        if width < 1:
            raise UserError(f"search.width: found {width}, expected an integer >= 1")
        self.width = width

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the path of the best set that came by."""
        beam = [int(problem.known)]
        problem.evaluate(np.array(beam, np.uint64))
        askable = int(problem.askable)
        stopped = "the budget is spent" if askable.bit_count() >= problem.budget else "everything is asked"
        for _ in range(min(problem.budget, askable.bit_count())):
            # dict: each set once, the children of the best set first
            children = list(dict.fromkeys(mask | 1 << a for mask in beam for a in members(askable & ~mask)))
            scored = self._affordable(problem, children)
            masks = np.array(scored, np.uint64)
            values = problem.objectives(masks, problem.evaluate(masks)).tolist()
            kept = [
                (-value, mask) for value, mask in zip(values, scored, strict=True) if not math.isnan(value)
            ]
            beam = [mask for _, mask in sorted(kept)[: self.width]]
            if len(scored) < len(children):
                stopped = "no judge calls left"
                break
            if not beam:
                stopped = "every next question is unscored"
                break
        return finish(problem, stopped=stopped)

    def _affordable(self, problem: Problem, sets: list[int]) -> list[int]:
        """Return the first of `sets` that the judge calls reach; sets scored before are free."""
        if problem.calls_left is None:
            return sets
        seen = set(problem.observations()[0].tolist())
        new = [mask for mask in sets if mask not in seen][: problem.calls_left]
        return [mask for mask in sets if mask in seen or mask in set(new)]
