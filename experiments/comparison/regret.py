"""From runs to claims: normalised regret with paired bootstrap intervals, and chance on the needle."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from envs.judges.landscapes import NEEDLE_SIZE

_FOUND = 1e-9
"""Regret below which the needle was found."""
COORDINATES = ["landscape", "n_attributes", "noise_std", "calls"]
_PROBLEM = ["model_seed", "scenario_id"]


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Say on which side of zero the interval lies: `below`, `above`, or `undecided`."""
        return "below" if self.high < 0.0 else "above" if self.low > 0.0 else "undecided"


def resampled(clusters: Sequence[int] | np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return int64[draws, P], how often each problem is in each bootstrap sample.

    `clusters`: int[P], the judge (`model_seed`) of each problem. Judges are drawn with replacement, and
    within each drawn judge its problems; with one judge, its problems alone. Equal counts for two
    searches on the same problems make a comparison paired.
    """
    labels, inverse = np.unique(np.asarray(clusters), return_inverse=True)
    members = [np.flatnonzero(inverse == i) for i in range(len(labels))]
    rng = np.random.default_rng(seed)
    counts = np.zeros((draws, len(inverse)), dtype=np.int64)
    times = rng.multinomial(len(labels), np.full(len(labels), 1.0 / len(labels)), size=draws)
    for inside, drawn in zip(members, times.T, strict=True):
        size = len(inside)
        counts[:, inside] = rng.multinomial(drawn * size, np.full(size, 1.0 / size))
    return counts


def ratio(numerator: np.ndarray, denominator: np.ndarray, counts: np.ndarray) -> Interval:
    """Return sum(numerator) / sum(denominator) over P problems, with its percentile interval.

    NaN where the denominator's sum is 0 (nothing to gain in any problem).
    """
    below = counts @ denominator
    total = float(denominator.sum())
    if total == 0.0:
        return Interval(np.nan, np.nan, np.nan)
    some = below > 0.0  # a resample of people with nothing to gain says nothing
    if not some.any():
        return Interval(float(numerator.sum()) / total, np.nan, np.nan)
    drawn = (counts @ numerator)[some] / below[some]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(numerator.sum()) / total, float(low), float(high))


def mean_interval(values: np.ndarray, counts: np.ndarray) -> Interval:
    """Return the mean of `values` (float64[P]) with its percentile interval."""
    return ratio(values, np.ones(len(values)), counts)


def normalised_regrets(runs: pd.DataFrame, against: Sequence[str], draws: int, seed: int) -> pd.DataFrame:
    """Return a row for each (landscape, n_attributes, noise_std, calls, search).

    `regret, low, high`: sum(best - true) / sum(best - empty) over the problems of the cell. For each search
    of `against` that was run there, `vs_S, vs_S_low, vs_S_high, vs_S_verdict`: this search's figure less
    that of S on the same problems; `below` = this search loses less. `optimism`: mean (reported - true).
    `judge_calls`: mean calls the search used.
    """
    rows = []
    for where, cell in runs.groupby(COORDINATES, sort=False):
        tables = {str(name): _by_problem(part) for name, part in cell.groupby("search", sort=False)}
        rows += [
            dict(zip(COORDINATES, where, strict=True)) | row
            for row in _cell_rows(tables, against, draws, seed)
        ]
    return pd.DataFrame(rows)


def _by_problem(part: pd.DataFrame) -> pd.DataFrame:
    return part.set_index(_PROBLEM).sort_index()


def _cell_rows(
    tables: dict[str, pd.DataFrame], against: Sequence[str], draws: int, seed: int
) -> list[dict[str, object]]:
    first = next(iter(tables.values()))
    counts = resampled(first.index.get_level_values("model_seed").to_numpy(), draws, seed)
    gain = (first["best"] - first["empty"]).to_numpy()
    rows = []
    for name, table in tables.items():
        regret = table["regret"].to_numpy()
        found = ratio(regret, gain, counts)
        row: dict[str, object] = {
            "search": name,
            "problems": len(table),
            "judges": table.index.get_level_values("model_seed").nunique(),
            "regret": found.value,
            "low": found.low,
            "high": found.high,
            "optimism": float(table["optimism"].mean()),
            "belief_error": float(table["belief_error"].mean()),
            "judge_calls": float(table["search_calls"].mean()),
            "seconds": float(table["seconds"].mean()),
        }
        for other in against:
            if other in tables and other != name:
                delta = ratio(regret - tables[other]["regret"].to_numpy(), gain, counts)
                row |= {
                    f"vs_{other}": delta.value,
                    f"vs_{other}_low": delta.low,
                    f"vs_{other}_high": delta.high,
                    f"vs_{other}_verdict": delta.verdict,
                }
        rows.append(row)
    return rows


def by_search(runs: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """Return a row for each (noise_std, search) over all its plans, beside their regret.

    `optimism, optimism_low, optimism_high`: mean (reported - true); `belief_error`: mean (what the search
    believed - true); `calls_used`: share of the limit; `seconds`: mean time of a plan, its report included.
    """
    rows = []
    for (noise, search), part in runs.groupby(["noise_std", "search"], sort=False):
        clusters = part.groupby(["landscape", "n_attributes", "model_seed"]).ngroup().to_numpy()
        found = mean_interval(part["optimism"].to_numpy(), resampled(clusters, draws, seed))
        rows.append(
            {
                "noise_std": noise,
                "search": search,
                "plans": len(part),
                "optimism": found.value,
                "optimism_low": found.low,
                "optimism_high": found.high,
                "belief_error": float(part["belief_error"].mean()),
                "calls_used": float(part["search_calls"].sum() / part["calls"].sum()),
                "seconds": float(part["seconds"].mean()),
            }
        )
    return pd.DataFrame(rows)


def needle_finds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how often each search found the needle: `found, of, share, low, high, chance`, a row a cell.

    `chance`: the share of a search that looks at another set of four with every call but the first, which is
    that of nothing known. With `low` above it a search would know what nobody can know.
    """
    rows = []
    needle = runs[runs["landscape"] == "needle"]
    where = ["n_attributes", "noise_std", "calls", "search"]
    for key, part in needle.groupby(where, sort=False):
        row: dict[str, Any] = dict(zip(where, key, strict=True))
        found = int((part["regret"] < _FOUND).sum())
        share = binomial_interval(found, len(part))
        sets = math.comb(row["n_attributes"], min(row["n_attributes"], NEEDLE_SIZE))
        row |= {"found": found, "of": len(part), "share": share.value, "low": share.low, "high": share.high}
        rows.append(row | {"chance": min(1.0, (row["calls"] - 1) / sets)})
    return pd.DataFrame(rows, columns=[*where, "found", "of", "share", "low", "high", "chance"])


def binomial_interval(hits: int, trials: int, level: float = 0.95) -> Interval:
    """Return the share of hits with its exact interval (Clopper & Pearson 1934), by bisection."""
    tail = (1.0 - level) / 2.0
    low = 0.0 if hits == 0 else _root(lambda p: 1.0 - _cdf(hits - 1, trials, p) - tail)
    high = 1.0 if hits == trials else _root(lambda p: tail - _cdf(hits, trials, p))
    return Interval(hits / trials, low, high)


def _cdf(hits: int, trials: int, p: float) -> float:
    """Return P(X <= hits), X binomial."""
    k = np.arange(trials + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((trials - k[:-1]) / (k[:-1] + 1.0)))])
    return float(np.exp(logs + k * np.log(p) + (trials - k) * np.log1p(-p))[: hits + 1].sum())


def _root(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if rising(middle) > 0.0 else (middle, high)
    return 0.5 * (low + high)
