"""`Plan`, what a search returns, and the check that refuses a malformed one; imports no search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from envs.errors import UserError

if TYPE_CHECKING:
    from search.problem import Problem


ALL_RAN, EVERY_SET = "all simulations ran", "every set is scored"
"""Why a tree search ended."""


class Alternative(NamedTuple):
    """One question the search weighed at one step of the path.

    `step`: 0 = first question. `attribute`: schema index. `visits`: visit count of the edge, -1 where
    the algorithm keeps none. `value`: what the search believed the question leads to, an objective (score
    less cost); NaN where it never looked.
    """

    step: int
    attribute: int
    visits: int
    value: float


@dataclass(frozen=True)
class Plan:
    """An ordered set of attributes to ask for.

    `path`: schema indices in the order of asking, at most `budget` of them. `scores`: float64[len(path) + 1],
    what the searcher believed of each prefix, the first with nothing asked; NaN = unscored.
    `simulations`: search iterations that ran. `stopped`: why the search ended, in a few words.
    """

    path: tuple[int, ...]
    scores: np.ndarray
    simulations: int = 0
    stopped: str = ""
    alternatives: tuple[Alternative, ...] = ()


def check_plan(plan: Plan, problem: Problem, who: str) -> None:
    """Refuse what is no plan for `problem`.

    Raises
    ------
    UserError
        one line with `who`: a path that is none, an attribute twice, one that cannot be asked, more than the
        budget, scores that do not fit the path, or no final score.
    """
    if not isinstance(plan, Plan):
        raise UserError(f"{who}: found a {type(plan).__name__}, expected a Plan")
    if not isinstance(plan.path, (Sequence, np.ndarray)):
        raise UserError(
            f"{who}: the path is a {type(plan.path).__name__}, expected a tuple of schema indices"
        )
    for a in plan.path:
        if isinstance(a, bool) or not isinstance(a, (int, np.integer)):
            raise UserError(f"{who}: the path holds a {type(a).__name__}, expected a tuple of schema indices")
    path = [int(a) for a in plan.path]
    if len(set(path)) != len(path):
        twice = next(a for a in path if path.count(a) > 1)
        raise UserError(f"{who}: the path holds attribute {twice} twice, expected distinct attributes")
    for a in path:
        if not (0 <= a < problem.n_attributes and int(problem.askable) >> a & 1):
            raise UserError(f"{who}: the path holds attribute {a}, which is not askable here")
    if len(path) > problem.budget:
        raise UserError(f"{who}: the path holds {len(path)} attributes, expected at most {problem.budget}")
    shape = np.shape(plan.scores)
    if shape != (len(path) + 1,):
        raise UserError(f"{who}: scores have shape {shape}, expected ({len(path) + 1},)")
    kind = np.asarray(plan.scores).dtype
    if kind.kind not in "fiu":
        raise UserError(f"{who}: scores are of type {kind}, expected numbers")
    if not math.isfinite(plan.scores[-1]):
        raise UserError(f"{who}: the final score is not finite; only a prefix may be unscored")
