"""One evaluation: for each draw of the judge plan on the train side, then talk with the test side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from envs import Judge, Scenario
from envs.users import User
from experiments.evaluation.lineup import Options, lineup, remember
from experiments.evaluation.planning import Table
from experiments.evaluation.population import seen_trees
from experiments.evaluation.results import evaluate
from experiments.evaluation.setting import Answers, Setting, TrainScores
from experiments.evaluation.variations import Variation, variations
from policies.danger import default_detector
from policies.memory import Memory
from policies.reading import default_reader

Progress = Callable[[str, int], None]
"""(what is being done, how many steps of it are finished now)."""


class Side(NamedTuple):
    """Who is planned for and who is asked: no person is in both."""

    train: Sequence[Scenario]
    test: Sequence[Scenario]


@dataclass
class Evaluation:
    """The rows of an evaluation.

    Attributes
    ----------
    results : one row a method, scenario and draw of the judge (`results.COLUMNS`)
    varied : the same with `variation` and `setting` in front, or None when nothing was varied
    sources : where the path table of each draw came from
    n_left_out : rows of the tables that were about test people, and were not used
    n_escalated, n_revealing : test queries at which the agent would not ask at all, and that tell an
        attribute
    """

    results: pd.DataFrame
    varied: pd.DataFrame | None
    sources: tuple[str, ...]
    n_left_out: int
    n_escalated: int
    n_revealing: int


def run(
    judges: Sequence[Judge],
    table_of: Callable[[Judge, Sequence[Scenario]], Table],
    sides: Sequence[Side],
    user: User,
    budget: int,
    options: Options,
    progress: Progress = lambda what, done: None,
) -> Evaluation:
    """Evaluate every method under each of `judges`, and the variations under the first few.

    `table_of`: the path table of a judge and train scenarios. `sides`: the folds, whose test people differ.
    """
    test = [scenario for side in sides for scenario in side.test]
    profiles = numbered(test)
    frames, varied, tables = [], list[pd.DataFrame](), list[Table]()
    for k, judge in enumerate(judges):
        names = options.variations if k < options.variation_seeds else ()
        start = 0
        for side in sides:
            own = profiles[start : start + len(side.test)]
            start += len(side.test)
            table = table_of(judge, side.train)
            tables.append(table)
            setting = Setting(
                judge, *side, budget, Answers(user, side.test), options.seed, options.report_samples,
                int(getattr(judge, "model_seed", k)),
            )  # fmt: skip
            scores, memory = _plans(setting, table, options)
            frames.append(evaluate(setting, lineup(setting, scores, memory, options), own))
            progress("methods", 1)
            for variation in variations(names, setting, scores, memory, options):
                varied.append(_varied(variation, own))
                progress("variations", 0)
    return Evaluation(
        pd.concat(frames, ignore_index=True),
        pd.concat(varied, ignore_index=True) if varied else None,
        tuple(dict.fromkeys(table.source for table in tables)),
        max(table.n_left_out for table in tables),
        sum(default_detector().check(s.query) is not None for s in test),
        sum(bool(default_reader().reveals(s.query, s.schema)) for s in test),
    )


def _plans(setting: Setting, table: Table, options: Options) -> tuple[TrainScores, Memory]:
    """Return what the policies know: scores of the people that the table is about, and the memory of it."""
    planned = set(table.table.table["scenario_id"].to_pylist())
    people = [s for s in setting.train if s.id in planned] or setting.train
    scores = TrainScores(people, setting.judge, setting.budget, options.unit_costs)
    trees = seen_trees(scores, options.value_cost, options.min_profiles) if setting.enumerable else None
    return scores, remember(setting, scores, table.table, options, trees, table.source)


def _varied(variation: Variation, profiles: Sequence[int]) -> pd.DataFrame:
    rows = evaluate(variation.setting, variation.methods, [profiles[i] for i in variation.rows])
    rows.insert(0, "setting", variation.value)
    rows.insert(0, "variation", variation.variation)
    return rows


def numbered(scenarios: Sequence[Scenario]) -> list[int]:
    """Return the number of each scenario's profile: 0, 1, ... in the order of first appearance."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(scenario.profile, len(numbers)) for scenario in scenarios]
