"""What was weighed at each step of a plan, and the tree of a population's plan, as the pages show them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from envs import UserError
from search.path_table import PathRecord
from search.plan_lines import from_json
from search.planning import ScenarioPlan


class Weighed(NamedTuple):
    """An attribute that the search considered; `value`: the best it saw below it, NaN = unscored."""

    attribute: str
    visits: int
    value: float
    chosen: bool


class PlanStep(NamedTuple):
    """One question of a path: the score before and after it, and what was weighed, the chosen one first."""

    attribute: str
    before: float | None
    after: float | None
    weighed: Sequence[Weighed]

    @property
    def gain(self) -> float | None:
        """What the question brought."""
        return None if self.before is None or self.after is None else self.after - self.before


def plan_of(row: Mapping[str, Any]) -> ScenarioPlan:
    """Return the plan of a journal's line.

    Raises
    ------
    UserError
        it is none.
    """
    try:
        return from_json(row)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"plans.jsonl: a line is no plan ({type(error).__name__})") from None


def steps_of(record: PathRecord, plan: ScenarioPlan | None) -> list[PlanStep]:
    """Return the steps of `record`'s path, with the alternatives of its `plan` where there is one."""
    weighed = [] if plan is None else plan.alternatives
    found = []
    for step, name in enumerate(record.path):
        own = [Weighed(a, visits, value, a == name) for s, a, visits, value in weighed if s == step]
        own.sort(key=lambda w: (not w.chosen, -w.visits, math.inf if math.isnan(w.value) else -w.value))
        found.append(PlanStep(name, record.path_scores[step], record.path_scores[step + 1], own))
    return found


def contexts_of(record: PathRecord, plan: ScenarioPlan | None) -> list[frozenset[str]]:
    """Return the sets that the plan speaks of: the path's prefixes, and each with what was weighed there."""
    found: dict[frozenset[str], None] = {}
    alternatives = [] if plan is None else plan.alternatives
    for step in range(len(record.path) + 1):
        prefix = frozenset(record.path[:step])
        found[prefix] = None
        for s, name, _, _ in alternatives:
            if s == step:
                found[prefix | {name}] = None
    return list(found)


def number(value: float | None, digits: int = 2) -> str:
    """Return a score as text, `unscored` where there is none."""
    return "unscored" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 2) -> str:
    """Return a difference as text."""
    return "unknown" if value is None or math.isnan(value) else f"{value:+.{digits}f}"
