"""Draws normalised regret against judge calls. Matplotlib is imported when drawn."""

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
_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
_BOLD = ("#000000", "#D55E00")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p")
_DASHES = ("--", "-.", ":", "-")


def finding(table: pd.DataFrame, calls: int, subject: str, rival: str) -> str:
    """Return one sentence: in how many landscapes `subject` loses less, or more, than `rival`.

    Counted are differences whose paired interval excludes 0, without the needle, where nothing can be
    learned.
    """
    shown = table[(table["calls"] == calls) & (table["landscape"] != "needle") & (table["search"] == subject)]
    if shown.empty or f"vs_{rival}_verdict" not in shown or subject == rival:
        return "Gain that is lost, by judge calls"
    verdicts = list(shown[f"vs_{rival}_verdict"])
    less, more = verdicts.count("below"), verdicts.count("above")
    return (
        f"At {calls} judge calls {subject} loses less than {rival} in {less} of {len(verdicts)} landscapes, "
        f"more in {more}"
    )


def draw(shown: pd.DataFrame, calls: int, subject: str, rival: str, path: Path) -> None:
    """Draw a panel for each landscape into `path` (PNG).

    `shown`: rows of `normalised_regrets` of one noise and number of attributes. `calls`: where the title's
    finding is read. `subject`, `rival`: the searches that it is about, drawn in bold and with their
    intervals; those of all would hide the lines.
    """
    import matplotlib

    matplotlib.use("agg")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache at the first run
    from matplotlib import pyplot as plt

    landscapes = list(dict.fromkeys(shown["landscape"]))
    rows = math.ceil(len(landscapes) / _COLUMNS)
    columns = min(_COLUMNS, len(landscapes))
    figure, axes = plt.subplots(
        rows, columns, figsize=(max(7.0, 3.2 * columns), 2.7 * rows + 1.4),
        sharex=True, sharey=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    searches = list(dict.fromkeys(shown["search"]))
    banded = (subject, rival)
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
        handles, labels, loc="outside lower center", ncols=min(7, len(labels)), frameon=False, fontsize=9
    )
    where = f"{shown['n_attributes'].iloc[0]} attributes, noise {shown['noise_std'].iloc[0]:g}"
    bold = " and ".join(name for name in searches if name in banded)
    title = (
        f"{finding(shown, calls, subject, rival)}\nSIMULATED scores, {where}; bands: 95 % intervals of {bold}"
    )
    figure.suptitle(title, fontsize=11)
    figure.supylabel("share of the possible gain that is lost", fontsize=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _panel(axis: Any, rows: pd.DataFrame, landscape: str, searches: list[str], banded: Sequence[str]) -> None:
    for search, style in _styles(searches, banded).items():
        line = rows[rows["search"] == search].sort_values("calls")
        axis.plot(line["calls"], line["regret"].clip(lower=FLOOR), label=search, markersize=4.5, **style)
        if search in banded:
            low, high = line["low"].clip(lower=FLOOR), line["high"].clip(lower=FLOOR)
            axis.fill_between(line["calls"], low, high, color=style["color"], alpha=0.12, linewidth=0)
    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks = sorted(rows["calls"].unique())
    axis.set_xticks(ticks, [str(t) for t in ticks], fontsize=8)
    axis.minorticks_off()
    axis.tick_params(axis="y", labelsize=8)
    axis.grid(True, color="0.9", linewidth=0.6)
    axis.set_title(landscape.replace("_", " "), fontsize=10)


def _styles(searches: Sequence[str], banded: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return how each search is drawn; no two alike in marker, nor in colour and dash."""
    styles: dict[str, dict[str, Any]] = {}
    others = [search for search in searches if search not in banded]
    for i, search in enumerate(others):
        dash = _DASHES[(i + i // len(_COLOURS)) % len(_DASHES)]
        styles[search] = {"color": _COLOURS[i % len(_COLOURS)], "linestyle": dash, "linewidth": 1.2}
    for search, colour in zip([s for s in banded if s in searches], _BOLD, strict=False):
        styles[search] = {"color": colour, "linestyle": "-", "linewidth": 2.2, "zorder": 3}
    for i, search in enumerate(searches):
        styles[search]["marker"] = _MARKERS[i % len(_MARKERS)]
    return {search: styles[search] for search in searches}
