"""A training run in numbers: `summary.json`, the figures by domain, and the tables at its end."""

from __future__ import annotations

import functools
import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.markup import escape
from rich.table import Table

from envs import DOMAINS, Schema
from envs.llm.books import Accounts, as_rows
from envs.loading import ScenarioSet
from search.planning import Failure

_FIRST_SHOWN = 5


def unread(loaded: ScenarioSet) -> list[Failure]:
    """Return a failure for each record of the file that is listed as bad."""
    return [Failure(b.scenario_id or b.place, "load", f"{b.place}: {b.reason}") for b in loaded.bad]


def spent(accounts: Accounts) -> dict[str, Any]:
    """Return what requests took, for `summary.json`: all sessions of a run, in total and by model and kind.

    `cost` in dollars, None where a model has no price. Empty where nobody keeps books.
    """
    if not accounts:
        return {}
    rows = list(accounts.values())
    dollars = [account.dollars for account in rows]
    return {
        "requests": sum(account.requests for account in rows),
        "cache_hits": sum(account.cache_hits for account in rows),
        "tokens": sum(account.input_tokens + account.output_tokens for account in rows),
        "cost": None if None in dollars else sum(d or 0.0 for d in dollars),
        "spending": as_rows(accounts),
    }


@dataclass(frozen=True)
class DomainRow:
    """One line of the table at the end of a run."""

    domain: str
    n: int
    empty: float | None
    path: float | None
    full: float | None
    length: float | None
    first: tuple[tuple[str, int], ...]


_MEANS = ("empty", "path", "full", "length", "optimism")
_SUMS = (
    *("judge_calls", "search_calls", "full_calls", "requests", "cache_hits", "invalid_rankings"),
    "num_simulations",
)


class _Mean:
    """A mean of numbers that are not kept: their sum, to the last bit, is that of a few that are."""

    def __init__(self) -> None:
        self.n = 0
        self.parts: list[float] = []

    def add(self, values: np.ndarray) -> None:
        """Add the numbers of float64[n] that are not NaN."""
        kept = values[~np.isnan(values)].tolist()
        self.n += len(kept)
        kept += self.parts
        self.parts = []
        while (part := math.fsum([*kept, *(-p for p in self.parts)])) != 0:
            self.parts.append(part)

    def plus(self, other: _Mean) -> _Mean:
        """Return the mean over the numbers of both."""
        both = _Mean()
        both.add(np.array([*self.parts, *other.parts]))
        both.n = self.n + other.n
        return both

    def value(self) -> float | None:
        """Return the mean, None of no number."""
        return math.fsum(self.parts) / self.n if self.n else None


class _DomainFigures:
    def __init__(self) -> None:
        self.n = 0
        self.means = {name: _Mean() for name in _MEANS}
        self.first: Counter[str] = Counter()

    def add(self, rows: pa.Table) -> None:
        self.n += rows.num_rows
        score, lengths = rows["score"].to_numpy(), pc.list_value_length(rows["path"]).to_numpy()
        self.means["empty"].add(pc.fill_null(pc.list_element(rows["path_scores"], 0), math.nan).to_numpy())
        self.means["path"].add(score)
        self.means["full"].add(rows["score_full"].to_numpy())
        self.means["length"].add(lengths.astype(np.float64))
        self.means["optimism"].add(rows["search_score"].to_numpy() - score)
        asked = rows["path"].filter(pa.array(lengths > 0))
        for counted in pc.value_counts(pc.list_element(asked, 0)).to_pylist():
            self.first[counted["values"]] += counted["counts"]

    def plus(self, other: _DomainFigures) -> _DomainFigures:
        both = _DomainFigures()
        both.n, both.first = self.n + other.n, self.first + other.first
        both.means = {name: self.means[name].plus(other.means[name]) for name in _MEANS}
        return both


class RunFigures:
    """Figures of a run, from rows (`search.plan_lines.in_order`) that come in file order and are not kept.

    `n`: rows so far. `judge`: the name in the first of them.
    """

    def __init__(self) -> None:
        self.n = 0
        self.judge: str | None = None
        self.sums = dict.fromkeys(_SUMS, 0)
        self._domains: dict[str, _DomainFigures] = {}

    def add(self, rows: pa.Table) -> None:
        """Count `rows` in."""
        if not rows.num_rows:
            return
        self.n += rows.num_rows
        self.judge = rows["judge"][0].as_py() if self.judge is None else self.judge
        for name in _SUMS:
            self.sums[name] += pc.sum(rows[name]).as_py()
        for domain in pc.unique(rows["domain"]).to_pylist():
            own = rows.filter(pc.equal(rows["domain"], domain))
            self._domains.setdefault(domain, _DomainFigures()).add(own)

    def counted(self, rows: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield each of `rows`, counted in."""
        for table in rows:
            self.add(table)
            yield table

    def whole(self) -> _DomainFigures:
        """Return the figures of all domains together."""
        return functools.reduce(_DomainFigures.plus, self._domains.values(), _DomainFigures())

    def by_domain(self) -> list[DomainRow]:
        """Return a row for each domain that occurs, then one for all."""
        named = [(name, self._domains[name]) for name in in_order(self._domains)]
        return [_row(name, found) for name, found in [*named, ("all", self.whole())] if found.n]

    def summary(
        self, n_failed: int, wall_s: float, simulated: bool, left_out: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the content of `summary.json`; scores are means in [1, 5], None where nothing was scored.

        `judge_calls` is the sum over the table; `full_context_calls` come on top, for `mean_score_full`.
        `left_out`: attributes of the schema that no plan weighed (`envs.scenario.within_one_plan`).
        """
        means = {name: found.value() for name, found in self.whole().means.items()}
        return {
            "n_scenarios": self.n + n_failed,
            "n_planned": self.n,
            "n_failed": n_failed,
            "judge_calls": self.sums["judge_calls"],
            "search_judge_calls": self.sums["search_calls"],
            "full_context_calls": self.sums["full_calls"],
            "requests": self.sums["requests"],
            "cache_hits": self.sums["cache_hits"],
            "invalid_rankings": self.sums["invalid_rankings"],
            "simulations": self.sums["num_simulations"],
            "wall_s": round(wall_s, 3),
            "mean_score_empty": means["empty"],
            "mean_score_path": means["path"],
            "mean_score_full": means["full"],
            "mean_path_length": means["length"],
            "mean_optimism": means["optimism"],
            "judge": self.judge,
            "judge_is_simulated": simulated,
            **({"attributes_left_out": list(left_out)} if left_out else {}),
        }


def in_order(domains: Iterable[str]) -> list[str]:
    """Return the distinct `domains` as tables list them: PENGUIN's in its order, others as they occur."""
    found = dict.fromkeys(domains)
    return [*(d for d in DOMAINS if d in found), *(d for d in found if d not in DOMAINS)]


def _row(name: str, found: _DomainFigures) -> DomainRow:
    ranked = sorted(found.first.items(), key=lambda item: (-item[1], item[0]))
    empty, path, full, length = (found.means[key].value() for key in ("empty", "path", "full", "length"))
    return DomainRow(name, found.n, empty, path, full, length, tuple(ranked))


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
