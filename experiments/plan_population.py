"""Plan for users whose profile nobody knows: `python -m experiments.plan_population budget=3`."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario, UserError
from envs.judges.protocol import describe
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.population import gains_report
from experiments.population.compared_trees import PopulationOptions, groups, min_support_tree, pooled
from experiments.population.gains import Gain, gains
from experiments.runs import build, terminal
from experiments.runs.config import budget_of
from experiments.runs.folders import start_run
from experiments.runs.progress import Progress, usage
from experiments.runs.provenance import config_dict, provenance
from search.path_table import FILE_NAME as PATHS
from search.planning import Failure
from search.population.policy_tree import PolicyTree
from search.population.policy_tree_file import FILE_NAME as TREES
from search.population.policy_tree_file import save_trees
from search.population.scenario_population import Population, scenario_surfaces

SUMMARY, FAILURES = "summary.json", "failures.jsonl"
PICTURES = ("png", "svg", "none")
NOISY = (
    "The judge is noisy: gains in sample are those of lucky scores too, for what is chosen by noisy scores "
    "is measured by the same ones; held out they are not."
)


def plan_population(cfg: DictConfig) -> float:
    """Plan the trees of `cfg`, report what they gain, and return the mean objective of following them.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when no scenario has scores.
    """
    started = time.perf_counter()
    budget = budget_of(cfg)
    options = _options(cfg)
    console = Console()
    loaded = build.build_scenarios(cfg)
    judges = _judges(cfg)
    if cfg.dry_run:
        console.print(_dry_run(loaded.scenarios, judges, budget, cfg.samples), highlight=False)
        return math.nan
    beside = _beside(cfg.beside)
    folder = start_run(cfg)
    failures = [Failure(b.scenario_id or b.place, "load", f"{b.place}: {b.reason}") for b in loaded.bad]
    rows: list[Gain] = []
    trees: list[PolicyTree] = []
    groups_of_all = len({s.domain for s in loaded.scenarios}) + 1
    steps = groups_of_all * (1 + len(judges))  # the trees once, the gains under each judge
    with Progress("planned", "groups", steps, live=lambda: usage(*(j for _, j in judges))) as progress:
        for seed, judge in judges:
            progress.advance(0, "scores")
            population = Population(loaded.scenarios, judge, budget, cfg.samples)
            if not trees:
                failures += _unscored(loaded.scenarios, population)
                progress.advance(0, "trees")
                trees = _trees(population, options, progress.advance)
            progress.advance(0, "gains")
            rows += gains(population, options, seed, progress.advance)
    summary = _summary(rows, len(loaded.scenarios), len(failures), judges[0][1])
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    source = provenance(config_dict(cfg, budget), loaded.source, loaded.sha256)
    source |= {"judge": summary["judge"], "simulated": summary["judge_is_simulated"]}
    _write(folder, rows, summary, failures, source)
    for home in (folder, *beside):
        save_trees(home / TREES, trees, source)
    _draw(folder, trees, summary, cfg.pictures)
    _show(console, folder, rows, summary, _files(trees, cfg.pictures))
    return float(summary["mean_objective_careful"])


def _summary(rows: Sequence[Gain], n_scenarios: int, n_failed: int, judge: Judge) -> dict[str, Any]:
    told = describe(judge)
    summary = gains_report.summarise(rows, n_scenarios, n_failed, told.name, told.simulated)
    return {**summary, "judge_is_noisy": told.stochastic}


def _draw(folder: Path, trees: Sequence[PolicyTree], summary: dict[str, Any], pictures: str) -> None:
    if pictures == "none":
        return
    from experiments.plots.tree_picture import save_picture  # matplotlib takes a second to import

    for tree in trees:
        path = folder / f"policy_tree_{tree.group}.{pictures}"
        save_picture(path, tree, summary["judge"], summary["judge_is_simulated"])


def _show(
    console: Console,
    folder: Path,
    rows: Sequence[Gain],
    summary: dict[str, Any],
    files: Sequence[tuple[str, str]],
) -> None:
    console.print(gains_report.gains_table(rows, summary["judge"], summary["judge_is_simulated"]))
    console.print(gains_report.notes(rows), highlight=False)
    if summary["judge_is_noisy"]:
        console.print(NOISY, highlight=False)
    console.print(terminal.files_table(folder, files), highlight=False, markup=False, soft_wrap=True)


def _options(cfg: DictConfig) -> PopulationOptions:
    if cfg.pictures not in PICTURES:
        raise UserError(f"pictures: found {cfg.pictures!r}, expected one of {', '.join(PICTURES)}")
    return PopulationOptions(
        cost_weight=cfg.cost_weight,
        decline_rate=cfg.decline_rate,
        min_profiles=cfg.min_profiles,
        other_domains=cfg.other_domains,
        solver=cfg.solver,
        num_simulations=cfg.num_simulations,
        folds=cfg.folds,
        seed=cfg.seed,
    )


def _judges(cfg: DictConfig) -> list[tuple[int | None, Judge]]:
    """Return (model seed or None, judge) of each draw, the configured one first."""
    if cfg.seeds < 1:
        raise UserError(f"seeds: found {cfg.seeds}, expected a number of model seeds >= 1")
    if "model_seed" not in cfg.judge:
        if cfg.seeds > 1:
            raise UserError(f"seeds: found {cfg.seeds} for a judge without judge.model_seed, expected 1")
        return [(None, build.build_judge(cfg))]
    found: list[tuple[int | None, Judge]] = []
    for seed in range(cfg.judge.model_seed, cfg.judge.model_seed + cfg.seeds):
        other = copy.deepcopy(cfg)
        other.judge.model_seed = seed
        found.append((seed, build.build_judge(other)))
    return found


def _dry_run(
    scenarios: Sequence[Scenario], judges: Sequence[tuple[int | None, Judge]], budget: int, samples: int
) -> str:
    n_sets = 0
    for scenario in scenarios:
        n = int(scenario.askable).bit_count()
        n_sets += sum(math.comb(n, k) for k in range(min(budget, n) + 1))
    scores = n_sets * len(judges)
    judge = judges[0][1]
    compiled = scenario_surfaces(scenarios[:1], judge) is not None
    each = samples if describe(judge).stochastic else 1
    return (
        f"dry run: {len(scenarios):,} scenarios, {len({s.profile for s in scenarios}):,} profiles; every set "
        f"within the budget is scored: {scores:,} scores, {0 if compiled else each * scores:,} judge calls. "
        f"Nothing was run."
    )


def _unscored(scenarios: Sequence[Scenario], population: Population) -> list[Failure]:
    scored = population.scored()
    if not scored.any():
        raise NothingPlannedError(f"every one of {len(scenarios)} scenarios has a set without a score")
    return [
        Failure(scenario.id, "judge", "a set within the budget is unscored")
        for scenario, good in zip(scenarios, scored, strict=True)
        if not good
    ]


def _trees(
    population: Population, options: PopulationOptions, on_group: Callable[[], None]
) -> list[PolicyTree]:
    """Return the trees to follow: one a domain, then one for all."""
    found = []
    for domain, rows in groups(population).items():
        found.append(min_support_tree(pooled(population, rows, options, domain), options))
        on_group()
    return found


def _beside(run: str | None) -> list[Path]:
    """Return the run folders to store the trees in as well."""
    if run is not None and not (Path(run) / PATHS).is_file():
        raise UserError(f"beside={run}: found no {PATHS} there, expected a run folder of train_mcts")
    return [] if run is None else [Path(run)]


def _write(
    folder: Path,
    rows: Sequence[Gain],
    summary: dict[str, Any],
    failures: Sequence[Failure],
    source: dict[str, Any],
) -> None:
    lines = [json.dumps(vars(failure), ensure_ascii=False) + "\n" for failure in failures]
    (folder / FAILURES).write_text("".join(lines), encoding="utf-8")
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    gains_report.save_gains(folder, rows, source)


def _files(trees: Sequence[PolicyTree], pictures: str) -> list[tuple[str, str]]:
    return [
        (TREES, "the trees, one a domain and one for all"),
        (SUMMARY, "the figures of the run"),
        (gains_report.GAINS, "what each plan is worth, a row for each model seed, domain and plan"),
        (gains_report.MARKDOWN, "the table above in Markdown"),
        (FAILURES, "scenarios that could not be used, with the reason"),
        *[(f"policy_tree_{tree.group}.{pictures}", f"the tree for {tree.group}") for tree in trees],
    ]


main = entry_point("plan_population")(plan_population)

if __name__ == "__main__":
    main()
