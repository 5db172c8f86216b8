"""The same questions for everybody, in a given order: `search=static`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs import UserError
from search.path_rule import best_set, plan_of_path
from search.plans import Plan
from search.problem import Problem
from search.surrogate.reallocate import IS_SETTLED, beliefs_of, reallocate


class StaticSearch:
    """Ask in a given order, whoever asks what; at most `budget` + 1 judge calls without noise.

    Attributes that cannot be asked of a person are passed over, the next one takes their turn. The path is
    the prefix of the best objective (ties: the shorter), so that it ends where questions no longer pay. The
    paper's set is {Emotional State, Mental Health Status, Past Self-Harm History}, the default of
    `search=static`; three in five of the paths that its authors planned lie within {Age, Emotional State,
    Mental Health Status, Profession}.

    Under a noisy judge, judge calls that `max_judge_calls` leaves go into further looks at the prefixes.

    Parameters
    ----------
    order : names of attributes, each once
    """

    name = "static"

    def __init__(self, order: Sequence[str]) -> None:
        names = [order] if isinstance(order, str) else list(order)
        if isinstance(order, str) or not names or not all(isinstance(name, str) for name in names):
            raise UserError(
                "search.order: expected a list of attribute names, such as search.order=[Age,Gender]"
            )
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UserError(f"search.order: found {twice[0]!r} twice, expected distinct attribute names")
        self.order = tuple(names)

    def plan(self, problem: Problem, rng: np.random.Generator) -> Plan:
        """Return the best prefix of the given order."""
        places = {name: i for i, name in enumerate(problem.names)}
        for name in self.order:
            if name not in places:
                raise UserError(f"search.order: found {name!r}, expected one of {', '.join(problem.names)}")
        path = [places[name] for name in self.order if int(problem.askable) >> places[name] & 1]
        path = path[: problem.budget]
        masks = [int(problem.known)]
        for a in path:
            masks.append(masks[-1] | 1 << a)
        wanted = len(masks) if problem.calls_left is None else min(len(masks), problem.calls_left)
        problem.evaluate(np.array(masks[:wanted], np.uint64))
        stopped = "the given order is scored" if wanted == len(masks) else "no judge calls left"
        if problem.noisy and problem.calls_left and reallocate(problem, problem.calls_left):
            stopped = f"{stopped}, {IS_SETTLED}"
        beliefs = {mask: score for mask, score in beliefs_of(problem).items() if mask in masks}
        target = best_set(problem, beliefs)
        return plan_of_path(problem, path[: masks.index(target)], stopped=stopped, beliefs=beliefs)
