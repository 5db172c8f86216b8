"""The datasheet of generated scenarios (Gebru et al. 2021, shortened), from what was generated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from experiments.pages import Grid, markdown
from experiments.penguin.file_checks import FileFigures, grids
from experiments.penguin.generating.chi_square import ChiSquare
from experiments.penguin.generating.generation import Generated

FILE_NAME = "datasheet.md"


def chi_square_grid(found: Sequence[ChiSquare]) -> Grid:
    """Return the comparison of the profiles with the declared tables."""
    rows = [
        (c.attribute, f"{c.statistic:.1f}", f"{c.degrees}", f"{c.p:.3f}", f"{c.impossible}") for c in found
    ]
    return Grid(
        "Profiles against the declared tables (Pearson's chi-square over the parents' configurations)",
        ("attribute", "chi-square", "degrees of freedom", "p", "with a factor of 0"),
        rows,
    )


def datasheet(
    made: Generated,
    figures: FileFigures,
    chi: Sequence[ChiSquare],
    profiles: str,
    origin: str,
    command: str,
) -> str:
    """Return the Markdown of the datasheet.

    `profiles`, `origin`: who made the profiles and wrote the queries; `chi`: the profiles against declared
    tables, [] where none were declared; `command`: what made it.
    """
    kept = sum(map(len, made.queries))
    short = sum(len(queries) < max(map(len, made.queries)) for queries in made.queries)
    parts = [
        "# Datasheet",
        "SYNTHETIC. Nobody real is described, and nobody was asked.",
        "## Motivation",
        "Scenarios of the shape of PENGUIN (arXiv 2505.18882), to test what is asked of a person before a "
        "high-risk query is answered. They are not the authors' data.",
        "## Composition",
        f"{len(made.people):,} profiles with ten attributes each, {kept:,} queries, evenly over the 140 "
        f"published situations. {short:,} profiles have fewer queries than the others. No split is built in: "
        "split by profile, never by query.",
        "## How it was made",
        f"Profiles: {profiles}. Thrown out: {_counted(made.no_profile)}.",
        f"Queries: {origin}. Of {made.written:,} written, {made.written - kept:,} thrown out: "
        f"{_counted(made.thrown_out)}.",
        f"Command: `{command}`",
        "## What holds",
        *([markdown(chi_square_grid(chi))] if chi else []),
        *(f"### {grid.title}\n\n{markdown(grid)}" for grid in grids(figures)),
        "## Uses and limits",
        "For development, tests and simulated comparisons. Not for claims about people, or about how "
        "real ones ask: values are coarse, the queries of a grammar are of one kind, and nobody judged that "
        "a query is risky for this person.",
        "## Licence",
        "That of this project (MIT). The names of the situations are the authors' (MIT).",
    ]
    return "\n\n".join(parts) + "\n"


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common()) or "none"
