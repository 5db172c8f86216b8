"""The path table of an evaluation: planned for train people alone, or stored and cleared of test people."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from omegaconf import DictConfig, OmegaConf

from envs import Judge, Scenario, Schema, UserError
from envs.loading import load_scenarios
from policies.plan_index import SHIPPED
from search.parallel.workers import Parallel
from search.path_table import FILE_NAME as PATHS
from search.path_table import PathTable
from search.planning import Failure, ScenarioPlan
from search.population.policy_tree_file import FILE_NAME as TREES
from search.population.policy_tree_file import PolicyTrees, load_trees
from search.problem import Searcher
from search.rollouts import plan


class Table(NamedTuple):
    """A path table for one draw of the judge.

    `source`: where it comes from; `trees`: those beside it; `overlap`: a line on rows about test people,
    "" where it was planned here.
    """

    table: PathTable
    source: str
    n_left_out: int
    failures: tuple[Failure, ...] = ()
    trees: PolicyTrees | None = None
    overlap: str = ""


def plan_table(
    scenarios: Sequence[Scenario],
    judge: Judge,
    searcher: Searcher,
    budget: int,
    seed: int,
    parallel: Parallel,
    on_plan: Callable[[ScenarioPlan], None] = lambda plan: None,
    done: Mapping[str, ScenarioPlan] | None = None,
    **options: Any,
) -> Table:
    """Plan a path for each of `scenarios`, in their order whatever the workers.

    `done`: plans that an earlier session has finished, by scenario id; they are taken as they are.

    Raises
    ------
    UserError
        nothing could be planned, or a plug-in's mistake.
    """
    plans, failures = dict(done or {}), list[Failure]()
    seen = {name: planned.observations for name, planned in plans.items()}
    running = plan(
        scenarios, judge, searcher, budget, seed, parallel, done=seen, on_failure=failures.append, **options
    )
    with closing(running):  # an interrupt must stop the workers as well
        for planned in running:
            on_plan(planned)
            plans[planned.scenario_id] = planned
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
    table: PathTable,
    source: str,
    test: Sequence[Scenario],
    trees: PolicyTrees | None = None,
    people: Mapping[str, Mapping[str, str]] | None = None,
) -> Table:
    """Return `table` without the rows about test people, whose paths were planned for the very people asked.

    They are found by what they ask, whatever their ids, and by their profiles where `people`, {id: profile}
    of the table's scenarios, is at hand.

    Raises
    ------
    UserError
        no row is left.
    """
    queries = {plain_text(scenario.query) for scenario in test}
    profiles = {scenario.profile for scenario in test}
    ids, asked = (table.table[column].to_pylist() for column in ("scenario_id", "query"))
    same_query = [plain_text(query) in queries for query in asked]
    same_profile = [people is not None and people.get(name) in profiles for name in ids]
    keep = [i for i in range(len(ids)) if not same_query[i] and not same_profile[i]]
    if not keep:
        raise UserError(f"{source}: every row is about a person of the test side, expected others too")
    kept = PathTable(table.table.take(pa.array(keep)), table.provenance)
    n, by_query = len(ids) - len(keep), sum(same_query)
    overlap = (
        f"{source}: {n:,} of {len(ids):,} rows are about test people and were left out ({by_query:,} found "
        f"by the query, {n - by_query:,} more by the profile)."
    )
    if people is None:
        overlap += (
            " The table's own scenario file is not at hand: the same people under other queries would stay."
        )
    return Table(kept, source, n, trees=trees, overlap=overlap)


def plain_text(query: str) -> str:
    """Return `query` as its words alone: NFKC, no case, no punctuation, one space between them."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", query).casefold())
    return " ".join(re.findall(r"\w+", folded)) or folded.strip()


def people_of(table: PathTable, schema: Schema) -> dict[str, Mapping[str, str]] | None:
    """Return {id: profile} of whom `table` was planned for, None where that file is not at hand."""
    config, file = table.provenance.get("config"), table.provenance.get("scenarios")
    made = config.get("scenarios") if isinstance(config, Mapping) else None
    if not isinstance(made, Mapping) or not isinstance(file, Mapping):
        return None
    try:
        whole = load_scenarios(made.get("path"), schema)
    except UserError:
        return None  # moved, or of other attributes
    return {s.id: s.profile for s in whole.scenarios} if whole.sha256 == file.get("sha256") else None


class Stored(NamedTuple):
    """A table, where it is from, the trees that may be followed, and a line on them ("" = nothing to say)."""

    table: PathTable
    source: str
    trees: PolicyTrees | None = None
    about_trees: str = ""


def files_of(paths: str | None) -> list[Path]:
    """Return the files that `stored_plans` reads for `paths`."""
    if paths is None:
        return []
    source = Path(paths)
    return [source / PATHS, source / TREES] if source.is_dir() else [source, source.parent / TREES]


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
        table = PathTable.load(cfg.paths)
        file = files_of(cfg.paths)[1]
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
    seed = made.get("split_seed")
    if seed != scenarios.split_seed:
        return f"they were planned with scenarios.split_seed={seed}, here it is {scenarios.split_seed}"
    if made.get("test_fraction") != scenarios.test_fraction:
        return (
            f"they were planned with scenarios.test_fraction={made.get('test_fraction')}, and here "
            f"{scenarios.test_fraction:.2g} of the people are tested, so that test people may be among theirs"
        )
    return ""
