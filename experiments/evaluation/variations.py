"""Robustness: other answers, fewer plans, and domains that no plan was made for.

The simulated judge reads the profile: an answer that was given in part counts as given, an evasive one as
none. What a partial answer costs shows in the questions that follow, where its words name no level.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from envs import UserError
from envs.users import ScriptedUser, User
from experiments.evaluation.methods.baselines import BEST_STATIC, BEST_STATIC_ALL, FULL, ORACLE, VANILLA
from experiments.evaluation.methods.compared_methods import (
    CHOSEN,
    Options,
    few,
    lineup,
    needs_trees,
    with_trees,
)
from experiments.evaluation.methods.population_plans import POPULATION, cost_name, seen_trees
from experiments.evaluation.methods.trajectories import Method
from experiments.evaluation.setting import Answers, Setting, TrainScores
from policies.plan_index import Memory

VARIATIONS = ("domains", "unanswered", "answers", "table_sizes")
RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Probabilities that a question is not answered."""
MANNERS = {
    "half of the answers partial": (0.5, 0.0, 0.0),
    "all answers partial": (1.0, 0.0, 0.0),
    "three in ten evasive": (0.0, 0.3, 0.0),
    "three in ten partial, two evasive, one refused": (0.3, 0.2, 0.1),
}
"""(partial, evasive, refusing) of the scripted user."""
SIZES = (10, 30, 100, 300, 1000, 3000)
"""Numbers of stored plans, beside all of them."""


class Variation(NamedTuple):
    """One setting of one variation, with its methods. `rows`: which test scenarios it is about."""

    variation: str
    value: str
    setting: Setting
    methods: list[Method]
    rows: list[int]


def wanted(cost: float) -> tuple[str, ...]:
    """Return the methods that a variation looks at; the references serve as denominators."""
    ours = tuple(f"{name} + value {cost:g}" for name in ("random order", "vote"))
    ours = (*ours, f"conditional + value {cost:g}", CHOSEN)
    return (VANILLA, BEST_STATIC, BEST_STATIC_ALL, *ours, cost_name(POPULATION, cost), ORACLE, FULL)


def check(names: Sequence[str]) -> None:
    """Raise `UserError` for a variation that does not exist."""
    for name in names:
        if name not in VARIATIONS:
            raise UserError(f"variations: found {name!r}, expected some of {', '.join(VARIATIONS)}")


def variations(
    names: Sequence[str], setting: Setting, scores: TrainScores, memory: Memory, options: Options
) -> Iterator[Variation]:
    """Yield the settings of the variations `names`; the plans are those of `memory`, or fewer of them."""
    narrow = dataclasses.replace(
        options, value_costs=(options.value_cost,), costs=(options.value_cost,), chat=None
    )
    if "unanswered" in names:
        for rate in RATES:
            yield _answered(
                f"{rate:.0%}",
                "unanswered",
                ScriptedUser(0.0, 0.0, rate, setting.seed),
                setting,
                scores,
                memory,
                narrow,
            )
    if "answers" in names:
        for manner, rates in MANNERS.items():
            yield _answered(
                manner, "answers", ScriptedUser(*rates, setting.seed), setting, scores, memory, narrow
            )
    if "table_sizes" in names:
        yield from _smaller(setting, scores, memory, narrow)
    if "domains" in names:
        yield from _left_out(setting, scores, memory, narrow)


def _answered(
    value: str,
    variation: str,
    user: User,
    setting: Setting,
    scores: TrainScores,
    memory: Memory,
    options: Options,
) -> Variation:
    changed = dataclasses.replace(setting, answers=Answers(user, setting.test))
    return Variation(
        variation, value, changed, _methods(changed, scores, memory, options), list(range(len(setting.test)))
    )


def _smaller(setting: Setting, scores: TrainScores, memory: Memory, options: Options) -> Iterator[Variation]:
    """Yield smaller tables, evenly taken from the whole one, with plans from the people in them alone."""
    for size in (*(s for s in SIZES if s < len(memory)), len(memory)):
        rows = np.linspace(0, len(memory) - 1, size).round().astype(np.int64)
        ids = set(memory.table.table["scenario_id"].take(pa.array(rows)).to_pylist())
        fewer = scores.only([s for s in setting.train if s.id in ids])
        smaller = _with_trees(memory.take(rows), setting, fewer, options)
        every = list(range(len(setting.test)))
        yield Variation("table size", f"{size:,}", setting, _methods(setting, fewer, smaller, options), every)


def _left_out(setting: Setting, scores: TrainScores, memory: Memory, options: Options) -> Iterator[Variation]:
    """Yield for each domain its test people, served with plans of all other domains only."""
    planned_for = np.array(memory.table.table["domain"].to_pylist())
    for domain in dict.fromkeys(s.domain for s in setting.test):
        others = [s for s in setting.train if s.domain != domain]
        rows = [i for i, s in enumerate(setting.test) if s.domain == domain]
        kept = np.flatnonzero(planned_for != domain)
        if not others or not len(kept):
            continue
        test = [setting.test[i] for i in rows]
        there = dataclasses.replace(setting, train=others, test=test, answers=setting.answers.of(test))
        elsewhere = scores.only(others)
        smaller = _with_trees(memory.take(kept), setting, elsewhere, options)
        yield Variation("domain left out", domain, there, _methods(there, elsewhere, smaller, options), rows)


def _with_trees(memory: Memory, setting: Setting, scores: TrainScores, options: Options) -> Memory:
    """Return `memory` with trees planned from `scores` alone; without any where sets cannot be enumerated."""
    if not setting.enumerable:
        return with_trees(memory, None)
    return with_trees(memory, seen_trees(scores, options.value_cost, options.min_profiles))


def _methods(setting: Setting, scores: TrainScores, memory: Memory, options: Options) -> list[Method]:
    names = wanted(options.value_cost)
    if memory.trees is None and needs_trees(options.policy):
        names = tuple(name for name in names if name != CHOSEN)
    return few(lineup(setting, scores, memory, options), names)
