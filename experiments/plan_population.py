"""Plan for users whose profile nobody knows: `python -m experiments.plan_population budget=3`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from rich.console import Console

from envs import Judge, Scenario, UserError
from envs.judges.made_up import made_up, made_up_fields, made_up_line
from envs.judges.protocol import describe
from envs.loading import ScenarioSet
from envs.part_books import booked, keep_books
from envs.schema import FILE_NAME as SCHEMA
from envs.schema.schema_file import write_schema
from experiments.console.entry_point import NothingPlannedError, entry_point
from experiments.evaluation.kept import kept_judge
from experiments.population import gains_report
from experiments.population.compared_trees import (
    EVERYBODY,
    PopulationOptions,
    domain_tree,
    fixed_searcher,
    groups,
    pooled,
)
from experiments.population.gains import Gain, gains
from experiments.population.kept_plans import PopulationJournal
from experiments.runs import build
from experiments.runs.config import budget_of
from experiments.runs.folders import start_run
from experiments.runs.journal import UnitJournal
from experiments.runs.progress import Progress, usage
from experiments.runs.provenance import config_dict, fingerprint, provenance
from experiments.runs.summary import files_table, spent, unread, warn_of_left_out
from experiments.runs.tracking import FailSafe, Tracker
from search.path_table import FILE_NAME as PATHS
from search.planning import Failure
from search.population.history_building import history_values
from search.population.history_values import FILE_NAME as HISTORIES
from search.population.history_values import HistoryValues, save_histories
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


class _Plans(NamedTuple):
    """What is stored: a tree a domain and one for all, to be read; histories, which agents plan by."""

    trees: list[PolicyTree]
    histories: HistoryValues


class _PopulationParts(NamedTuple):
    """What a run is made of, built and checked."""

    options: PopulationOptions
    loaded: ScenarioSet
    judges: list[tuple[int | None, Judge]]
    beside: list[Path]
    tracking: Tracker


def prepare(cfg: DictConfig) -> _PopulationParts:
    """Build all that a run of `cfg` needs, and write nothing.

    Raises
    ------
    UserError
        a mistake in the configuration or a file.
    """
    budget_of(cfg)
    options, tracking = _options(cfg), FailSafe(build.build_tracking(cfg))
    return _PopulationParts(options, build.build_scenarios(cfg), _judges(cfg), _beside(cfg.beside), tracking)


def plan_population(cfg: DictConfig) -> float:
    """Plan the trees of `cfg`, report what they gain, and return the mean objective of following them.

    Raises
    ------
    UserError
        a mistake in the configuration or a file; `NothingPlannedError` when no scenario has scores.
    """
    started = time.perf_counter()
    budget = budget_of(cfg)
    console = Console()
    parts = prepare(cfg)
    _, loaded, judges, beside, tracking = parts
    if cfg.dry_run:
        console.print(_dry_run(loaded.scenarios, judges, budget, cfg.samples), highlight=False)
        return math.nan
    config, folder = config_dict(cfg, budget), Path(cfg.output_dir)
    schema = loaded.scenarios[0].schema
    with UnitJournal(folder, fingerprint(config, loaded.sha256, judges[0][1]), cfg.resume) as journal:
        start_run(cfg, resumed=bool(journal.done))
        keep_books(folder, *(judge for _, judge in judges))
        warn_of_left_out(schema)
        tracking.start(config, folder)
        rows, (trees, histories), unscored = _planned(cfg, parts, journal)
    failures = unread(loaded) + unscored
    summary = _summary(rows, len(loaded.scenarios), len(failures) + loaded.n_unlisted, judges[0][1])
    summary |= made_up_fields(made_up(judges[0][1], schema)) | spent(booked(*(judge for _, judge in judges)))
    summary["wall_s"] = round(time.perf_counter() - started, 3)
    source = provenance(config, loaded.source, loaded.sha256)
    source |= {"judge": summary["judge"], "simulated": summary["judge_is_simulated"]}
    _write(folder, rows, summary, failures, source)
    for home in (folder, *beside):
        save_trees(home / TREES, trees, source)
        write_schema(home / SCHEMA, schema)
        save_histories(home / HISTORIES, histories, source)
    pictures = _draw(folder, trees, summary, cfg.pictures)
    _show(console, folder, rows, summary, *_files(trees, cfg.pictures))
    figures = {"gains": (gains_report.COLUMNS, gains_report.table_rows(rows))}
    tracking.finish(summary, figures, lambda: pictures, lambda: {"trees": folder / TREES})
    return float(summary["mean_objective_careful"])


def _planned(
    cfg: DictConfig, parts: _PopulationParts, journal: UnitJournal
) -> tuple[list[Gain], _Plans, list[Failure]]:
    """Return the gains under each judge, the plans under the first, and whom it left unscored."""
    options, judges, scenarios = parts.options, parts.judges, parts.loaded.scenarios
    kept, rows = PopulationJournal(journal), list[Gain]()
    plans: _Plans | None = None
    failures: list[Failure] = []
    groups_of_all = len({s.domain for s in scenarios}) + 1
    steps = groups_of_all * (1 + len(judges))  # the trees once, the gains under each judge
    live = partial(usage, *(judge for _, judge in judges))
    with Progress("planned", "groups", steps, tracker=parts.tracking, live=live) as progress:
        for draw, (seed, judge) in enumerate(judges):
            progress.advance(0, "scores")
            asked = kept_judge(judge, str(draw), journal)
            population = Population(scenarios, asked, budget_of(cfg), cfg.samples)
            if plans is None:
                failures += _unscored(scenarios, population)
                progress.advance(0, "trees")
                plans = _plans(population, options, kept, progress.advance)
            progress.advance(0, "gains")
            rows += gains(population, options, seed, progress.advance, partial(kept.gains, draw))
    assert plans is not None  # noqa: S101 - there is at least one judge
    return rows, plans, failures


def _summary(rows: Sequence[Gain], n_scenarios: int, n_failed: int, judge: Judge) -> dict[str, Any]:
    told = describe(judge)
    summary = gains_report.summarise(rows, n_scenarios, n_failed, told.name, told.simulated)
    return {**summary, "judge_is_noisy": told.stochastic}


def _draw(
    folder: Path, trees: Sequence[PolicyTree], summary: dict[str, Any], pictures: str
) -> dict[str, str | Path]:
    """Draw each tree into `folder`, and return the pictures as a tracker takes them."""
    if pictures == "none":
        return {}
    from experiments.plots.tree_picture import save_picture  # matplotlib takes a second to import

    drawn = {f"policy_tree_{tree.group}": folder / f"policy_tree_{tree.group}.{pictures}" for tree in trees}
    for tree, path in zip(trees, drawn.values(), strict=True):
        save_picture(path, tree, summary["judge"], summary["judge_is_simulated"])
    return {name: path if pictures == "png" else path.read_text("utf-8") for name, path in drawn.items()}


def _show(
    console: Console, folder: Path, rows: Sequence[Gain], summary: dict[str, Any], *files: tuple[str, str]
) -> None:
    console.print(gains_report.gains_table(rows, summary["judge"], summary["judge_is_simulated"]))
    console.print(gains_report.notes(rows), highlight=False)
    if summary["judge_is_noisy"]:
        console.print(NOISY, highlight=False)
    if line := made_up_line(summary.get("made_up_attributes", ())):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(files_table(folder, files), highlight=False, markup=False, soft_wrap=True)


def _options(cfg: DictConfig) -> PopulationOptions:
    if cfg.pictures not in PICTURES:
        raise UserError(f"pictures: found {cfg.pictures!r}, expected one of {', '.join(PICTURES)}")
    return PopulationOptions(
        cost_weight=cfg.cost_weight,
        decline_rate=cfg.decline_rate,
        dropout=cfg.dropout,
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
    return [(cfg.judge.model_seed, build.build_judge(cfg)), *build.further_draws(cfg, cfg.seeds)]


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


def _plans(
    population: Population, options: PopulationOptions, kept: PopulationJournal, on_group: Callable[[], None]
) -> _Plans:
    """Return the trees to follow, one a domain, then one for all, and the histories of everybody."""
    found = []
    for domain, rows in groups(population).items():
        found.append(kept.tree(domain, partial(domain_tree, population, rows, options, domain)))
        on_group()
    return _Plans(found, kept.histories(partial(_histories, population, options)))


def _histories(population: Population, options: PopulationOptions) -> HistoryValues:
    everybody = pooled(population, groups(population)[EVERYBODY], options, EVERYBODY)
    return history_values(everybody, options.min_profiles, fixed_searcher(options))


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
        (HISTORIES, "what asking is worth after every history that enough people share: agents plan by it"),
        (SUMMARY, "the figures of the run"),
        (gains_report.GAINS, "what each plan is worth, a row for each model seed, domain and plan"),
        (gains_report.MARKDOWN, "the table above in Markdown"),
        (SCHEMA, "what may be asked"),
        (FAILURES, "scenarios that could not be used, with the reason"),
        *[(f"policy_tree_{tree.group}.{pictures}", f"the tree for {tree.group}") for tree in trees],
    ]


main = entry_point("plan_population", prepare)(plan_population)

if __name__ == "__main__":
    main()
