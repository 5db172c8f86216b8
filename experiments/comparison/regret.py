"""Tables of a comparison: normalised regret with paired bootstrap intervals, and chance on the needle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from envs.judges.landscapes import NEEDLE_SIZE
from experiments.stats import NestedBootstrap, binomial_interval

_FOUND = 1e-9
"""Regret below which the needle was found."""
COORDINATES = ["landscape", "n_attributes", "noise_std", "calls"]
_PROBLEM = ["model_seed", "scenario_id"]


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
    bootstrap = NestedBootstrap(first.index.get_level_values("model_seed").to_numpy(), seed, draws)
    gain = (first["best"] - first["empty"]).to_numpy()
    rows = []
    for name, table in tables.items():
        regret = table["regret"].to_numpy()
        found = bootstrap.ratio(regret, gain)
        row: dict[str, object] = {
            "search": name,
            "problems": len(table),
            "judges": table.index.get_level_values("model_seed").nunique(),
            "regret": found.estimate,
            "low": found.low,
            "high": found.high,
            "optimism": float(table["optimism"].mean()),
            "belief_error": float(table["belief_error"].mean()),
            "judge_calls": float(table["search_calls"].mean()),
            "seconds": float(table["seconds"].mean()),
        }
        for other in against:
            if other in tables and other != name:
                delta = bootstrap.ratio(regret - tables[other]["regret"].to_numpy(), gain)
                row |= {
                    f"vs_{other}": delta.estimate,
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
        found = NestedBootstrap(clusters, seed, draws).mean(part["optimism"].to_numpy())
        rows.append(
            {
                "noise_std": noise,
                "search": search,
                "plans": len(part),
                "optimism": found.estimate,
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

    `chance`: the share of a search that evaluates another set of four with every call but the first, which is
    that of nothing known. With `low` above it a search would know what nobody can know.
    """
    rows = []
    needle = runs[runs["landscape"] == "needle"]
    where = ["n_attributes", "noise_std", "calls", "search"]
    for key, part in needle.groupby(where, sort=False):
        row: dict[str, Any] = dict(zip(where, key, strict=True))
        found = int((part["regret"] < _FOUND).sum())
        share, low, high = binomial_interval(found, len(part))
        sets = math.comb(row["n_attributes"], min(row["n_attributes"], NEEDLE_SIZE))
        row |= {"found": found, "of": len(part), "share": share, "low": low, "high": high}
        rows.append(row | {"chance": min(1.0, (row["calls"] - 1) / sets)})
    return pd.DataFrame(rows, columns=[*where, "found", "of", "share", "low", "high", "chance"])
