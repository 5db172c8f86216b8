"""Runs an evaluation: for each draw of the judge, plans for train people, then talks with test people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import pandas as pd

from envs import Judge, Scenario
from envs.judges.protocol import describe
from envs.users import User
from experiments.evaluation.kept import KeepRows, made_now
from experiments.evaluation.methods.compared_methods import MethodOptions, absent, compared_methods, remember
from experiments.evaluation.methods.population_plans import seen_trees
from experiments.evaluation.methods.trajectories import Method
from experiments.evaluation.path_tables import Table
from experiments.evaluation.results import converse, evaluate, needed
from experiments.evaluation.setting import Answers, Setting, TrainScores, spread
from experiments.evaluation.understanding import Understanding, Understood, understood
from experiments.evaluation.variations import VARIATIONS, Variation, variations
from policies.plan_index import PlanIndex
from policies.understanding.detectors.rules_detector import default_detector
from policies.understanding.readers.rules_reader import default_reader

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
    overlap : lines on them, of stored tables
    understood : how the reader and the detector took what users say, by manner
    n_escalated, n_revealing : test queries at which the agent would not ask at all, and that tell an
        attribute
    n_searched : judge calls that static sets and the oracle were searched with, where not enumerated
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
    overlap: tuple[str, ...] = ()
    understood: tuple[Understood, ...] = ()
    n_searched: int = 0


def run(
    judges: Sequence[Judge],
    table_of: Callable[[Judge, Sequence[Scenario]], Table],
    sides: Sequence[Side],
    user: User,
    budget: int,
    options: MethodOptions,
    progress: Progress = lambda steps, stage: None,
    before_scoring: BeforeScoring = lambda judge_calls: None,
    understanding: Understanding | None = None,
    keep: KeepRows = made_now,
) -> Evaluation:
    """Evaluate every method under each of `judges`, and the variations under the first few.

    `keep`: where finished blocks of rows are kept. `table_of`: the path table of a judge and train people.
    `sides`: the folds, whose test people differ.
    `understanding`: default, the rules.
    """
    understanding = understanding or Understanding(default_reader(), default_detector())
    frames, varied, tables, settings = [], list[pd.DataFrame](), list[Table](), list[Setting]()
    for k, fold, setting, profiles in _settings(judges, sides, user, understanding, budget, options):
        settings.append(setting)
        tables.append(table_of(setting.judge, setting.train))
        progress(0, "methods")
        block = _Block(setting, profiles, tables[-1], options)
        frames.append(keep(f"{k} {fold} methods", setting, partial(block.methods, before_scoring)))
        for name in _varied_under(k, options):
            progress(1, f"variation {name}")
            rows = keep(f"{k} {fold} {name}", setting, partial(block.variation, name))
            varied += [rows] if len(rows) else []
        progress(1, "methods")
    return Evaluation(
        pd.concat(frames, ignore_index=True),
        pd.concat(varied, ignore_index=True) if varied else None,
        tuple(dict.fromkeys(table.source for table in tables)),
        max(table.n_left_out for table in tables),
        *_of_queries(understanding, sides),
        sum(setting.true.n_evaluations for setting in settings),
        dict(sum((setting.true.reasons for setting in settings), Counter[str]()).most_common()),
        tuple(absent(settings[0], options, tables[0].trees is not None)),
        tuple(dict.fromkeys(table.overlap for table in tables if table.overlap)),
        tuple(understood(settings[0].answers, understanding)),
        sum(setting.n_searched for setting in settings),
    )


@dataclass(frozen=True, eq=False)
class _Block:
    """One fold under one draw of the judge; `profiles`: the numbers of its test people."""

    setting: Setting
    profiles: Sequence[int]
    table: Table
    options: MethodOptions

    @cached_property
    def plans(self) -> tuple[TrainScores, PlanIndex]:
        """What the policies know: scores of the people that the table is about, and the index of it."""
        planned = set(self.table.table.table["scenario_id"].to_pylist())
        setting, options, trees = self.setting, self.options, self.table.trees
        people = [s for s in setting.train if s.id in planned] or setting.train
        scores = TrainScores(people, setting.judge, setting.budget, options.unit_costs)
        if trees is None and setting.enumerable:
            trees = seen_trees(scores, options.value_cost, options.min_profiles)
        return scores, remember(setting, scores, self.table.table, options, trees, self.table.source)

    def methods(self, before_scoring: BeforeScoring) -> pd.DataFrame:
        """Return the rows of all methods."""
        own = compared_methods(self.setting, *self.plans, self.options, self.table.trees is not None)
        return _rows(self.setting, own, self.profiles, self.options.n_at_once, before_scoring)

    def variation(self, name: str) -> pd.DataFrame:
        """Return the rows of all settings of one variation, empty where it has none."""
        settings = variations((name,), self.setting, *self.plans, self.options)
        frames = [_varied(one, self.profiles, self.options.n_at_once) for one in settings]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _of_queries(understanding: Understanding, sides: Sequence[Side]) -> tuple[int, int]:
    """Return of how many test queries the agent would not ask at all, and how many tell an attribute."""
    taken = understanding.of_queries(scenario for side in sides for scenario in side.test)
    return sum(danger is not None for _, danger in taken), sum(bool(values) for values, _ in taken)


def planned_for(sides: Sequence[Side], table_size: int | None) -> list[list[Scenario]]:
    """Return whom plans are made for in each fold: the same number, so that equal tables are compared."""
    fewest = min(len(side.train) for side in sides)
    size = fewest if table_size is None else min(table_size, fewest)
    return [spread(side.train, size) for side in sides]


def steps_of(judges: Sequence[Judge], sides: Sequence[Side], options: MethodOptions) -> int:
    """Return how many steps `run` tells its progress: a round of all methods, and one a variation."""
    return len(sides) * sum(1 + len(_varied_under(k, options)) for k in range(len(judges)))


def _varied_under(k: int, options: MethodOptions) -> list[str]:
    """Return the variations that are run under judge number `k`, in the order of their rows."""
    return [v for v in VARIATIONS if v in options.variations] if k < options.variation_seeds else []


def _settings(
    judges: Sequence[Judge],
    sides: Sequence[Side],
    user: User,
    understanding: Understanding,
    budget: int,
    options: MethodOptions,
) -> Iterator[tuple[int, int, Setting, list[int]]]:
    """Yield (judge's number, fold's, setting, its test people's numbers) for each judge and side."""
    profiles = numbered([scenario for side in sides for scenario in side.test])
    for k, judge in enumerate(judges):
        start = 0
        for fold, side in enumerate(sides):
            answers = Answers(user, side.test, understanding.reader, understanding.n_at_once)
            own = describe(judge).model_seed
            seed = k if own is None else own
            setting = Setting(judge, *side, budget, answers, options.seed, options.report_samples, seed)
            yield k, fold, setting, profiles[start : start + len(side.test)]
            start += len(side.test)


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
