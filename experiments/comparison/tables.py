"""Tables of the comparison: on the terminal at one limit on judge calls, in Markdown at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

MARKS = {"below": "<", "above": ">", "undecided": " "}
"""How a search compares with the default one on the same problems, by paired interval."""


def percent(value: float) -> str:
    """Return a share of the possible gain in per cent, with as many digits as tell something."""
    return "-" if value != value else f"{100 * value:.2f}" if abs(value) < 0.0995 else f"{100 * value:.1f}"


def terminal_tables(table: pd.DataFrame, calls: int, default: str) -> Iterator[Group]:
    """Yield title and table of each (number of attributes, noise): searches by landscapes at `calls`."""
    shown = table[table["calls"] == calls]
    for (n, noise), part in shown.groupby(["n_attributes", "noise_std"], sort=True):
        title = f"Gain lost, % (SIMULATED): {n} attributes, noise {noise:g}, {calls} judge calls"
        found = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)  # all landscapes in 80 columns
        landscapes = list(dict.fromkeys(part["landscape"]))
        found.add_column("search", no_wrap=True)
        for name in landscapes:
            found.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
        for search, rows in part.groupby("search", sort=False):
            by_landscape = _by(rows, "landscape")
            found.add_row(str(search), *[_cell(by_landscape, name, default) for name in landscapes])
        yield Group(Text(title, style="bold"), found)


def _by(rows: pd.DataFrame, column: str) -> dict[Any, dict[Any, Any]]:
    return {row[column]: row for row in rows.to_dict("records")}


def _cell(rows: dict[Any, dict[Any, Any]], landscape: str, default: str) -> str:
    if landscape not in rows:
        return "-"
    row = rows[landscape]
    mark = MARKS.get(row.get(f"vs_{default}_verdict", ""), " ")  # no verdict on the default search itself
    return f"{percent(row['regret'])}{mark}"


def needle_line(needle: pd.DataFrame, calls: int) -> str:
    """Return one sentence on who found the needle within `calls`, "" where nobody searched for it."""
    if needle.empty:
        return ""
    shown = needle[needle["calls"] == calls].to_dict("records")
    above = [str(row["search"]) for row in shown if row["low"] > row["chance"]]
    most = max(shown, key=lambda row: row["share"])
    message = f"above chance: {', '.join(dict.fromkeys(above))}" if above else "nobody is above chance"
    return (
        f"Needle at {calls} calls: {message} ({most['chance']:.1%}); "
        f"most often {most['search']}, {most['found']} of {most['of']}."
    )


def markdown(
    table: pd.DataFrame, searches: pd.DataFrame, needle: pd.DataFrame, against: Sequence[str]
) -> str:
    """Return all figures.

    `table`: rows of `normalised_regrets`, which become a section for each (landscape, attributes, noise) with
    a row a search. `searches`, `needle`: rows of `by_search` and `needle_finds`.
    """
    lines = ["# Searches compared: SIMULATED scores", "", *_legend(table, against)]
    for (landscape, n, noise), part in table.groupby(["landscape", "n_attributes", "noise_std"], sort=False):
        calls = sorted(part["calls"].unique())
        lines += ["", f"## {landscape}, {n} attributes, noise {noise:g}", ""]
        lines += _head(["search", *(f"{c} calls" for c in calls)])
        for search, rows in part.groupby("search", sort=False):
            by_calls = _by(rows, "calls")
            lines.append(_line([str(search), *(_wide(by_calls, c, against) for c in calls)]))
    return "\n".join([*lines, *_needle_section(needle), *_search_section(searches)]) + "\n"


def _head(names: Sequence[str]) -> list[str]:
    return [_line(names), "|---|" + "---:|" * (len(names) - 1)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _legend(table: pd.DataFrame, against: Sequence[str]) -> list[str]:
    return [
        "Per cent of the possible gain that is lost, sum(best - true) / sum(best - empty), with its 95 % "
        "interval (bootstrap over judges, then people). `<S` and `>S`: loses less, or more, than S on the "
        f"same problems (S: {', '.join(against)}); no mark: undecided. "
        f"{int(table['problems'].max())} problems under {int(table['judges'].max())} judges a figure."
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


def _needle_section(needle: pd.DataFrame) -> list[str]:
    lines: list[str] = []
    for (n, noise), part in needle.groupby(["n_attributes", "noise_std"], sort=False):
        calls = sorted(part["calls"].unique())
        chance = _by(part, "calls")
        lines += ["", f"## Needle: how often it was found, {n} attributes, noise {noise:g}", ""]
        lines += [
            "Nothing can be learned here: the negative control. `!`: above chance (exact interval).",
            "",
        ]
        lines += _head(["search", *(f"{c} calls" for c in calls)])
        lines.append(_line(["chance", *(f"{chance[c]['chance']:.3f}" for c in calls)]))
        for search, rows in part.groupby("search", sort=False):
            by_calls = _by(rows, "calls")
            lines.append(_line([str(search), *(_share(by_calls[c]) for c in calls)]))
    return lines


def _share(row: dict[Any, Any]) -> str:
    mark = " !" if row["low"] > row["chance"] else ""
    return f"{row['found']}/{row['of']} ({row['low']:.3f} to {row['high']:.3f}){mark}"


def _search_section(searches: pd.DataFrame) -> list[str]:
    lines = ["", "## What is reported, what was believed, and what it took", ""]
    lines += _head(
        ["noise, search", "plans", "reported - true", "believed - true", "calls used", "seconds a plan"]
    )
    for row in searches.to_dict("records"):
        lines.append(
            _line(
                [
                    f"{row['noise_std']:g}, {row['search']}",
                    f"{row['plans']:,}",
                    f"{row['optimism']:+.3f} ({row['optimism_low']:+.3f} to {row['optimism_high']:+.3f})",
                    f"{row['belief_error']:+.3f}",
                    f"{row['calls_used']:.0%}",
                    f"{row['seconds']:.3f}",
                ]
            )
        )
    return lines
