"""The figure of the comparison: normalised regret against judge calls. Matplotlib is imported when drawn."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

FLOOR = 1e-4
"""Regret that is drawn for less than this: the axis is logarithmic, and below it nobody cares."""
_COLUMNS = 4
# Okabe & Ito's palette, told apart by the colour-blind; markers and dashes tell them apart in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p")
_DASHES = ("-", "--", "-.", ":")


def finding(table: pd.DataFrame, calls: int) -> str:
    """Return one sentence: which search loses least in how many landscapes at `calls` judge calls."""
    shown = table[(table["calls"] == calls) & (table["landscape"] != "needle")]
    if shown.empty:
        return "Gain lost against judge calls"
    best = shown.loc[shown.groupby("landscape")["regret"].idxmin(), "search"]
    counts = best.value_counts()
    return (
        f"At {calls} judge calls {counts.index[0]} loses least in {counts.iloc[0]} of {len(best)} landscapes"
    )


def draw(
    table: pd.DataFrame, n_attributes: int, noise: float, calls: int, banded: Sequence[str], path: Path
) -> None:
    """Draw a panel for each landscape at one noise and number of attributes into `path` (PNG).

    `table`: rows of `normalised_regrets`. `calls`: where the title's finding is read. `banded`: searches
    whose intervals are drawn; those of all would hide the lines.
    """
    import matplotlib

    matplotlib.use("agg")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache at the first run
    from matplotlib import pyplot as plt

    shown = table[(table["n_attributes"] == n_attributes) & (table["noise_std"] == noise)]
    landscapes = list(dict.fromkeys(shown["landscape"]))
    rows = math.ceil(len(landscapes) / _COLUMNS)
    columns = min(_COLUMNS, len(landscapes))
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(7.0, 3.2 * columns), 2.7 * rows + 1.4),
        sharex=True, sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    searches = list(dict.fromkeys(shown["search"]))
    least = max(FLOOR, float(shown["regret"].min()))
    axes.flat[0].set_ylim(0.8 * 10.0 ** math.floor(math.log10(least)), 1.3)
    for i, (axis, landscape) in enumerate(zip(axes.flat, landscapes, strict=False)):
        _panel(axis, shown[shown["landscape"] == landscape], landscape, searches, banded)
        if i + _COLUMNS >= len(landscapes):  # no panel below
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("judge calls (limit)", fontsize=9)
    for axis in list(axes.flat)[len(landscapes) :]:
        axis.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False, fontsize=9
    )
    figure.suptitle(
        f"{finding(shown, calls)}\nSIMULATED scores, {n_attributes} attributes, noise {noise:g}; "
        f"bands: 95 % intervals of {' and '.join(name for name in searches if name in banded)}",
        fontsize=11,
    )
    figure.supylabel("share of the possible gain that is lost", fontsize=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _panel(axis: Any, rows: pd.DataFrame, landscape: str, searches: list[str], banded: Sequence[str]) -> None:
    for i, search in enumerate(searches):
        line = rows[rows["search"] == search].sort_values("calls")
        colour = _COLOURS[i % len(_COLOURS)]
        values = line["regret"].clip(lower=FLOOR)
        axis.plot(
            line["calls"], values, label=search, color=colour, marker=_MARKERS[i % len(_MARKERS)],
            linestyle=_DASHES[i % len(_DASHES)], markersize=4.5, linewidth=1.3,
        )  # fmt: skip
        if search not in banded:
            continue
        low, high = line["low"].clip(lower=FLOOR), line["high"].clip(lower=FLOOR)
        axis.fill_between(line["calls"], low, high, color=colour, alpha=0.15, linewidth=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks = sorted(rows["calls"].unique())
    axis.set_xticks(ticks, [str(t) for t in ticks], fontsize=8)
    axis.minorticks_off()
    axis.tick_params(axis="y", labelsize=8)
    axis.grid(True, color="0.9", linewidth=0.6)
    axis.set_title(landscape.replace("_", " "), fontsize=10)
