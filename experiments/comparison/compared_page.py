"""The page of a comparison of searches: the finding, what speaks against it, all figures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from experiments.comparison.curves import figures, finding
from experiments.comparison.tables import needle_line, percent
from experiments.pages import Grid, KeyFact, page
from experiments.plots.svg import Drawing

TERMS = ("regret", "judge call", "landscape", "SIMULATED", "simulations", "optimism", "interval", "budget")


def compared_page(
    table: pd.DataFrame, drawn: pd.DataFrame, needle: pd.DataFrame, searches: pd.DataFrame, calls: int,
    subject: str, rival: str,
) -> str:  # fmt: skip
    """Return the page.

    `table`, `drawn`: rows of `normalised_regrets`, all and those that figures show. `needle`, `searches`:
    rows of `needle_finds` and `by_search`. `calls`: the limit at which the finding is read.
    """
    title = finding(drawn, calls, subject, rival)
    parts: list[Drawing | Grid] = [*figures(drawn, calls, subject, rival), _whole(table), _beliefs(searches)]
    lead = [line for line in [needle_line(needle, calls)] if line]
    return page(
        title, lead, "SIMULATED scores: formulas with made-up numbers judged; no person, no language model.",
        parts, facts=_facts(table, drawn, calls, subject, title),
        cards=extreme_landscapes(drawn, calls, subject, rival), terms=TERMS,
    )  # fmt: skip


def _facts(table: pd.DataFrame, drawn: pd.DataFrame, calls: int, subject: str, title: str) -> list[KeyFact]:
    names = list(dict.fromkeys(table["search"]))
    has_needle = (table["landscape"] == "needle").any()
    landscapes, judges = table["landscape"].nunique(), int(table["judges"].max())
    return [
        KeyFact("What is compared?", f"{len(names)} searches at the same limits on judge calls."),
        KeyFact(
            "On what?",
            f"{landscapes} landscapes (kinds of made-up scores) under {judges} judges each."
            + (" The needle counts in no mean: only luck finds it." if has_needle else ""),
        ),
        KeyFact(
            "Against what?",
            f"{subject}, the default search, against {', '.join(n for n in names if n != subject)}.",
        ),
        KeyFact("Is it better?", f"{title}; {_rank(drawn, calls, subject)}"),
        KeyFact(
            "Is it real?", "No, SIMULATED: the truth is known by enumeration, which no real judge allows."
        ),
    ]


def _rank(drawn: pd.DataFrame, calls: int, subject: str) -> str:
    """Say where the subject stands by its mean over landscapes, the needle apart."""
    rows = drawn[(drawn["calls"] == calls) & (drawn["landscape"] != "needle")]
    means = rows.groupby("search")["regret"].mean().sort_values()
    if subject not in means:
        return f"{subject} is not among them."
    place = list(means.index).index(subject) + 1
    first = f"the least is {percent(float(means.iloc[0]))} % by {means.index[0]}"
    own = f"{subject} loses {percent(float(means[subject]))} % of the possible gain on average"
    return f"{own}, place {place} of {len(means)} ({first})."


def extreme_landscapes(drawn: pd.DataFrame, calls: int, subject: str, rival: str) -> list[KeyFact]:
    """Return where the subject does worst and best against the rival, of equal size.

    By the paired difference of regret and its interval; nothing where the two are not compared.
    """
    column = f"vs_{rival}"
    rows = drawn[(drawn["calls"] == calls) & (drawn["search"] == subject)]
    if subject == rival or column not in rows or rows[column].isna().all():
        return []
    rows = rows[rows[column].notna()].sort_values(column)
    worst, best = rows.iloc[-1], rows.iloc[0]
    return [
        KeyFact(f"Least favourable landscape of {len(rows)} (SIMULATED)", _against(worst, rival)),
        KeyFact(f"Most favourable landscape of {len(rows)} (SIMULATED)", _against(best, rival)),
    ]


def _against(row: pd.Series, rival: str) -> str:
    low, high = row[f"vs_{rival}_low"], row[f"vs_{rival}_high"]
    verdict = {"below": "loses less", "above": "loses more"}.get(row[f"vs_{rival}_verdict"], "not told apart")
    where = row["landscape"].replace("_", " ")
    shown = f"{100 * row[f'vs_{rival}']:+.2f} [{100 * low:.2f}, {100 * high:.2f}] points"
    return f"{where}: {shown} of the possible gain lost, against {rival}: {verdict}."


def _whole(table: pd.DataFrame) -> Grid:
    columns = ("landscape", "search", "attributes", "noise", "calls", "gain lost, %", "low", "high")
    rows = [
        (
            str(r["landscape"]), str(r["search"]), str(r["n_attributes"]), f"{r['noise_std']:g}",
            str(r["calls"]),
            percent(r["regret"]), percent(r["low"]), percent(r["high"]),
        )
        for r in table.to_dict("records")
    ]  # fmt: skip
    data: list[Sequence[object]] = [list(table.columns), *table.to_numpy().tolist()]
    return Grid("Every search, landscape and limit", columns, rows, "Intervals: 95 %.", 2, "regret", data)


def _beliefs(searches: pd.DataFrame) -> Grid:
    columns = (
        "search",
        "noise",
        "plans",
        "reported - true",
        "believed - true",
        "calls used",
        "seconds a plan",
    )
    rows = [
        (
            str(r["search"]), f"{r['noise_std']:g}", f"{r['plans']:,}", f"{r['optimism']:+.3f}",
            f"{r['belief_error']:+.3f}", f"{r['calls_used']:.0%}", f"{r['seconds']:.3f}",
        )
        for r in searches.to_dict("records")
    ]  # fmt: skip
    note = "Of the score: what the report and the searcher say, less the truth."
    return Grid("What is reported, what was believed, and what it took", columns, rows, note, 1, "searches")
