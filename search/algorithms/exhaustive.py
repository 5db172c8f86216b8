"""Enumeration of every set within the budget: `search=exhaustive`, the oracle."""

from __future__ import annotations

import itertools
import math

import numpy as np

from envs import UserError
from search.path_rule import members
from search.plans import Plan
from search.problem import Problem
from search.surrogate.reallocate import finish


class ExhaustiveSearch:
    """Score all sets of at most `budget` attributes, smaller ones first: sum_k C(n, k) judge calls.

    Under a noisy judge the path is the best by posterior mean (`surrogate.set_gp`), and judge calls that
    `max_judge_calls` leaves go into further looks at the sets that may be the best (`surrogate.reallocate`).

    Parameters
    ----------
    max_sets : refuse problems with more sets than this (10 attributes, budget 4: 386)
    """

    name = "exhaustive"

    def __init__(self, max_sets: int = 200_000) -> None:
        self.max_sets = max_sets

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the optimum (with `max_judge_calls`: the best of the smallest sets)."""
        askable = members(int(problem.askable))
        budget = min(problem.budget, len(askable))
        n_sets = sum(math.comb(len(askable), k) for k in range(budget + 1))
        wanted = n_sets if problem.calls_left is None else min(n_sets, problem.calls_left)
        if wanted > self.max_sets:
            raise UserError(
                f"search=exhaustive: found {n_sets} sets of at most {budget} of {len(askable)} attributes, "
                f"expected at most search.max_sets={self.max_sets}; take search=mcts"
            )
        sets = itertools.chain.from_iterable(itertools.combinations(askable, k) for k in range(budget + 1))
        known = int(problem.known)
        masks = [known | sum(1 << a for a in chosen) for chosen in itertools.islice(sets, wanted)]
        problem.evaluate(np.array(masks, dtype=np.uint64))
        return finish(problem, stopped="every set is scored" if wanted == n_sets else "no judge calls left")
