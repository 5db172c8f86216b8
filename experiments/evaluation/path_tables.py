"""The path table of an evaluation: planned on the train side alone, or read and cleared of the test side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from envs import Judge, Scenario, UserError
from search.parallel.workers import Parallel
from search.path_table import PathTable
from search.planning import Failure
from search.population.policy_tree_file import PolicyTrees
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
