"""Plan a path of questions for every scenario: `python -m experiments.train_mcts budget=4`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario
from envs.judges.protocol import describe
from envs.loading import ScenarioSet
from envs.schema import FILE_NAME as SCHEMA
from envs.schema_file import write_schema
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.judging.panel_figures import panel_lines, planned_panel_figures
from experiments.runs import build, terminal
from experiments.runs.config import budget_of
from experiments.runs.cost_estimate import Spending, spending
from experiments.runs.folders import start_run
from experiments.runs.journal import FILE_NAME as JOURNAL
from experiments.runs.journal import Journal
from experiments.runs.progress import Progress, booked, usage
from experiments.runs.provenance import config_dict, fingerprint, provenance
from experiments.runs.summary import by_domain, mean, spent, summarise, unread
from experiments.runs.tracking import FailSafe, TableRows, Tracker, paths_without_queries
from search.path_table import FILE_NAME as TABLE
from search.path_table import PathTable
from search.planning import Failure, PlanOptions, Prior, ScenarioPlan
from search.problem import Searcher
from search.rollouts import Parallel, plan

FAILURES = "failures.jsonl"
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
    scenarios = build.build_scenarios(cfg)
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
    schema = scenarios.scenarios[0].schema
    config = config_dict(cfg, options.budget)
    folder = Path(cfg.output_dir)
    failures = unread(scenarios)
    with Journal(folder, fingerprint(config, scenarios.sha256, judge, prior), cfg.resume) as journal:
        start_run(cfg, resumed=bool(journal.done))
        write_schema(folder / SCHEMA, schema)
        terminal.warn_of_left_out(schema)
        todo = [s for s in scenarios.scenarios if s.id not in journal.done]
        _tell_spending(console, spending(todo, options, searcher, judge, prior))
        begun = _preflight((judge, prior), folder, scenarios.scenarios)
        tracking.start(config, folder)
        plans = dict(journal.done)
        progress = Progress(
            "planned",
            "scenarios",
            len(scenarios.scenarios),
            len(plans),
            tracker=tracking,
            live=partial(_figures, plans, sum(p.requests for p in plans.values()), failures, judge, prior),
        )

        def failed(failure: Failure) -> None:
            failures.append(failure)
            progress.total -= 1

        running = plan(
            scenarios.scenarios,
            judge,
            searcher,
            options.budget,
            cfg.seed,
            parallel,
            cost_weight=cfg.cost_weight,
            dropout=cfg.dropout,
            report_samples=cfg.report_samples,
            max_judge_calls=cfg.search.max_judge_calls,
            prior=prior,
            wave=cfg.search.wave,
            done={key: done.observations for key, done in plans.items()},
            on_failure=failed,
        )
        with closing(running), progress:  # an interrupt must stop the workers as well
            for planned in running:
                journal.add(planned)
                plans[planned.scenario_id] = planned
                progress.advance()
    rows = [plans[s.id] for s in scenarios.scenarios if s.id in plans]
    simulated = describe(judge).simulated
    n_failed = len(failures) + scenarios.n_unlisted
    summary = summarise(rows, n_failed, time.perf_counter() - started, simulated, schema.left_out)
    summary["requests"] += begun
    if (panel := planned_panel_figures(judge, scenarios.scenarios, rows)) is not None:
        summary["panel"] = panel
    summary |= spent(booked(judge, prior))
    table = PathTable.from_records(rows, provenance(config, scenarios.source, scenarios.sha256, judge, prior))
    _write(folder, table, summary, failures)
    _show(console, folder, rows, summary)
    tracking.finish(
        {name: value for name, value in summary.items() if name != "spending"},
        {"by_domain": _domain_rows(rows), **_spending_rows(summary)},
        lambda: _drawings(rows, scenarios.scenarios),
        lambda: {"paths": paths_without_queries(table, folder)},
    )
    if not rows:
        raise NothingPlannedError(f"none of {len(failures)} scenarios was planned, see {folder / FAILURES}")
    return float(summary["mean_score_path"])


def _figures(
    plans: Mapping[str, ScenarioPlan], resumed: int, failures: Sequence[Failure], *parts: object
) -> dict[str, float]:
    """Return what a run has come to. `resumed`: requests of an earlier one; `parts`: judge and prior."""
    rows = list(plans.values())  # a copy: another thread shows them while more come in
    taken = usage(*parts)  # plans under way included; without books of this process and session alone
    requests = int(taken.get("requests", 0))
    if not booked(*parts):
        requests = max(sum(p.requests for p in rows), resumed + requests)
    found: dict[str, float] = {
        "failed": len(failures),
        "judge_calls": sum(p.judge_calls for p in rows),
        **taken,
        "requests": requests,
    }
    score = mean([p.score for p in rows])
    return {name: n for name, n in found.items() if n} | ({} if score is None else {"mean_score": score})


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


def _write(folder: Path, table: PathTable, summary: dict[str, Any], failures: Sequence[Failure]) -> None:
    lines = [json.dumps(vars(failure), ensure_ascii=False) + "\n" for failure in failures]
    (folder / FAILURES).write_text("".join(lines), encoding="utf-8")
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    table.save(folder / TABLE)


def _show(console: Console, folder: Path, rows: Sequence[ScenarioPlan], summary: dict[str, Any]) -> None:
    if rows:
        simulated = summary["judge_is_simulated"]
        console.print(terminal.domain_table(by_domain(rows), str(summary["judge"]), simulated))
    console.print(
        f"planned {summary['n_planned']:,} of {summary['n_scenarios']:,} scenarios, "
        f"{summary['judge_calls']:,} judge calls, {summary['wall_s']:.1f} s",
        highlight=False,
    )
    for line in panel_lines(summary.get("panel")):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    files = [
        (TABLE, "the path table, one row a scenario"),
        (SUMMARY, "the figures of the run"),
        (JOURNAL, "each plan, with what was weighed (experiments.show)"),
        (SCHEMA, "what may be asked"),
        (FAILURES, "scenarios that could not be planned, with the reason"),
    ]
    console.print(terminal.files_table(folder, files), highlight=False, markup=False, soft_wrap=True)


def _spending_rows(summary: Mapping[str, Any]) -> dict[str, TableRows]:
    rows = summary.get("spending")
    return {"spending": (list(rows[0]), [list(row.values()) for row in rows])} if rows else {}


def _domain_rows(rows: Sequence[ScenarioPlan]) -> tuple[list[str], list[list[Any]]]:
    columns = ["domain", "scenarios", "score_empty", "score_path", "score_full", "questions", "asked_first"]
    return columns, [
        [r.domain, r.n, r.empty, r.path, r.full, r.length, r.first[0][0] if r.first else None]
        for r in by_domain(rows)
    ]


def _drawings(rows: Sequence[ScenarioPlan], scenarios: Sequence[Scenario]) -> dict[str, str]:
    """Return for a tracker which attribute is planned at which position, by domain."""
    if not rows:
        return {}
    import pandas as pd

    from experiments.evaluation.report.drawings import heat_map

    asked = pd.DataFrame({"domain": [r.domain for r in rows], "asked": [list(r.path) for r in rows]})
    names = scenarios[0].schema.names
    return {"planned_paths": heat_map("planned paths", asked, names, rows[0].budget).svg}


main = entry_point("train_mcts", prepare)(train)

if __name__ == "__main__":
    main()
