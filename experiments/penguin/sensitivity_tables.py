"""Attributions of many scenarios as means by domain, with intervals by person, and as a heat map."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from envs import Scenario
from experiments.penguin.attribution import Attribution
from experiments.stats import Interval, clustered_mean, student_t

SINGLE, SHAPLEY, PAIR = "single", "shapley", "pair"
ALL = "all"


class MeanWorth(NamedTuple):
    """One mean over scenarios: what (`single`, `shapley`, `pair`), of which attributes, in which domain."""

    kind: str
    domain: str
    attribute: str
    other: str
    worth: Interval
    n_scenarios: int
    n_people: int


def mean_worths(
    scenarios: Sequence[Scenario], found: Sequence[Attribution], level: float = 0.95
) -> list[MeanWorth]:
    """Return the means over all scenarios and those of each domain; intervals cluster by person."""
    people: dict[object, int] = {}
    owner = np.array([people.setdefault(s.profile, len(people)) for s in scenarios])
    names = scenarios[0].schema.names
    tables = {
        SINGLE: np.array([f.single for f in found]),
        SHAPLEY: np.array([f.shapley for f in found]),
    }
    pairs = np.array([f.pairs for f in found])
    domains = [ALL, *dict.fromkeys(s.domain for s in scenarios)]
    rows = []
    for domain in domains:
        here = np.array([domain in (ALL, s.domain) for s in scenarios])
        columns = [(k, a, "", t[here, i]) for k, t in tables.items() for i, a in enumerate(names)]
        columns += [
            (PAIR, names[i], names[j], pairs[here, i, j])
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ]
        for kind, attribute, other, values in columns:
            seen = owner[here][~np.isnan(values)]
            worth = clustered_mean(values, owner[here], level)
            rows.append(MeanWorth(kind, domain, attribute, other, worth, len(seen), len(set(seen.tolist()))))
    return rows


def scenario_intervals(
    found: Sequence[Attribution], level: float = 0.95
) -> list[tuple[list[Interval], list[Interval]]]:
    """Return, for each scenario, the intervals of the single gains and of the Shapley values.

    The variance of one look is pooled over all scenarios; of orders each has its own.
    """
    squares, freedom = (sum(f.noise[k] for f in found) for k in (0, 1))
    look = squares / freedom if freedom else 0.0
    t = student_t(int(min(freedom, 1000))) if freedom else 0.0
    rows = []
    for f in found:
        single = [
            _interval(v, t * math.sqrt(look * w)) for v, w in zip(f.single, f.single_looks, strict=True)
        ]
        parts = zip(f.shapley, f.shapley_looks, f.shapley_spread, f.freedom, strict=True)
        shapley = [
            _interval(v, (t if math.isinf(k) else student_t(int(k), level)) * math.sqrt(look * w + spread))
            if not math.isnan(v)
            else Interval(math.nan, math.nan, math.nan)
            for v, w, spread, k in parts
        ]
        rows.append((single, shapley))
    return rows


def _interval(value: float, half: float) -> Interval:
    return Interval(float(value), float(value) - half, float(value) + half)


def draw_heat_maps(rows: Sequence[MeanWorth], title: str, path: Path) -> None:
    """Draw single gains and Shapley values, attributes by domains, into `path` (PNG)."""
    import matplotlib

    matplotlib.use("agg")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache at the first run
    import matplotlib.pyplot as plt

    cell = {(r.kind, r.domain, r.attribute): r.worth for r in rows if r.kind != PAIR}
    domains = list(dict.fromkeys(domain for _, domain, _ in cell))
    names = list(dict.fromkeys(name for _, _, name in cell))
    names.sort(key=lambda name: -np.nan_to_num(cell[SHAPLEY, ALL, name].estimate, nan=-9.0))
    high = float(np.nanmax([abs(worth.estimate) for worth in cell.values()]))
    size = (2.5 + 1.6 * len(domains), 1.6 + 0.42 * len(names))
    figure, axes = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for axis, kind, words in zip(axes, (SINGLE, SHAPLEY), ("Gain of it alone", "Shapley value"), strict=True):
        grid = np.array([[cell[kind, d, name].estimate for d in domains] for name in names])
        shown = axis.imshow(grid, cmap="RdBu", vmin=-high, vmax=high, aspect="auto")
        for (i, j), value in np.ndenumerate(grid):
            worth = cell[kind, domains[j], names[i]]
            half = (worth.high - worth.low) / 2
            text = "-" if math.isnan(value) else f"{value:+.2f}\n±{half:.2f}"
            ink = "white" if abs(value) > 0.6 * high else "black"
            axis.text(j, i, text, ha="center", va="center", fontsize=6.5, color=ink)
        axis.set_xticks(range(len(domains)), domains, rotation=30, ha="right")
        axis.set_yticks(range(len(names)), names)
        axis.axvline(0.5, color="black", linewidth=1.5)
        axis.set_title(words, fontsize=10)
    figure.colorbar(shown, ax=axes, label="points of the score (1-5)", fraction=0.03)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=150)
    plt.close(figure)
