"""Compare the jobs of a sweep pairwise: mean score difference over the scenarios that both have planned."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.markup import escape
from rich.table import Table

from envs import UserError
from experiments.stats import CrossedBootstrap
from search.path_table import FILE_NAME as TABLE

FILE_NAME = "pairs.parquet"
N_DRAWS = 2000
Scores = Mapping[str, float]
"""Scenario id -> score after its path."""
_SHOWN = 15
"""Jobs that the terminal shows beside the best one; the file has all pairs."""
_QUERY_OF_PERSON = re.compile(r"(\d{5})-\d{2}")
"""Ids of PENGUIN's layout: the queries of one person are not independent."""


OTHER_JUDGE = "another judge: scores of two judges are no difference between plans"
OTHER_SCENARIOS = "no scenario that both have planned"


class JobPair(NamedTuple):
    """Mean score of `job` less that of `other`, over the same `n` scenarios, with its 95 % interval.

    NaN where `n` is 0: `reason` says why there is nothing to subtract.
    """

    job: str
    other: str
    n: int
    difference: float
    low: float
    high: float
    reason: str = ""

    @property
    def verdict(self) -> str:
        """Say on which side of zero the interval lies: `better`, `worse` or `undecided`; `-` without one."""
        if self.reason:
            return "-"
        return "better" if self.low > 0.0 else "worse" if self.high < 0.0 else "undecided"


def read_scores(folder: Path, jobs: Sequence[str]) -> dict[str, Scores]:
    """Return the scores of each job below `folder` that left a path table.

    Raises
    ------
    UserError
        a table that is none of ours.
    """
    found: dict[str, Scores] = {}
    for job in jobs:
        file = folder / job / TABLE
        if file.exists():
            try:
                table = pq.read_table(file, columns=["scenario_id", "score"])
                found[job] = dict(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
            except (pa.ArrowException, OSError, ValueError):
                raise UserError(
                    f"{file}: cannot be read, expected the path table of a finished job"
                ) from None
    return found


def compare(
    jobs: Mapping[str, Scores], seed: int = 0, judges: Mapping[str, Hashable] | None = None
) -> list[JobPair]:
    """Return every pair of `jobs`, in their order; scenarios that one of the two lacks are left out.

    `judges`: what tells the judge of a job from another's; scores of two judges are never subtracted.

    The interval is a bootstrap over people, each with all their scenarios; the same draw for both jobs.
    """
    pairs = []
    for job, other in itertools.combinations(jobs, 2):
        both = tuple(name for name in jobs[job] if name in jobs[other])
        if judges is not None and judges[job] != judges[other]:
            pairs.append(JobPair(job, other, 0, np.nan, np.nan, np.nan, OTHER_JUDGE))
        elif both:
            deltas = np.array([jobs[job][name] - jobs[other][name] for name in both])
            pairs.append(JobPair(job, other, len(both), *_bootstrap(both, seed).mean(deltas)))
        else:
            pairs.append(JobPair(job, other, 0, np.nan, np.nan, np.nan, OTHER_SCENARIOS))
    return pairs


@functools.lru_cache(maxsize=1)  # most jobs of a sweep have planned the same scenarios
def _bootstrap(scenario_ids: tuple[str, ...], seed: int) -> CrossedBootstrap:
    queries = (_QUERY_OF_PERSON.fullmatch(name) for name in scenario_ids)
    people = [name if query is None else query[1] for name, query in zip(scenario_ids, queries, strict=True)]
    one_judge = np.zeros(len(people), dtype=np.int64)
    return CrossedBootstrap(np.array(people), one_judge, np.random.default_rng(seed), N_DRAWS)


def as_table(pairs: Sequence[JobPair]) -> pa.Table:
    """Return a row for each pair: its fields and its verdict."""
    return pa.table({name: [getattr(pair, name) for pair in pairs] for name in (*JobPair._fields, "verdict")})


def beside_the_best(pairs: Sequence[JobPair]) -> Table:
    """Return for the terminal what the first job of the first pair has over each other job."""
    best = pairs[0].job
    table = Table(
        title=f"score of job {escape(best)} less that of another, over the same scenarios (95 % interval)",
        box=box.SIMPLE_HEAD, title_justify="left", title_style="bold",
        show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for name in ("other", "scenarios", "difference", "low", "high", "job " + best):
        table.add_column(escape(name), justify="right", no_wrap=True)
    for pair in [pair for pair in pairs if pair.job == best][:_SHOWN]:
        numbers = (_signed(value) for value in (pair.difference, pair.low, pair.high))
        table.add_row(escape(pair.other), f"{pair.n:,}" if pair.n else "", *numbers, pair.verdict)
    return table


def reasons(pairs: Sequence[JobPair]) -> list[str]:
    """Return a line for each reason why jobs are not held against the first one."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.job == pairs[0].job and pair.reason:
            found.setdefault(pair.reason, []).append(pair.other)
    return [f"not subtracted from job {pairs[0].job}: {', '.join(o)}: {why}" for why, o in found.items()]


def _signed(value: float) -> str:
    return "" if np.isnan(value) else f"{value:+.4f}"
