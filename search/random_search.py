"""Random sets: `search=random`, the baseline that any search must beat."""

from __future__ import annotations

import numpy as np

from envs import UserError
from search.path_rule import best_plan, members
from search.plans import Plan
from search.problem import Problem


class RandomSearch:
    """Keep the best of `num_simulations` uniformly drawn sets of `budget` attributes; repeats are free."""

    name = "random"

    def __init__(self, num_simulations: int = 300) -> None:
        if num_simulations < 1:
            raise UserError(f"search.num_simulations: found {num_simulations}, expected an integer >= 1")
        self.num_simulations = num_simulations

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the path of the best set drawn, by the path rule."""
        askable = members(int(problem.askable))
        size = min(problem.budget, len(askable))
        known = int(problem.known)
        draws = [
            known | sum(1 << int(a) for a in rng.choice(askable, size, replace=False))
            for _ in range(self.num_simulations if askable else 0)
        ]
        masks = list(dict.fromkeys([known, *draws]))
        stopped = "all simulations ran"
        if problem.calls_left is not None and len(masks) > problem.calls_left:
            masks = masks[: problem.calls_left]
            stopped = "no judge calls left"
        problem.evaluate(np.array(masks, dtype=np.uint64))
        return best_plan(problem, simulations=len(draws), stopped=stopped)
