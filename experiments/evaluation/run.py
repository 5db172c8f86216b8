"""Runs an evaluation: for each draw of the judge, plans for train people, then talks with test people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from envs import Judge, Scenario
from envs.judges.protocol import describe
from envs.users import User
from experiments.evaluation.methods.compared_methods import MethodOptions, absent, compared_methods, remember
from experiments.evaluation.methods.population_plans import seen_trees
from experiments.evaluation.methods.trajectories import Method
from experiments.evaluation.path_tables import Table
from experiments.evaluation.results import converse, evaluate, needed
from experiments.evaluation.setting import Answers, Setting, TrainScores
from experiments.evaluation.variations import VARIATIONS, Variation, variations
from policies.plan_index import PlanIndex
from policies.understanding.detector import default_detector
from policies.understanding.reader import default_reader

Progress = Callable[[int, str], None]
"""(how many more steps are finished, what is done now)."""
BeforeScoring = Callable[[int], None]
"""Called with how many judge calls the methods of one judge take, before any of them is made."""


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
    n_evaluations, unscored : verdicts on the methods' sets, and how many gave no score, by reason (none of a
        simulated judge)
    absent : a line for each kind of methods that could not be held, with the reason
    """

    results: pd.DataFrame
    varied: pd.DataFrame | None
    sources: tuple[str, ...]
    n_left_out: int
    n_escalated: int
    n_revealing: int
    n_evaluations: int = 0
    unscored: Mapping[str, int] = field(default_factory=dict)
    absent: tuple[str, ...] = ()


def run(
    judges: Sequence[Judge],
    table_of: Callable[[Judge, Sequence[Scenario]], Table],
    sides: Sequence[Side],
    user: User,
    budget: int,
    options: MethodOptions,
    progress: Progress = lambda steps, stage: None,
    before_scoring: BeforeScoring = lambda judge_calls: None,
) -> Evaluation:
    """Evaluate every method under each of `judges`, and the variations under the first few.

    `table_of`: the path table of a judge and train scenarios. `sides`: the folds, whose test people differ.
    """
    test = [scenario for side in sides for scenario in side.test]
    frames, varied, tables, settings = [], list[pd.DataFrame](), list[Table](), list[Setting]()
    for k, setting, profiles in _settings(judges, sides, user, budget, options):
        settings.append(setting)
        tables.append(table_of(setting.judge, setting.train))
        progress(0, "methods")
        scores, plan_index = _plans(setting, tables[-1], options)
        methods = compared_methods(setting, scores, plan_index, options, tables[-1].trees is not None)
        frames.append(_rows(setting, methods, profiles, options.n_at_once, before_scoring))
        for name in _varied_under(k, options):
            progress(1, f"variation {name}")
            for variation in variations((name,), setting, scores, plan_index, options):
                varied.append(_varied(variation, profiles, options.n_at_once))
        progress(1, "methods")
    reasons = sum((setting.true.reasons for setting in settings), Counter[str]())
    return Evaluation(
        pd.concat(frames, ignore_index=True),
        pd.concat(varied, ignore_index=True) if varied else None,
        tuple(dict.fromkeys(table.source for table in tables)),
        max(table.n_left_out for table in tables),
        sum(default_detector().check(s.query) is not None for s in test),
        sum(bool(default_reader().reveals(s.query, s.schema)) for s in test),
        sum(setting.true.n_evaluations for setting in settings),
        dict(reasons.most_common()),
        tuple(absent(settings[0], options, tables[0].trees is not None)),
    )


def steps_of(judges: Sequence[Judge], sides: Sequence[Side], options: MethodOptions) -> int:
    """Return how many steps `run` tells its progress: a round of all methods, and one a variation."""
    return len(sides) * sum(1 + len(_varied_under(k, options)) for k in range(len(judges)))


def _varied_under(k: int, options: MethodOptions) -> list[str]:
    """Return the variations that are run under judge number `k`, in the order of their rows."""
    return [v for v in VARIATIONS if v in options.variations] if k < options.variation_seeds else []


def _settings(
    judges: Sequence[Judge], sides: Sequence[Side], user: User, budget: int, options: MethodOptions
) -> Iterator[tuple[int, Setting, list[int]]]:
    """Yield (number of the judge, setting, its test people's numbers) for each judge and side."""
    profiles = numbered([scenario for side in sides for scenario in side.test])
    for k, judge in enumerate(judges):
        start = 0
        for side in sides:
            answers = Answers(user, side.test)
            own = describe(judge).model_seed
            seed = k if own is None else own
            setting = Setting(judge, *side, budget, answers, options.seed, options.report_samples, seed)
            yield k, setting, profiles[start : start + len(side.test)]
            start += len(side.test)


def _plans(setting: Setting, table: Table, options: MethodOptions) -> tuple[TrainScores, PlanIndex]:
    """Return what the policies know: scores of the people that the table is about, and the index of it."""
    planned = set(table.table.table["scenario_id"].to_pylist())
    people = [s for s in setting.train if s.id in planned] or setting.train
    scores = TrainScores(people, setting.judge, setting.budget, options.unit_costs)
    trees = table.trees
    if trees is None and setting.enumerable:
        trees = seen_trees(scores, options.value_cost, options.min_profiles)
    return scores, remember(setting, scores, table.table, options, trees, table.source)


def _rows(
    setting: Setting,
    methods: Sequence[Method],
    profiles: Sequence[int],
    n_at_once: int,
    before_scoring: BeforeScoring = lambda judge_calls: None,
) -> pd.DataFrame:
    """Return the rows of `methods`: first all conversations, then all scores that these need."""
    talks = converse(setting, methods, n_at_once)
    if not setting.true.exact:
        before_scoring(setting.true.n_samples * sum(map(len, needed(talks, len(setting.test)))))
    return evaluate(setting, methods, profiles, talks)


def _varied(variation: Variation, profiles: Sequence[int], n_at_once: int) -> pd.DataFrame:
    own = [profiles[i] for i in variation.rows]
    rows = _rows(variation.setting, variation.methods, own, n_at_once)
    rows.insert(0, "setting", variation.value)
    rows.insert(0, "variation", variation.variation)
    return rows


def numbered(scenarios: Sequence[Scenario]) -> list[int]:
    """Return the number of each scenario's profile: 0, 1, ... in the order of first appearance."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(scenario.profile, len(numbers)) for scenario in scenarios]
