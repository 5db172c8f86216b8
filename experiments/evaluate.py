"""Measure policies on people they were not planned for: `python -m experiments.evaluate`."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario, UserError
from envs.judges.protocol import describe
from envs.loading import ScenarioSet, person_share
from envs.users import PersonUser, User
from experiments.console.entry_point import entry_point
from experiments.evaluation import cost_parts
from experiments.evaluation.methods.compared_methods import CHOSEN, MethodOptions
from experiments.evaluation.methods.models import (
    asked_of,
    paid_for_is_kept,
    preflight,
    requests_of,
    target_of,
    with_cached_chats,
)
from experiments.evaluation.path_tables import (
    Stored,
    Table,
    plan_table,
    planned_once,
    spread,
    stored_plans,
    without_test_people,
)
from experiments.evaluation.report import output
from experiments.evaluation.run import Side, run, steps_of
from experiments.evaluation.variations import check
from experiments.runs import build
from experiments.runs.config import budget_of
from experiments.runs.cost_estimate import spending as spending_of_plans
from experiments.runs.folders import start_run
from experiments.runs.progress import Progress, usage
from experiments.runs.provenance import config_dict
from experiments.runs.tracking import FailSafe
from search.planning import PlanOptions
from search.problem import describe_searcher


def evaluate(cfg: DictConfig) -> float:
    """Evaluate all methods of `cfg`; return the mean score of the chosen policy (the objective of a sweep).

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when no set was scored.
    """
    with paid_for_is_kept():
        return _evaluate(cfg)


def _evaluate(cfg: DictConfig) -> float:
    started = time.perf_counter()
    budget = budget_of(cfg)
    console = Console()
    sides, source, sha256 = _sides(cfg)
    tested = [scenario for side in sides for scenario in side.test]
    judges, user, tracking = _judges(cfg), _user(cfg), FailSafe(build.build_tracking(cfg))
    cfg = build.with_search(cfg, judges[0], None)
    options = _options(cfg)
    stored = stored_plans(cfg, budget, sha256)
    planned = [] if stored else [s for fold in _planned(cfg, sides) for s in fold]
    takes = _spending(cfg, budget, planned, tested, judges, options)
    if takes or cfg.dry_run:
        console.print(cost_parts.message(takes, cfg.dry_run), highlight=False, soft_wrap=True)
    if cfg.dry_run:
        return math.nan
    config = config_dict(cfg, budget)
    folder = start_run(cfg)
    preflight(judges[0], folder, tested)
    tracking.start(config, folder)
    models = [*judges, *options.chats]
    steps = steps_of(judges, sides, options) + 1  # the last one is the report
    with Progress("evaluated", "steps", steps, tracker=tracking, live=lambda: usage(*models)) as progress:
        tables = _tables(cfg, stored, sides, budget, len(judges), progress)
        found = run(
            judges, tables, sides, user, budget, options, progress.advance,
            lambda calls: console.print(f"scoring: {calls:,} judge calls", highlight=False),
        )  # fmt: skip
        progress.advance(0, "report")
        about = _about(cfg, judges[0], source, sides, budget, options, stored)
        report = output.Report(found, about)
        summary = {**report.summary(), "config": config, "requests": requests_of(judges, options.chats)}
        summary["wall_s"] = round(time.perf_counter() - started, 3)
        report.write(folder, summary)
        progress.advance()
    report.show(console, folder, summary)
    tracking.finish(report.headline(), report.tables(), report.drawings)
    return report.score(CHOSEN)


def _spending(
    cfg: DictConfig,
    budget: int,
    planned: Sequence[Scenario],
    tested: Sequence[Scenario],
    judges: Sequence[Judge],
    options: MethodOptions,
) -> list[cost_parts.Part]:
    planning = None
    if planned:
        calls = cfg.search.max_judge_calls
        plans = PlanOptions(budget=budget, report_samples=options.report_samples, max_judge_calls=calls)
        planning = spending_of_plans(planned, plans, build.build_searcher(cfg), judges[0])
    return cost_parts.parts(tested, budget, options, judges, planning)


def _about(
    cfg: DictConfig,
    judge: Judge,
    source: str,
    sides: Sequence[Side],
    budget: int,
    options: MethodOptions,
    stored: Stored | None,
) -> output.About:
    return output.About(
        judge=describe(judge).name,
        simulated=describe(judge).simulated,
        scenarios=source,
        budget=budget,
        names=sides[0].test[0].schema.names,
        n_train=min(len(side.train) for side in sides),
        folds=cfg.folds,
        value_cost=cfg.value_cost,
        seed=cfg.seed,
        draws=cfg.draws,
        level=cfg.level,
        target=target_of(judge),
        asked=asked_of(options.chats),
        about_trees="" if stored is None else stored.about_trees,
    )


def _user(cfg: DictConfig) -> User:
    user = build.build_users(cfg)
    if isinstance(user, PersonUser):
        raise UserError("users: found person, expected one that answers from profiles (profile, scripted)")
    return user


def _options(cfg: DictConfig) -> MethodOptions:
    check(cfg.variations)
    cached = with_cached_chats(cfg)
    return MethodOptions(
        build.build_policy(cached),
        build.build_embedding(cfg),
        value_costs=tuple(cfg.value_costs),
        value_cost=cfg.value_cost,
        min_profiles=cfg.min_profiles,
        other_domains=cfg.other_domains,
        unit_costs=cfg.unit_costs,
        seed=cfg.seed,
        report_samples=cfg.report_samples,
        variations=tuple(cfg.variations),
        variation_seeds=cfg.variation_seeds,
        chat=build.build_chat(cfg),
    )


def _sides(cfg: DictConfig) -> tuple[list[Side], str, str]:
    """Return who is planned for and who is asked, once or in each fold; the scenarios' file and its SHA-256.

    In folds every person is asked once, with the plans made for all the others.

    Raises
    ------
    UserError
        fewer than two folds have people.
    """
    if cfg.folds < 1:
        raise UserError(f"folds: found {cfg.folds}, expected an integer >= 1")
    if cfg.folds == 1:
        train, test = _side(cfg, "train"), _side(cfg, "test")
        return [Side(train.scenarios, spread(test.scenarios, cfg.test_size))], test.source, test.sha256
    whole = _side(cfg, "all")
    fold_of = {
        s.id: int(person_share(s.profile, cfg.scenarios.split_seed) * cfg.folds) for s in whole.scenarios
    }
    tested = spread(whole.scenarios, cfg.test_size)
    folds = [
        Side([s for s in whole.scenarios if fold_of[s.id] != k], [s for s in tested if fold_of[s.id] == k])
        for k in range(cfg.folds)
    ]
    sides = [side for side in folds if side.train and side.test]
    if len(sides) < 2:
        raise UserError(f"folds: found {cfg.folds} of too few people for two that have any, expected 1")
    return sides, whole.source, whole.sha256


def _side(cfg: DictConfig, split: str, whole: bool = False) -> ScenarioSet:
    """Return one side of the split, at most `scenarios.limit` scenarios of it unless `whole`."""
    if cfg.scenarios.split != "all":
        raise UserError(
            f"scenarios.split: found {cfg.scenarios.split}, expected all: an evaluation plans on train and "
            f"tests on test"
        )
    side = copy.deepcopy(cfg)
    side.scenarios.split = split
    side.scenarios.limit = None if whole else cfg.scenarios.limit
    return build.build_scenarios(side)


def _judges(cfg: DictConfig) -> list[Judge]:
    """Return the judge and, with `model_seeds`, further draws of it."""
    if cfg.model_seeds < 1:
        raise UserError(f"model_seeds: found {cfg.model_seeds}, expected an integer >= 1")
    if cfg.model_seeds > 1 and "model_seed" not in cfg.judge:
        raise UserError(f"model_seeds: found {cfg.model_seeds} for a judge without draws, expected 1")
    if cfg.model_seeds > 1 and cfg.paths is not None:
        raise UserError(
            "model_seeds: several draws of the judge need plans of their own, expected paths=null"
        )
    judges = [build.build_judge(cfg)]
    for k in range(1, cfg.model_seeds):
        other = copy.deepcopy(cfg)
        other.judge.model_seed += k
        judges.append(build.build_judge(other))
    return judges


def _tables(
    cfg: DictConfig,
    stored: Stored | None,
    sides: Sequence[Side],
    budget: int,
    n_judges: int,
    progress: Progress,
) -> Callable[[Judge, Sequence[Scenario]], Table]:
    """Return what gives a judge's path table: a stored one without the test people, or one planned now."""
    if stored is not None:
        people = _side(cfg, "test", whole=True).scenarios  # those that are not tested now as well
        table = without_test_people(stored.table, stored.source, people, stored.trees)
        return lambda judge, train: table
    folds = _planned(cfg, sides)
    parallel, searcher = build.build_parallel(cfg), build.build_searcher(cfg)
    once = len(folds) > 1 and describe_searcher(searcher).fit is None  # no plan depends on another
    ids = [scenario.id for fold in folds for scenario in fold]
    progress.total += n_judges * len(set(ids) if once else ids)

    def planned(judge: Judge, scenarios: Sequence[Scenario]) -> Table:
        progress.advance(0, "plans")
        return plan_table(
            scenarios,
            judge,
            searcher,
            budget,
            cfg.seed,
            parallel,
            on_plan=progress.advance,
            report_samples=cfg.report_samples,
            max_judge_calls=cfg.search.max_judge_calls,
            wave=cfg.search.wave,
        )

    if once:
        return planned_once(planned, folds)
    return lambda judge, train: planned(judge, spread(train, len(folds[0])))


def _planned(cfg: DictConfig, sides: Sequence[Side]) -> list[list[Scenario]]:
    """Return whom plans are made for in each fold: the same number, so that equal tables are compared."""
    fewest = min(len(side.train) for side in sides)
    size = fewest if cfg.table_size is None else min(cfg.table_size, fewest)
    return [spread(side.train, size) for side in sides]


main = entry_point("evaluate")(evaluate)

if __name__ == "__main__":
    main()
