"""Plan a path of questions for every scenario: `python -m experiments.train_mcts budget=4`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario
from envs.judges.made_up import made_up, made_up_fields, made_up_line
from envs.judges.protocol import describe
from envs.loading import ScenarioSet, StoredScenarios
from envs.part_books import booked
from envs.schema import FILE_NAME as SCHEMA
from envs.schema.schema_file import write_schema
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.judging.panel_figures import panel_lines, planned_panel_figures
from experiments.runs import build
from experiments.runs.config import budget_of
from experiments.runs.cost_estimate import Spending, spending
from experiments.runs.failures import FILE_NAME as FAILURES
from experiments.runs.failures import FailuresFile, reason_lines
from experiments.runs.folders import start_run
from experiments.runs.plan_journal import FILE_NAME as JOURNAL
from experiments.runs.plan_journal import Journal
from experiments.runs.progress import Progress, usage
from experiments.runs.provenance import config_dict, fingerprint, provenance
from experiments.runs.summary import (
    DomainRow,
    RunFigures,
    domain_table,
    files_table,
    spent,
    unread,
    warn_of_left_out,
)
from experiments.runs.tracking import FailSafe, TableRows, Tracker, paths_without_queries
from search.path_table import COLUMNS, PathTable, save_groups
from search.path_table import FILE_NAME as TABLE
from search.plan_lines import PlanTotals, in_order
from search.planning import PlanOptions, Prior
from search.problem import Searcher, describe_searcher
from search.rollouts import Parallel, plan, plan_batches

SUMMARY = "summary.json"


class _TrainParts(NamedTuple):
    """What a run is made of, built and checked. `cfg`: with the search that `auto` stands for."""

    cfg: DictConfig
    scenarios: ScenarioSet
    judge: Judge
    prior: Prior | None
    searcher: Searcher
    parallel: Parallel
    tracking: Tracker
    options: PlanOptions


def prepare(cfg: DictConfig) -> _TrainParts:
    """Build all that a run of `cfg` needs, and write nothing.

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    budget = budget_of(cfg)
    scenarios = build.build_scenarios(cfg, stored=True)
    judge, prior = build.build_judge(cfg), build.build_prior(cfg)
    cfg = build.with_search(cfg, judge, prior)
    searcher = build.build_searcher(cfg)
    parallel, tracking = build.build_parallel(cfg), FailSafe(build.build_tracking(cfg))
    options = PlanOptions(
        budget=budget,
        seed=cfg.seed,
        cost_weight=cfg.cost_weight,
        dropout=cfg.dropout,
        report_samples=cfg.report_samples,
        max_judge_calls=cfg.search.max_judge_calls,
        prior=prior,
    )
    plan((), judge, searcher, budget, wave=cfg.search.wave)  # refuses what it would refuse later, by a folder
    return _TrainParts(cfg, scenarios, judge, prior, searcher, parallel, tracking, options)


def train(cfg: DictConfig) -> float:
    """Plan all scenarios of `cfg` and return the mean score after the path (the objective of a sweep).

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when every scenario failed.
    """
    started = time.perf_counter()
    console = Console()
    cfg, scenarios, judge, prior, searcher, parallel, tracking, options = prepare(cfg)
    if cfg.dry_run:
        takes = spending(scenarios.scenarios, options, searcher, judge, prior)
        console.print(takes.dry_run(scenarios.n_bad), highlight=False, soft_wrap=True)
        return math.nan
    stored = scenarios.scenarios
    assert isinstance(stored, StoredScenarios)  # noqa: S101 - `prepare` has asked for them
    schema = stored.schema
    config = config_dict(cfg, options.budget)
    folder = Path(cfg.output_dir)
    learns = describe_searcher(searcher).fit is not None
    print_of = fingerprint(config, scenarios.sha256, judge, prior)
    with (
        Journal(folder, print_of, cfg.resume, learns) as journal,
        FailuresFile(folder / FAILURES) as failures,
    ):
        start_run(cfg, resumed=bool(journal.totals.plans))
        failures.begin(unread(scenarios))
        write_schema(folder / SCHEMA, schema)
        warn_of_left_out(schema)
        todo = stored.chosen(~np.isin(stored.keys, journal.done_keys))
        takes = spending(todo, options, searcher, judge, prior)
        _tell_spending(console, takes)
        begun = _preflight((judge, prior), folder, stored)
        tracking.start(config, folder)
        live = _Live(journal.totals, failures, (judge, prior))
        progress = Progress(
            "planned",
            "scenarios",
            len(stored),
            live.totals.plans,
            tracker=tracking,
            live=live.figures,
            requests=takes.expected.requests,
        )
        running = plan_batches(
            stored if learns else todo,
            judge,
            searcher,
            options,
            parallel,
            wave=cfg.search.wave,
            done=journal.done,
        )
        with closing(running), progress:  # an interrupt must stop the workers as well
            for batch in running:
                journal.add(batch)
                failures.add(batch.failures)
                progress.total -= len(batch.failures)
                live.totals = live.totals.plus(batch.totals)
                progress.advance(batch.totals.plans)
        figures = RunFigures()
        made_by = provenance(config, scenarios.source, scenarios.sha256, judge, prior)
        groups = figures.counted(in_order(journal.blocks(), stored.keys))
        save_groups((rows.select(list(COLUMNS)) for rows in groups), made_by, folder / TABLE)
    n_failed = failures.n + scenarios.n_unlisted
    simulated = describe(judge).simulated
    summary = figures.summary(n_failed, time.perf_counter() - started, simulated, schema.left_out)
    summary |= made_up_fields(made_up(judge, schema))
    summary["requests"] += begun
    if (panel := planned_panel_figures(judge, stored, folder / TABLE)) is not None:
        summary["panel"] = panel
    summary |= spent(booked(judge, prior))
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    by_domain = figures.by_domain()
    _show(
        console,
        folder,
        by_domain,
        summary,
        reason_lines(failures.reasons, scenarios.n_unlisted, scenarios.source),
    )
    tracking.finish(
        {name: value for name, value in summary.items() if name != "spending"},
        {"by_domain": _domain_rows(by_domain), **_spending_rows(summary)},
        lambda: _drawings(PathTable.load(folder), schema.names),
        lambda: {"paths": paths_without_queries(PathTable.load(folder), folder)},
    )
    if not figures.n:
        raise NothingPlannedError(f"none of {failures.n} scenarios was planned, see {folder / FAILURES}")
    return float(summary["mean_score_path"])


class _Live:
    """What a run has come to, for its progress; `totals` is replaced as a whole: another thread shows it."""

    def __init__(self, resumed: PlanTotals, failures: FailuresFile, parts: Sequence[object]) -> None:
        self.totals = resumed
        self._resumed = resumed.requests
        self._failures = failures
        self._parts = parts

    def figures(self) -> dict[str, float]:
        """Return the figures; plans under way are in what judge and prior have taken."""
        totals, taken = self.totals, usage(*self._parts)
        requests = int(taken.get("requests", 0))
        if not booked(*self._parts):  # books hold what workers and earlier sessions took
            requests = max(totals.requests, self._resumed + requests)
        found: dict[str, float] = {
            "failed": self._failures.n,
            "judge_calls": totals.judge_calls,
            **taken,
            "requests": requests,
        }
        score = {"mean_score": totals.score / totals.plans} if totals.plans else {}
        return {name: n for name, n in found.items() if n} | score


def _preflight(parts: Sequence[object], folder: Path, scenarios: Sequence[Scenario]) -> int:
    """Let judge and prior find out what cannot work before workers start; return their requests."""
    requests = 0
    for told in map(describe, parts):
        before = told.counts().requests
        if told.preflight is not None and scenarios:
            told.preflight(folder, scenarios[0])
        requests += told.counts().requests - before
    return requests


def _tell_spending(console: Console, takes: Spending) -> None:
    if takes.spends:
        console.print(takes.first_line(), highlight=False, soft_wrap=True)


def _show(
    console: Console, folder: Path, rows: Sequence[DomainRow], summary: dict[str, Any], failed: Sequence[str]
) -> None:
    if rows:
        simulated = summary["judge_is_simulated"]
        console.print(domain_table(rows, str(summary["judge"]), simulated))
    console.print(
        f"planned {summary['n_planned']:,} of {summary['n_scenarios']:,} scenarios, "
        f"{summary['judge_calls']:,} judge calls, {summary['wall_s']:.1f} s",
        highlight=False,
    )
    made_up_said = made_up_line(summary.get("made_up_attributes", ()))
    for line in (*failed, *panel_lines(summary.get("panel")), *([made_up_said] if made_up_said else [])):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    files = [
        (TABLE, "the path table, one row a scenario"),
        (SUMMARY, "the figures of the run"),
        (JOURNAL, "each plan, with what was weighed (experiments.show)"),
        (SCHEMA, "what may be asked"),
        (FAILURES, "scenarios that could not be planned, with the reason"),
    ]
    console.print(files_table(folder, files), highlight=False, markup=False, soft_wrap=True)


def _spending_rows(summary: Mapping[str, Any]) -> dict[str, TableRows]:
    rows = summary.get("spending")
    return {"spending": (list(rows[0]), [list(row.values()) for row in rows])} if rows else {}


def _domain_rows(rows: Sequence[DomainRow]) -> tuple[list[str], list[list[Any]]]:
    columns = ["domain", "scenarios", "score_empty", "score_path", "score_full", "questions", "asked_first"]
    return columns, [
        [r.domain, r.n, r.empty, r.path, r.full, r.length, r.first[0][0] if r.first else None] for r in rows
    ]


def _drawings(table: PathTable, names: Sequence[str]) -> dict[str, str]:
    """Return for a tracker which attribute is planned at which position, by domain."""
    if not len(table):
        return {}
    import pandas as pd

    from experiments.evaluation.report.drawings import heat_map

    columns = table.table.select(["domain", "path"]).to_pydict()
    asked = pd.DataFrame({"domain": columns["domain"], "asked": columns["path"]})
    return {"planned_paths": heat_map("planned paths", asked, names, table.table["budget"][0].as_py()).svg}


main = entry_point("train_mcts", prepare)(train)

if __name__ == "__main__":
    main()
