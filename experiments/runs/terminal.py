"""Tables at the end of a run: scores by domain, and the files written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from envs import Schema
from experiments.runs.summary import DomainRow

_FIRST_SHOWN = 5


def warn_of_left_out(schema: Schema) -> None:
    """Say, in the terminal and in the run's log, which attributes of the file no plan weighs, if any."""
    if schema.left_out:
        logging.getLogger(__name__).warning(
            "the schema has %d attributes; planned with are the %d that most scenarios have a value of. "
            "Left out: %s",
            len(schema.whole), len(schema), ", ".join(schema.left_out),
        )  # fmt: skip


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def domain_table(rows: Sequence[DomainRow], judge: str, simulated: bool) -> Table:
    """Return the table at the end of a run: scores by domain, length, what is asked first."""
    title = f"Mean safety score (1-5) by domain, judge: {escape(judge)}"
    if simulated:
        title += " (SIMULATED scores)"
    table = Table(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold",
        show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),  # the widest row has to fit into 80 columns
    )  # fmt: skip
    table.add_column("\ndomain", no_wrap=True, min_width=12)
    for name in ("\nn", "nothing\nknown", "path\nknown", "all\nknown", "\nasked"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("most often\nasked first", no_wrap=True)
    for row in rows:
        if row.domain == "all":
            table.add_section()
        scores = (_score(row.empty), _score(row.path), _score(row.full))
        table.add_row(row.domain, f"{row.n:,}", *scores, _score(row.length), _first(row))
    return table


def _first(row: DomainRow) -> str:
    """Return the most common first questions with their share, one a line; the last row tells more."""
    planned = sum(count for _, count in row.first)
    shown = _FIRST_SHOWN if row.domain == "all" else 1
    return "\n".join(f"{name} {count / planned:.0%}" for name, count in row.first[:shown]) or "-"


def files_table(folder: Path, names: Sequence[tuple[str, str]]) -> str:
    """Return where the files lie, a line each."""
    width = max(len(name) for name, _ in names)
    lines = [f"  {name:<{width}}  {what}" for name, what in names if (folder / name).exists()]
    return "\n".join([f"{folder}/", *lines])
