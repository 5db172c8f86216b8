"""One question at a time, the best next one: `search=greedy`."""

from __future__ import annotations

import numpy as np

from search.path_rule import best_plan, members
from search.plans import Plan
from search.problem import Problem


class GreedySearch:
    """Add the attribute of the highest objective until the budget is spent, then apply the path rule.

    For a monotone submodular score its value is within 1 - 1/e of the best (Nemhauser, Wolsey & Fisher
    1978); complements and attributes that harm void that bound. Ties go to the lowest attribute index.
    34 judge calls (and one for nothing known) for 10 attributes and budget 4.
    """

    name = "greedy"

    def expected_judge_calls(self, n_askable: int, budget: int) -> int:
        """Return the judge calls of one plan: nothing known, then all that is left at each step."""
        return 1 + sum(n_askable - k for k in range(min(budget, n_askable)))

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the greedy path (its best set, should a later question cost more than it brings)."""
        mask = int(problem.known)
        problem.evaluate(np.array([mask], dtype=np.uint64))
        stopped = "the budget is spent"
        for _ in range(min(problem.budget, int(problem.askable).bit_count())):
            nexts = [mask | 1 << a for a in members(int(problem.askable) & ~mask)]
            if problem.calls_left is not None and problem.calls_left < len(nexts):
                stopped = "no judge calls left"
                break
            masks = np.array(nexts, dtype=np.uint64)
            scores = problem.evaluate(masks)
            if np.isnan(scores).all():
                stopped = "every next question is unscored"
                break
            mask = nexts[int(np.nanargmax(problem.objectives(masks, scores)))]
        return best_plan(problem, stopped=stopped)
