"""What a run shows on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from experiments.summary import DomainRow

_FIRST_SHOWN = 3


def progress_bar() -> Progress:
    """Return a bar of scenarios with judge calls and time left, on standard error."""
    return Progress(
        TextColumn("planning"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[calls]:,} judge calls"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def domain_table(rows: Sequence[DomainRow], judge: str, simulated: bool) -> Table:
    """Return the table at the end of a run: scores by domain, length, what is asked first."""
    title = f"Mean safety score (1-5) by domain, judge: {judge}"
    if simulated:
        title += " (SIMULATED scores)"
    table = Table(title=title)
    table.add_column("domain")
    for name in ("scenarios", "nothing\nknown", "after\nthe path", "everything\nknown", "questions"):
        table.add_column(name, justify="right")
    table.add_column("asked first (share)")
    for row in rows:
        if row.domain == "all":
            table.add_section()
        planned = sum(count for _, count in row.first) or 1
        first = ", ".join(f"{name} {count / planned:.0%}" for name, count in row.first[:_FIRST_SHOWN])
        scores = (_score(row.empty), _score(row.path), _score(row.full))
        table.add_row(row.domain, str(row.n), *scores, _score(row.length), first or "-")
    return table


def files_table(folder: Path, names: Sequence[tuple[str, str]]) -> str:
    """Return where the files lie, a line each."""
    width = max(len(name) for name, _ in names)
    lines = [f"  {name:<{width}}  {what}" for name, what in names if (folder / name).exists()]
    return "\n".join([f"{folder}/", *lines])
