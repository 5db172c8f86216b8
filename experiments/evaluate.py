"""Measure policies on people they were not planned for: `python -m experiments.evaluate`."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario
from envs.judges.made_up import made_up
from envs.judges.protocol import describe
from envs.part_books import booked, keep_books
from envs.users import User
from experiments.console.entry_point import entry_point
from experiments.evaluation import cost_parts
from experiments.evaluation.built_parts import judges_of, options_of, understanding_of, user_of
from experiments.evaluation.kept import EvaluationJournal, asked_itself
from experiments.evaluation.methods.baselines import VANILLA
from experiments.evaluation.methods.compared_methods import CHOSEN, MethodOptions, policy_in_words
from experiments.evaluation.methods.models import (
    asked_of,
    preflight,
    requests_of,
    target_of,
    understanding_nodes,
)
from experiments.evaluation.path_tables import (
    Stored,
    Table,
    files_of,
    people_of,
    plan_table,
    planned_once,
    stored_plans,
    without_test_people,
)
from experiments.evaluation.report import output
from experiments.evaluation.run import Side, planned_for, run, steps_of
from experiments.evaluation.setting import spread
from experiments.evaluation.sides import side_of, sides_of, with_enough_to_test
from experiments.evaluation.understanding import Understanding
from experiments.judging.method_corrections import (
    LabelFile,
    corrected_methods,
    labels_for,
    labels_spending,
    show_corrected,
)
from experiments.judging.panel_figures import evaluated_panel, show_panel
from experiments.runs import build
from experiments.runs.config import budget_of
from experiments.runs.cost_estimate import spending as spending_of_plans
from experiments.runs.folders import output_folder, start_run
from experiments.runs.journal import UnitJournal
from experiments.runs.progress import Progress, usage
from experiments.runs.provenance import config_dict, digest, fingerprint
from experiments.runs.summary import spent
from experiments.runs.tracking import FailSafe, Tracker
from experiments.stats import check_bootstrap
from search.planning import PlanOptions, ScenarioPlan
from search.problem import Searcher, describe_searcher
from search.rollouts import Parallel, plan


class _EvaluationParts(NamedTuple):
    """What an evaluation is made of, built and checked. `cfg`: with the search that `auto` stands for."""

    cfg: DictConfig
    sides: list[Side]
    source: str
    sha256: str
    judges: list[Judge]
    user: User
    understanding: Understanding
    tracking: Tracker
    options: MethodOptions
    stored: Stored | None
    table: Table | None
    planned: list[list[Scenario]]
    searcher: Searcher
    parallel: Parallel
    labels: LabelFile | None


def prepare(cfg: DictConfig) -> _EvaluationParts:
    """Build all that an evaluation of `cfg` needs, and write nothing.

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    budget = budget_of(cfg)
    check_bootstrap(cfg.draws, cfg.level)
    cfg = with_enough_to_test(cfg)
    sides, source, sha256 = sides_of(cfg)
    judges, user, tracking = judges_of(cfg), user_of(cfg), FailSafe(build.build_tracking(cfg))
    cfg = build.with_search(cfg, judges[0], None)
    options, searcher = options_of(cfg), build.build_searcher(cfg)
    plan((), judges[0], searcher, budget, wave=cfg.search.wave)  # refuses what it would refuse later
    stored = stored_plans(cfg, budget, sha256)
    table = None if stored is None else _of_others(cfg, stored)
    planned = planned_for(sides, cfg.table_size) if stored is None else []
    parallel = build.build_parallel(cfg)
    people = {s.id: s for side in sides for s in (*side.train, *side.test)}
    labels = labels_for(cfg.labels, judges[0], list(people.values()))
    return _EvaluationParts(
        cfg, sides, source, sha256, judges, user, understanding_of(cfg), tracking, options, stored, table,
        planned, searcher, parallel, labels,
    )  # fmt: skip


def evaluate(cfg: DictConfig) -> float:
    """Evaluate all methods of `cfg`; return the mean score of the chosen policy (the objective of a sweep).

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when no set was scored.
    """
    started, console, parts = time.perf_counter(), Console(), prepare(cfg)
    cfg, judges = parts.cfg, parts.judges
    tested = [scenario for side in parts.sides for scenario in side.test]
    _tell_costs(parts, tested, console)
    if cfg.dry_run:
        return math.nan
    config, folder = config_dict(cfg, budget_of(cfg)), Path(cfg.output_dir)
    with UnitJournal(folder, _fingerprint(parts, config), cfg.resume) as units:
        start_run(cfg, resumed=bool(units.done))
        preflight(judges[0], folder, tested)
        _keep_books(folder, parts)
        parts.tracking.start(config, folder)
        report = _report(parts, units, console)
    summary = {
        **report.summary(),
        **evaluated_panel(judges[0], tested),
        "config": config,
        "requests": requests_of(judges, parts.options.chats, parts.user),
        **spent(booked(*judges, *_others(parts))),
    }
    rows, samples = report.comparison.rows, cfg.report_samples
    corrected = corrected_methods(judges[0], parts.labels, rows, VANILLA, samples, cfg.level)
    summary |= {"corrected": output.plain_json(corrected)} if corrected else {}
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    report.write(folder, summary)
    report.show(console, folder, summary)
    show_corrected(corrected, VANILLA, folder, console)
    show_panel(summary, console)
    parts.tracking.finish(report.headline(), report.tables(), report.drawings)
    return report.score(CHOSEN)


def _report(parts: _EvaluationParts, units: UnitJournal, console: Console) -> output.Report:
    """Run what `units` does not hold, and return the report on all."""
    judges, sides, options = parts.judges, parts.sides, parts.options
    steps = steps_of(judges, sides, options) + 1  # the last one is the report
    live = partial(usage, *judges, *_others(parts))
    journal = EvaluationJournal(units, counts_prompts=bool(options.chats))
    with Progress("evaluated", "steps", steps, tracker=parts.tracking, live=live) as progress:
        found = run(
            journal.judges(judges),
            _tables(parts, journal, progress),
            sides,
            parts.user,
            budget_of(parts.cfg),
            options,
            progress.advance,
            lambda calls: console.print(f"scoring: {calls:,} judge calls", highlight=False),
            parts.understanding,
            journal.rows,
        )
        progress.advance(0, "report")
        report = output.Report(found, _about(parts))
        progress.advance()
    return report


def _others(parts: _EvaluationParts) -> tuple[object, ...]:
    """Return what may ask models beside the judges: who chooses or rates, who is asked, who reads."""
    understanding = parts.understanding
    return *parts.options.chats, parts.user, understanding.reader, understanding.detector


def _keep_books(folder: Path, parts: _EvaluationParts) -> None:
    """Let all but the first judge go on from earlier sessions; a second `chat` has a folder of its own."""
    chats = parts.options.chats
    keep_books(folder, *parts.judges[1:], *(other for other in _others(parts) if other not in chats[1:]))
    for n, chat in enumerate(chats[1:], 2):
        keep_books(output_folder(folder / f"chat_{n}"), chat)


def _fingerprint(parts: _EvaluationParts, config: dict[str, Any]) -> str:
    """Return a hash of all that determines the rows and the report."""
    labels = [] if config["labels"] is None else [Path(config["labels"])]
    read = digest([*files_of(config["paths"]), *labels])
    return fingerprint(config, parts.sha256 + read, parts.judges[0])


def _tell_costs(parts: _EvaluationParts, tested: Sequence[Scenario], console: Console) -> None:
    cfg, takes = parts.cfg, _spending(parts, tested)
    readers = [str(node.model) for node in understanding_nodes(cfg) if "model" in node]
    if takes or readers or cfg.dry_run:
        said = cost_parts.message(takes, cfg.dry_run, readers)
        console.print(said, highlight=False, soft_wrap=True)
    if parts.labels is not None:
        told = labels_spending(parts.judges[0], parts.labels, cfg.report_samples)
        console.print(told, highlight=False, soft_wrap=True)


def _spending(parts: _EvaluationParts, tested: Sequence[Scenario]) -> list[cost_parts.Part]:
    options, budget = parts.options, budget_of(parts.cfg)
    planned = [scenario for fold in parts.planned for scenario in fold]
    planning = None
    if planned:
        calls = parts.cfg.search.max_judge_calls
        plans = PlanOptions(budget=budget, report_samples=options.report_samples, max_judge_calls=calls)
        planning = spending_of_plans(planned, plans, parts.searcher, parts.judges[0])
    return cost_parts.parts(tested, budget, options, parts.judges, planning, parts.user)


def _about(parts: _EvaluationParts) -> output.About:
    cfg, sides, judge = parts.cfg, parts.sides, parts.judges[0]
    return output.About(
        judge=describe(judge).name,
        simulated=describe(judge).simulated,
        scenarios=parts.source,
        budget=budget_of(cfg),
        names=sides[0].test[0].schema.names,
        n_train=min(len(side.train) for side in sides),
        folds=cfg.folds,
        value_cost=cfg.value_cost,
        seed=cfg.seed,
        draws=cfg.draws,
        level=cfg.level,
        target=target_of(judge),
        asked=asked_of(parts.options.chats),
        made_up_attributes=made_up(judge, sides[0].test[0].schema),
        policy=policy_in_words(parts.options.policy),
        about_trees="" if parts.stored is None else parts.stored.about_trees,
    )


def _tables(
    parts: _EvaluationParts, journal: EvaluationJournal, progress: Progress
) -> Callable[[Judge, Sequence[Scenario]], Table]:
    """Return what gives a judge's path table: a stored one without the test people, or one planned now."""
    cfg, folds, table = parts.cfg, parts.planned, parts.table
    if table is not None:
        return lambda judge, train: table
    once = len(folds) > 1 and describe_searcher(parts.searcher).fit is None  # no plan depends on another
    ids = [scenario.id for fold in folds for scenario in fold]
    progress.total += len(parts.judges) * len(set(ids) if once else ids)
    numbers = itertools.count()

    def planned(judge: Judge, scenarios: Sequence[Scenario]) -> Table:
        place = str(next(numbers))
        done = journal.plans(place)
        progress.advance(len(done), "plans")

        def keep(plan: ScenarioPlan) -> None:
            journal.add_plan(place, plan)
            progress.advance()

        return plan_table(
            scenarios,
            asked_itself(judge),
            parts.searcher,
            budget_of(cfg),
            cfg.seed,
            parts.parallel,
            on_plan=keep,
            done=done,
            report_samples=cfg.report_samples,
            max_judge_calls=cfg.search.max_judge_calls,
            wave=cfg.search.wave,
        )

    if once:
        return planned_once(planned, folds)
    return lambda judge, train: planned(judge, spread(train, len(folds[0])))


def _of_others(cfg: DictConfig, stored: Stored) -> Table:
    """Return a stored table without the rows about test people, those that are not tested now as well."""
    people = side_of(cfg, "test", whole=True).scenarios
    planned = people_of(stored.table, people[0].schema)
    return without_test_people(stored.table, stored.source, people, stored.trees, planned)


main = entry_point("evaluate", prepare)(evaluate)

if __name__ == "__main__":
    main()
