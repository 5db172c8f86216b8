"""Random sets: `search=random`, the baseline that any search must beat."""

from __future__ import annotations

from collections import Counter

import numpy as np

from envs import UserError
from search.path_rule import members
from search.plans import Plan
from search.problem import Problem
from search.surrogate.reallocate import finish


class RandomSearch:
    """Keep the best of `num_simulations` uniformly drawn sets of `budget` attributes.

    A set that is drawn again is free, or under a noisy judge looked at again; the path is then the best by
    posterior mean (`search.surrogate.set_gp`).
    """

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
        drawn: Counter[int] = Counter()
        evaluations: list[tuple[int, int]] = []
        for mask in [known, *draws]:
            evaluations.append((mask, drawn[mask] if problem.noisy else 0))
            drawn[mask] += 1
        evaluations = list(dict.fromkeys(evaluations))
        stopped = "all simulations ran"
        if problem.calls_left is not None and len(evaluations) > problem.calls_left:
            evaluations = evaluations[: problem.calls_left]
            stopped = "no judge calls left"
        problem.evaluate(
            np.array([m for m, _ in evaluations], dtype=np.uint64), [look for _, look in evaluations]
        )
        return finish(problem, simulations=len(draws), stopped=stopped)
