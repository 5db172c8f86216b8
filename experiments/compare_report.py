"""The comparison in tables: on the terminal at one limit on judge calls, in Markdown at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

MARKS = {"below": "<", "above": ">", "undecided": " "}
"""How a search compares with the default one on the same problems, by paired interval."""


def progress_bar() -> Progress:
    """Return a bar of cells with time left, on standard error if that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("comparing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells, {task.fields[runs]:,} runs"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def percent(value: float) -> str:
    """Return a share of the possible gain in per cent, with as many digits as tell something."""
    return "-" if value != value else f"{100 * value:.2f}" if abs(value) < 0.0995 else f"{100 * value:.1f}"


def terminal_tables(table: pd.DataFrame, calls: int, default: str) -> Iterator[Table]:
    """Yield a table for each (number of attributes, noise): searches by landscapes at one limit on calls."""
    shown = table[table["calls"] == calls]
    for (n, noise), part in shown.groupby(["n_attributes", "noise_std"], sort=True):
        title = (
            f"Gain lost, % (SIMULATED): {n} attributes, noise {noise:g}, at most {calls} judge calls a plan"
        )
        found = Table(
            title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
        )
        landscapes = list(dict.fromkeys(part["landscape"]))
        found.add_column("search", no_wrap=True)
        for name in landscapes:
            found.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
        for search, rows in part.groupby("search", sort=False):
            by_landscape = _by(rows, "landscape")
            found.add_row(str(search), *[_cell(by_landscape, name, default) for name in landscapes])
        yield found


def _by(rows: pd.DataFrame, column: str) -> dict[Any, dict[Any, Any]]:
    return {row[column]: row for row in rows.to_dict("records")}


def _cell(rows: dict[Any, dict[Any, Any]], landscape: str, default: str) -> str:
    if landscape not in rows:
        return "-"
    row = rows[landscape]
    mark = MARKS.get(row.get(f"vs_{default}_verdict", ""), " ")  # no verdict on the default search itself
    return f"{percent(row['regret'])}{mark}"


def markdown(table: pd.DataFrame, against: Sequence[str]) -> str:
    """Return all figures: a section for each (landscape, attributes, noise), a row for each search."""
    lines = ["# Searches compared: SIMULATED scores", "", *_legend(table, against)]
    for (landscape, n, noise), part in table.groupby(["landscape", "n_attributes", "noise_std"], sort=True):
        lines += ["", f"## {landscape}, {n} attributes, noise {noise:g}", ""]
        calls = sorted(part["calls"].unique())
        lines += ["| search | " + " | ".join(f"{c} calls" for c in calls) + " |"]
        lines += ["|---|" + "---:|" * len(calls)]
        for search, rows in part.groupby("search", sort=False):
            by_calls = _by(rows, "calls")
            lines.append(f"| {search} | " + " | ".join(_wide(by_calls, c, against) for c in calls) + " |")
    return "\n".join(lines) + "\n"


def _legend(table: pd.DataFrame, against: Sequence[str]) -> list[str]:
    return [
        "Per cent of the possible gain that is lost, sum(best - true) / sum(best - empty), with its 95 % "
        "interval (bootstrap over judges, then people). `<S` and `>S`: loses less, or more, than S on the "
        f"same problems (S: {', '.join(against)}); no mark: undecided. "
        f"{int(table['problems'].min())} to {int(table['problems'].max())} problems under "
        f"{int(table['judges'].max())} judges a figure."
    ]


def _wide(rows: dict[Any, dict[Any, Any]], calls: int, against: Sequence[str]) -> str:
    if calls not in rows:
        return "-"
    row = rows[calls]
    marks = [
        f" {MARKS[row[f'vs_{other}_verdict']]}{other}"
        for other in against
        if row.get(f"vs_{other}_verdict") in ("below", "above")
    ]
    return f"{percent(row['regret'])} ({percent(row['low'])} to {percent(row['high'])}){''.join(marks)}"
