"""Plan for users whose profile nobody knows: `python -m experiments.plan_population +budget=3`."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario, UserError
from experiments import build, population_report, report
from experiments.config import budget_of
from experiments.main import NothingPlannedError, entry_point
from experiments.population_gains import Gain, Options, careful_tree, gains, groups
from experiments.provenance import config_dict, provenance
from search.planning import Failure
from search.policy_tree import PolicyTree
from search.policy_tree_file import FILE_NAME as TREES
from search.policy_tree_file import save_trees
from search.population_scenarios import Population

SUMMARY, FAILURES = "summary.json", "failures.jsonl"
PICTURES = ("png", "svg", "none")


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
        console.print(_dry_run(loaded.scenarios, judges, budget), highlight=False)
        return math.nan
    folder = _folder(cfg.output_dir)
    failures = [Failure(b.scenario_id or b.place, "load", f"{b.place}: {b.reason}") for b in loaded.bad]
    rows: list[Gain] = []
    trees: list[PolicyTree] = []
    for seed, judge in judges:
        population = Population(loaded.scenarios, judge, budget)
        if not trees:
            failures += _unscored(loaded.scenarios, population)
            trees = _trees(population, options)
        rows += gains(population, options, seed)
    simulated = bool(getattr(judges[0][1], "simulated", False))
    name = str(getattr(judges[0][1], "name", type(judges[0][1]).__name__))
    summary = population_report.summarise(rows, len(loaded.scenarios), len(failures), name, simulated)
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    config = config_dict(cfg, budget)
    source = provenance(config, loaded.source, loaded.sha256)
    _write(folder, trees, rows, summary, failures, {**source, "simulated": simulated, "judge": name})
    if cfg.pictures != "none":
        from experiments.tree_picture import save_picture  # matplotlib takes a second to import

        for tree in trees:
            save_picture(folder / f"policy_tree_{tree.group}.{cfg.pictures}", tree, name, simulated)
    console.print(population_report.gains_table(rows, name, simulated))
    console.print(population_report.notes(rows), highlight=False)
    console.print(report.files_table(folder, _files(trees, cfg.pictures)), highlight=False, soft_wrap=True)
    return float(summary["mean_objective_careful"])


def _options(cfg: DictConfig) -> Options:
    if cfg.pictures not in PICTURES:
        raise UserError(f"pictures: found {cfg.pictures!r}, expected one of {', '.join(PICTURES)}")
    return Options(
        cost_weight=cfg.cost_weight,
        decline_rate=cfg.decline_rate,
        min_profiles=cfg.min_profiles,
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


def _dry_run(scenarios: Sequence[Scenario], judges: Sequence[tuple[int | None, Judge]], budget: int) -> str:
    n_sets = 0
    for scenario in scenarios:
        n = int(scenario.askable).bit_count()
        n_sets += sum(math.comb(n, k) for k in range(min(budget, n) + 1))
    calls = n_sets * len(judges)
    return (
        f"dry run: {len(scenarios):,} scenarios, {len({s.profile for s in scenarios}):,} profiles; every set "
        f"within the budget is scored, {calls:,} scores (none is a judge call where the judge is compiled). "
        f"Nothing was run."
    )


def _folder(path: str) -> Path:
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output_dir={path}: found {error.strerror}, expected a folder to write") from None
    return folder


def _unscored(scenarios: Sequence[Scenario], population: Population) -> list[Failure]:
    scored = population.scored()
    if not scored.any():
        raise NothingPlannedError(f"every one of {len(scenarios)} scenarios has a set without a score")
    return [
        Failure(scenario.id, "judge", "a set within the budget is unscored")
        for scenario, good in zip(scenarios, scored, strict=True)
        if not good
    ]


def _trees(population: Population, options: Options) -> list[PolicyTree]:
    """Return the trees to follow: one a domain, then one for all."""
    found = []
    for domain, rows in groups(population).items():
        problem = population.problem(
            rows, cost_weight=options.cost_weight, decline_rate=options.decline_rate, group=domain
        )
        found.append(careful_tree(problem, options))
    return found


def _write(
    folder: Path,
    trees: Sequence[PolicyTree],
    rows: Sequence[Gain],
    summary: dict[str, Any],
    failures: Sequence[Failure],
    source: dict[str, Any],
) -> None:
    lines = [json.dumps(vars(failure), ensure_ascii=False) + "\n" for failure in failures]
    (folder / FAILURES).write_text("".join(lines), encoding="utf-8")
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    population_report.save_gains(folder, rows, source)
    save_trees(folder / TREES, trees, source)


def _files(trees: Sequence[PolicyTree], pictures: str) -> list[tuple[str, str]]:
    return [
        (TREES, "the trees, one a domain and one for all"),
        (SUMMARY, "the figures of the run"),
        (population_report.GAINS, "what each plan is worth, a row for each model seed, domain and plan"),
        (population_report.MARKDOWN, "the table above in Markdown"),
        (FAILURES, "scenarios that could not be used, with the reason"),
        *[(f"policy_tree_{tree.group}.{pictures}", f"the tree for {tree.group}") for tree in trees],
    ]


main = entry_point("plan_population")(plan_population)

if __name__ == "__main__":
    main()
