"""What each attribute is worth to a judge: `python -m experiments.sensitivity judge=simulated`.

Gains of a single reveal beside the paper's Fig. 6, Shapley values, pair interactions; over all and by domain.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario, UserError
from envs.judges.made_up import made_up, made_up_fields, made_up_line
from envs.judges.protocol import describe
from experiments.console.entry_point import entry_point
from experiments.evaluation.at_once import at_once
from experiments.evaluation.setting import spread
from experiments.pages import markdown
from experiments.penguin.attribution import Attribution, attribute, least_calls
from experiments.penguin.sensitivity_page import sensitivity_page, worth_grids
from experiments.penguin.sensitivity_tables import MeanWorth, mean_worths
from experiments.runs import build
from experiments.runs.cost_estimate import amount_of
from experiments.runs.folders import start_run
from experiments.runs.progress import Progress
from experiments.stats import check_level
from search.planning import scenario_rng
from search.scenario_problem import JudgeScores

_PRICED = 20
"""Scenarios that a price is estimated from, evenly over the file."""
TABLE, SUMMARY, PAGE = "sensitivity.parquet", "summary.json", "sensitivity.html"


def prepare(cfg: DictConfig) -> tuple[Sequence[Scenario], Judge]:
    """Build and check what is needed; write nothing."""
    scenarios = build.build_scenarios(cfg).scenarios
    most = max(s.askable.bit_count() for s in scenarios)
    if cfg.max_judge_calls < least_calls(most):
        raise UserError(
            f"max_judge_calls: found {cfg.max_judge_calls}, expected at least {least_calls(most)} "
            f"for {most} attributes"
        )
    check_level(cfg.level)
    return scenarios, build.build_judge(cfg)


def run(cfg: DictConfig) -> None:
    """Score, average, write and print.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; an endpoint or a limit ends the run.
    """
    scenarios, judge = prepare(cfg)
    console = Console(highlight=False)
    asked = [s for s in scenarios if s.askable]
    if cfg.dry_run:
        console.print(_takes(asked, judge, len(asked) * cfg.max_judge_calls), soft_wrap=True)
        return
    folder = start_run(cfg)
    found: list[Attribution] = []
    told = describe(judge)
    with Progress("scored", "scenarios", len(asked)) as progress:
        tasks = [partial(_attributed, cfg, judge, scenario) for scenario in asked]
        for attribution in at_once(tasks, told.concurrent_plans):
            found.append(attribution)
            progress.advance(1, judge_calls=sum(f.calls for f in found))
    rows = mean_worths(asked, found, cfg.level)
    title = f"What attributes are worth to judge {told.name}{': SIMULATED' if told.simulated else ''}"
    invented = made_up(judge, asked[0].schema)
    about: dict[str, Any] = {"judge": told.name, "judge_is_simulated": told.simulated}
    _write(folder, rows, found, about | made_up_fields(invented))
    calls = sum(f.calls for f in found)
    text = sensitivity_page(rows, told.name, told.simulated, len(asked), calls, made_up_line(invented))
    (folder / PAGE).write_text(text, encoding="utf-8")
    for grid in worth_grids(rows, title):
        console.print(f"{grid.title}\n\n{markdown(grid)}", markup=False, soft_wrap=True)
    if invented:
        console.print(made_up_line(invented), markup=False, soft_wrap=True)
    console.print(f"{folder}/: {TABLE}, {SUMMARY}, {PAGE}", soft_wrap=True)


def _takes(asked: Sequence[Scenario], judge: Judge, calls: int) -> str:
    """Say what the run takes, from prompts with nothing and with everything known of a few scenarios."""
    said, costs = f"{len(asked):,} scenarios, at most {calls:,} judge calls", describe(judge).request_costs
    if costs is None:
        return f"{said}."
    few = spread(asked, _PRICED)
    contexts = [(s, names) for s in few for names in ((), s.schema.names_of(s.askable))]
    amount = amount_of([cost for s, names in contexts for cost in costs(s, names)])
    return f"{said}: {amount.times(calls / len(contexts)).spent()}; estimated from {len(few):,} scenarios"


def _attributed(cfg: DictConfig, judge: Judge, scenario: Scenario) -> Attribution:
    rng = scenario_rng(cfg.seed, scenario.id)
    return attribute(scenario, JudgeScores(scenario, judge), cfg.max_judge_calls, rng)


def _write(
    folder: Path, rows: Sequence[MeanWorth], found: Sequence[Attribution], about: dict[str, Any]
) -> None:
    frame = pd.DataFrame(
        [{**r._asdict(), "worth": r.worth.estimate, "low": r.worth.low, "high": r.worth.high} for r in rows]
    )
    frame.to_parquet(folder / TABLE, index=False)
    squares, freedom = (sum(f.noise[k] for f in found) for k in (0, 1))
    summary = about | {
        "n_scenarios": len(found),
        "judge_calls": sum(f.calls for f in found),
        "n_unscored": sum(f.unscored for f in found),
        "noise_sd": math.sqrt(squares / freedom) if freedom else None,
    }
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


main = entry_point("sensitivity", prepare)(run)

if __name__ == "__main__":
    main()
