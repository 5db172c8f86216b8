"""The path table of an evaluation: planned for train people alone, or stored and cleared of test people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from envs import Judge, Scenario, UserError
from policies.plan_index import SHIPPED
from search.parallel.workers import Parallel
from search.path_table import PathTable
from search.planning import Failure
from search.population.policy_tree_file import FILE_NAME as TREES
from search.population.policy_tree_file import PolicyTrees, load_trees
from search.problem import Searcher
from search.rollouts import plan


class Table(NamedTuple):
    """A path table for one draw of the judge. `source`: where it comes from; `trees`: those beside it."""

    table: PathTable
    source: str
    n_left_out: int
    failures: tuple[Failure, ...] = ()
    trees: PolicyTrees | None = None


def spread(scenarios: Sequence[Scenario], size: int | None) -> list[Scenario]:
    """Return `size` scenarios evenly spaced over the list (None: all): each domain keeps its share."""
    if size is None or size >= len(scenarios):
        return list(scenarios)
    return [scenarios[int(i)] for i in np.linspace(0, len(scenarios) - 1, size).round()]


def plan_table(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    budget: int,
    seed: int,
    parallel: Parallel,
    on_plan: Callable[[], None] = lambda: None,
    **options: Any,
) -> Table:
    """Plan a path for each of `scenarios`, in their order whatever the workers.

    Raises
    ------
    UserError
        nothing could be planned, or a plug-in's mistake.
    """
    plans, failures = {}, list[Failure]()
    for planned in plan(
        scenarios, judge, searcher, budget, seed, parallel, on_failure=failures.append, **options
    ):
        plans[planned.scenario_id] = planned
        on_plan()
    rows = [plans[s.id] for s in scenarios if s.id in plans]
    if not rows:
        raise UserError(
            f"evaluation: none of {len(failures)} train scenarios was planned: {failures[0].reason}"
        )
    table = PathTable.from_records(rows, {})
    return Table(table, f"planned here for {len(rows):,} train scenarios", 0, tuple(failures))


def planned_once(
    plan: Callable[[Judge, Sequence[Scenario]], Table], folds: Sequence[Sequence[Scenario]]
) -> Callable[[Judge, Sequence[Scenario]], Table]:
    """Return what plans once a judge for everybody in any of `folds`, and gives each fold its people's plans.

    For searches whose plans do not depend on one another. Judges come one after the other.
    """
    everybody = list({s.id: s for fold in folds for s in fold}.values())
    latest: list[tuple[Judge, Table]] = []

    def table_of(judge: Judge, train: Sequence[Scenario]) -> Table:
        if not latest or latest[0][0] is not judge:
            latest[:] = [(judge, plan(judge, everybody))]
        whole, ids = latest[0][1], {s.id for s in train}
        kept = next(fold for fold in folds if {s.id for s in fold} <= ids)
        place = {name: i for i, name in enumerate(whole.table.table["scenario_id"].to_pylist())}
        rows = [place[s.id] for s in kept if s.id in place]
        if not rows:
            raise UserError(f"evaluation: none of {len(kept)} train scenarios was planned")
        names = {s.id for s in kept}
        return Table(
            PathTable(whole.table.table.take(pa.array(rows)), whole.table.provenance),
            f"planned here for {len(rows):,} train scenarios",
            0,
            tuple(f for f in whole.failures if f.scenario_id in names),
        )

    return table_of


def without_test_people(
    table: PathTable, source: str, test: Sequence[Scenario], trees: PolicyTrees | None = None
) -> Table:
    """Return `table` without the rows of test scenarios, whose paths were planned for the very people asked.

    Raises
    ------
    UserError
        no row is left.
    """
    ids = {scenario.id for scenario in test}
    keep = [i for i, name in enumerate(table.table["scenario_id"].to_pylist()) if name not in ids]
    if not keep:
        raise UserError(f"{source}: every row is about a person of the test side, expected others too")
    kept = PathTable(table.table.take(pa.array(keep)), table.provenance)
    return Table(kept, source, len(table) - len(keep), trees=trees)


class Stored(NamedTuple):
    """A table, where it is from, the trees that may be followed, and a line on them ("" = nothing to say)."""

    table: PathTable
    source: str
    trees: PolicyTrees | None = None
    about_trees: str = ""


def stored_plans(cfg: DictConfig, budget: int, sha256: str) -> Stored | None:
    """Return the plans in `cfg.paths`, else those of the package where they fit, else None.

    The package's fit when they were planned under this very judge, this budget and these scenarios; its trees
    were planned from everybody and are never taken. `sha256`: of the scenario file.

    Raises
    ------
    UserError
        a file that is missing or no table, or trees that cannot be read.
    """
    if cfg.paths is not None and cfg.folds > 1:
        raise UserError(f"folds: found {cfg.folds} with a stored table, expected 1 or paths=null")
    if cfg.paths is not None:
        source = Path(cfg.paths)
        table = PathTable.load(source)
        file = (source if source.is_dir() else source.parent) / TREES
        if not file.exists():
            return Stored(table, str(cfg.paths))
        trees = load_trees(file)
        reason = planned_from_others(trees.provenance, cfg.scenarios, sha256)
        if reason:
            return Stored(table, str(cfg.paths), None, f"The policy trees in {file} are left out: {reason}.")
        return Stored(table, str(cfg.paths), trees, f"Policy trees: {file}, planned from train people alone.")
    if cfg.model_seeds > 1 or cfg.folds > 1 or cfg.table_size is not None or cfg.scenarios.path is not None:
        return None
    table = PathTable.load(SHIPPED)
    made = table.provenance["config"]
    same = made["judge"] == OmegaConf.to_container(cfg.judge, resolve=True) and made["budget"] == budget
    return Stored(table, "the table that ships with the package") if same else None


def planned_from_others(provenance: Mapping[str, Any], scenarios: DictConfig, sha256: str) -> str:
    """Return why trees may have been planned from test people, "" where they surely were not.

    A tree holds no ids: whom it was planned from is known by the file, and by how that was split.
    """
    config = provenance.get("config")
    made = config.get("scenarios") if isinstance(config, Mapping) else None
    file = provenance.get("scenarios")
    digest = file.get("sha256") if isinstance(file, Mapping) else None
    if not isinstance(made, Mapping) or digest is None or "split" not in made:
        return "their file does not say from whom they were planned"
    if digest != sha256:
        return "they were planned from another scenario file, so that test people may be among theirs"
    if made["split"] != "train":
        return f"they were planned with scenarios.split={made['split']}, expected train"
    for key in ("test_fraction", "split_seed"):
        if made.get(key) != scenarios[key]:
            return f"they were planned with scenarios.{key}={made.get(key)}, here it is {scenarios[key]}"
    return ""
