"""Two benchmark runs side by side: differences paired by scenario, with intervals by person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from envs import UserError
from experiments.evaluation.report.grids import number, with_interval
from experiments.pages import Grid
from experiments.stats import Interval, clustered_mean

ROWS, BOARD = "rows.parquet", "leaderboard.json"
_KEY = ["protocol", "model", "condition"]


class RunDifference(NamedTuple):
    """How much higher the second run scores than the first in one cell, over the scenarios of both."""

    protocol: str
    model: str
    condition: str
    first: float
    second: float
    difference: Interval
    n_scenarios: int


class StoredBenchmark(NamedTuple):
    """The rows of a run, and what its leaderboard says of judge and protocols."""

    rows: pd.DataFrame
    about: dict[str, Any]


def stored_benchmark(folder: Path) -> StoredBenchmark:
    """Return what a benchmark of models has left in `folder`.

    Raises
    ------
    UserError
        it holds none, or a damaged one.
    """
    try:
        rows = pd.read_parquet(folder / ROWS, columns=[*_KEY, "scenario_id", "person", "score"])
        about = json.loads((folder / BOARD).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        kind = type(error).__name__
        raise UserError(f"{folder}: found no run of benchmark_models ({kind}), expected its folder") from None
    return StoredBenchmark(rows, about)


def run_differences(first: StoredBenchmark, second: StoredBenchmark, level: float) -> list[RunDifference]:
    """Return the difference of each cell that both runs have; a scenario without both scores is left out."""
    both = first.rows.merge(second.rows, on=[*_KEY, "scenario_id"], suffixes=("", "_second"), how="inner")
    both = both[both["score"].notna() & both["score_second"].notna()]
    found = []
    for key, cell in both.groupby(_KEY, sort=False):
        protocol, model, condition = map(str, key if isinstance(key, tuple) else (key,))
        gap = (cell["score_second"] - cell["score"]).to_numpy(dtype=float)
        difference = clustered_mean(gap, cell["person"].to_numpy(), level)
        first_mean, second_mean = float(cell["score"].mean()), float(cell["score_second"].mean())
        found.append(
            RunDifference(protocol, model, condition, first_mean, second_mean, difference, len(cell))
        )
    return found


def comparison_grid(first: StoredBenchmark, second: StoredBenchmark, found: list[RunDifference]) -> Grid:
    """Return the table, with a warning where the judges differ."""
    rows = [
        (
            d.protocol,
            d.model,
            d.condition,
            number(d.first),
            number(d.second),
            with_interval(d.difference, signed=True),
            f"{d.n_scenarios:,}",
        )
        for d in found
    ]
    judges = [run.about["judge"] for run in (first, second)]
    note = "Paired by scenario; intervals cluster by person. Scenarios that one run lacks are left out."
    if judges[0] != judges[1]:
        note += f" The judges differ ({judges[0]}, {judges[1]}): a difference may be the judge's."
    columns = ("protocol", "model", "condition", "first", "second", "second minus first", "scenarios")
    return Grid("Two runs", columns, rows, note, 3)
