"""The table of `raise-planner benchmark` holds every figure in a terminal of 80 columns."""

from __future__ import annotations

import io

from rich.console import Console

from experiments.benchmark import SEARCHES, Rate, table


def test_the_widest_row_is_shown_whole_in_80_columns() -> None:
    rates = [Rate(60, 10, 1_000_000, search, "whole search", 1, 12_340_000, 123.4) for search in SEARCHES]
    rates.append(Rate(10, 4, 300, "puct, mean", "plan(), bundled", 1, 12_340_000, None))
    console = Console(width=80, file=io.StringIO())
    console.print(table(rates, interpreted=4000))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    assert shown.count("12.34") == len(rates)
