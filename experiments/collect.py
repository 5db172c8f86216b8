"""Collect the runs below a folder, such as a sweep's jobs, into one table, the best first.

python -m experiments.collect multirun/DATE/TIME
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from envs import UserError
from experiments.comparison import paired
from experiments.console.arguments import parser
from experiments.console.entry_point import NothingPlannedError, mistakes_in_one_line
from experiments.console.plain_errors import nearest, one_of
from experiments.train_mcts import SUMMARY

FILE_NAME = "sweep.parquet"
OBJECTIVE = "mean_score_path"
_OVERRIDES = Path(".hydra") / "overrides.yaml"
_WHERE = ("output_dir", "resume")
"""Keys that say where and how a job was run: they vary nothing."""
_FIGURES = ("mean_path_length", "mean_optimism", "judge_calls", "n_failed")
"""Columns of the terminal's table beyond what was varied; the file has all of `summary.json`."""


_RUNS = re.compile(r"judge\.(?:max_|cache|timeout|give_up|batch|prices|key_|headers)")
"""Keys of a judge that say how its requests are sent, and change no score."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep. `reason`: why it has no objective, "" where it has one."""

    name: str
    overrides: dict[str, Any]
    summary: dict[str, Any] = field(default_factory=dict)
    objective: float = math.nan
    reason: str = ""


def read_jobs(folder: Path, objective: str = OBJECTIVE) -> list[Job]:
    """Return the jobs below `folder`, those of the highest `objective` first, failed ones last.

    `objective`: a key of `summary.json`.

    Raises
    ------
    UserError
        no such folder, no job in it, or an `objective` that none of the finished ones has.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder, expected one of a sweep or a run, such as multirun/DATE/TIME"
        )
    homes = sorted((p.parent.parent for p in folder.rglob(str(_OVERRIDES))), key=_by_number)
    if not homes:
        raise UserError(f"{folder}: found no job of a sweep and no run, expected {_OVERRIDES} below it")
    jobs = [_read(home, _name(home, folder), objective) for home in homes]
    figures = {name for job in jobs for name, value in job.summary.items() if isinstance(value, (int, float))}
    if any(job.summary for job in jobs) and not any(objective in job.summary for job in jobs):
        expected = nearest(objective, figures) or one_of(sorted(figures))
        raise UserError(f"--objective={objective}: no job has such a figure, {expected}")
    return sorted(jobs, key=lambda job: math.inf if job.reason else -job.objective)


def _name(home: Path, folder: Path) -> str:
    """Return the job's folder below `folder`; of a single run its own name."""
    return folder.resolve().name if home == folder else str(home.relative_to(folder))


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Order job 10 after job 2."""
    return [(int(part) if part.isdecimal() else -1, part) for part in path.parts]


def _read(home: Path, name: str, objective: str) -> Job:
    try:
        overrides = _parse(yaml.safe_load((home / _OVERRIDES).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return Job(name, {}, reason=f"{_OVERRIDES} cannot be read")
    try:
        summary = json.loads((home / SUMMARY).read_text(encoding="utf-8"))
    except OSError:
        return Job(name, overrides, reason=f"no {SUMMARY}: it failed, or is not finished")
    except ValueError:
        return Job(name, overrides, reason=f"{SUMMARY} is no JSON: it was stopped while writing")
    summary = summary if isinstance(summary, dict) else {}
    value = summary.get(objective)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return Job(
            name, overrides, summary, reason=f"{SUMMARY} has no number {objective}: nothing was planned"
        )
    return Job(name, overrides, summary, float(value))


def _parse(overrides: Any) -> dict[str, Any]:
    """Return {key: value} of Hydra overrides such as `+budget=4`; a deleted key has the value None."""
    found: dict[str, Any] = {}
    for override in overrides if isinstance(overrides, list) else []:
        key, _, text = str(override).partition("=")
        found[key.lstrip("+~")] = yaml.safe_load(text) if text else None
    return found


def varied(jobs: Sequence[Job]) -> list[str]:
    """Return the keys whose override is not the same in all jobs, in the order in which they were given."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [
        key for key in keys if key not in _WHERE and len({repr(job.overrides.get(key)) for job in jobs}) > 1
    ]


def as_table(jobs: Sequence[Job], keys: Sequence[str], objective: str = OBJECTIVE) -> pa.Table:
    """Return a row for each job: job, objective, the overrides `keys`, every figure of the summary, reason.

    Columns of values of several types are text. A figure with the name of an override gets `summary.` before
    it.
    """
    rows = []
    for job in jobs:
        row: dict[str, Any] = {"job": job.name, "objective": None if job.reason else job.objective}
        row |= {key: job.overrides.get(key) for key in keys}
        row |= {f"summary.{key}" if key in row else key: value for key, value in job.summary.items()}
        rows.append({**row, "reason": job.reason})
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _of_one_type([row.get(name) for row in rows]) for name in names}
    return pa.table(columns).replace_schema_metadata({"objective": objective})


def _of_one_type(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1 or kinds & {list, dict}:
        return [None if value is None else str(value) for value in values]
    return values


def collect(folder: Path, console: Console, objective: str = OBJECTIVE) -> None:
    """Write `sweep.parquet` and `pairs.parquet` into `folder` and print them, jobs without objective below.

    Raises
    ------
    UserError
        as `read_jobs`, or a folder that cannot be written; `NothingPlannedError` when no job has an
        objective.
    """
    jobs = read_jobs(folder, objective)
    keys = varied(jobs)
    done = [job for job in jobs if not job.reason]
    judges = {job.name: _judge(job) for job in done}
    pairs = paired.compare(paired.read_scores(folder, [job.name for job in done]), judges=judges)
    _write(as_table(jobs, keys, objective), folder / FILE_NAME)
    if done:
        console.print(_terminal_table(done, keys, objective))
    if pairs:
        _write(paired.as_table(pairs), folder / paired.FILE_NAME)
        console.print(paired.beside_the_best(pairs))
        for line in paired.reasons(pairs):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for job in jobs:
        if job.reason:
            given = ", ".join(f"{key}={job.overrides.get(key)}" for key in keys if key in job.overrides)
            line = f"job {job.name}{f' ({given})' if given else ''}: {job.reason}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{len(done)} of {len(jobs)} jobs, in {folder / FILE_NAME}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if not done:
        raise NothingPlannedError(f"{folder}: none of {len(jobs)} jobs has a number {objective}")


def _judge(job: Job) -> tuple[str, ...]:
    """Return what tells the judge of a job from another's: its name, and what was typed of it."""
    typed = (f"{k}={v}" for k, v in job.overrides.items() if k.startswith("judge.") and not _RUNS.match(k))
    return (str(job.summary.get("judge")), *sorted(typed))


def _write(table: pa.Table, file: Path) -> None:
    try:
        pq.write_table(table, file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror})") from None


def _terminal_table(jobs: Sequence[Job], keys: Sequence[str], objective: str) -> Table:
    title = f"{escape(objective)} by job, the highest first"
    if any(job.summary.get("judge_is_simulated") for job in jobs):
        title += " (SIMULATED scores)"
    table = Table(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold",
        show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    figures = [name for name in _FIGURES if any(name in job.summary for job in jobs) and name != objective]
    names = [*keys, objective, *figures]
    for name in ("job", *names):
        table.add_column(escape(name.replace(".", ".\n").replace("_", "\n")), justify="right", no_wrap=True)
    for job in jobs:
        values = [*map(job.overrides.get, keys), job.objective, *map(job.summary.get, figures)]
        table.add_row(escape(job.name), *(escape(_shown(value)) for value in values))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    with mistakes_in_one_line():
        options = parser("collect").parse_args(arguments)
        collect(options.folder, Console(), options.objective)


if __name__ == "__main__":
    main()
