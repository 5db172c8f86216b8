"""Draws normalised regret: along judge calls by landscape and by search, and at one limit by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments.plots.palette import INK, PAPER, SOFT, looks
from experiments.plots.svg import Drawing, drawing, save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FLOOR = 1e-4
"""Regret that is drawn for less than this: the axis is logarithmic, and below it nobody cares."""
_COLUMNS, _COLUMNS_NARROW = 4, 2
_LOST = "share of the possible gain that is lost"
_SHORT = "share of gain lost"  # beside a figure that may be low


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


def save_picture_of_regret(shown: pd.DataFrame, calls: int, subject: str, rival: str, path: Path) -> None:
    """Write the picture of `by_landscape` to `path` (PNG), its finding above it."""
    title = finding(shown, calls, subject, rival)
    rows = math.ceil(shown["landscape"].nunique() / _COLUMNS)

    def paint(figure: Figure, narrow: bool) -> None:
        paint_landscapes(figure, narrow, shown, subject, rival)
        figure.suptitle(f"{title}\n{_where(shown)}", fontsize=10)

    save_png(paint, 10.5, 2.3 * rows + 1.2, path)


def figures(shown: pd.DataFrame, calls: int, subject: str, rival: str) -> list[Drawing]:
    """Return the figures of the page.

    `shown`: rows of `normalised_regrets` of one noise and number of attributes. `calls`: where the finding
    is read. `subject`, `rival`: the searches that it is about, drawn in colour with their intervals.
    """
    drawn = [by_landscape(shown, calls, subject, rival), at_one_limit(shown, calls, subject, rival)]
    with_more = (shown["landscape"] != "needle").any()  # nobody can do better than chance on the needle
    return [*drawn, by_search(shown, subject)] if with_more else drawn


def by_landscape(shown: pd.DataFrame, calls: int, subject: str, rival: str) -> Drawing:
    """Draw a panel for each landscape: two searches in colour, all others in grey."""
    n = shown["landscape"].nunique()
    note = (
        f"{_where(shown)}. Bands: 95 % intervals of {subject} and {rival}. Grey: every other search; the "
        f"next figure names them. Both axes are logarithmic."
    )
    return drawing(
        "by-landscape", finding(shown, calls, subject, rival), note,
        lambda figure, narrow: paint_landscapes(figure, narrow, shown, subject, rival),
        2.0 * math.ceil(n / _COLUMNS) + 0.8, 1.75 * math.ceil(n / _COLUMNS_NARROW) + 0.8,
    )  # fmt: skip


def _where(shown: pd.DataFrame) -> str:
    return (
        f"SIMULATED scores, {shown['n_attributes'].iloc[0]} attributes, noise {shown['noise_std'].iloc[0]:g}"
    )


def _panels(figure: Figure, n: int, columns: int) -> list[Axes]:
    """Return `n` axes in rows of `columns`, with shared scales; nothing is drawn in the places left over."""
    columns = min(columns, n)
    grid = figure.subplots(math.ceil(n / columns), columns, sharex=True, sharey=True, squeeze=False)
    for axes in list(grid.flat)[n:]:
        axes.set_axis_off()
    for i, axes in enumerate(list(grid.flat)[:n]):
        if i + columns >= n:  # no panel below
            axes.tick_params(labelbottom=True)
    return list(grid.flat)[:n]


def paint_landscapes(figure: Figure, narrow: bool, shown: pd.DataFrame, subject: str, rival: str) -> None:
    """Paint what `by_landscape` shows."""
    landscapes = list(dict.fromkeys(shown["landscape"]))
    panels = _panels(figure, len(landscapes), _COLUMNS_NARROW if narrow else _COLUMNS)
    searches = [s for s in dict.fromkeys(shown["search"]) if s not in (subject, rival)]
    styles = looks(dict.fromkeys((subject, rival)))
    for axes, landscape in zip(panels, landscapes, strict=True):
        own = shown[shown["landscape"] == landscape]
        for k, search in enumerate(searches):
            line = _line(own, search)
            axes.plot(
                line["calls"], line["regret"], color=SOFT, alpha=0.45, lw=0.8, label="" if k else "others"
            )
        for search, look in styles.items():
            line = _line(own, search)
            axes.fill_between(line["calls"], line["low"], line["high"], color=look.color, alpha=0.15, lw=0)
            axes.plot(
                line["calls"], line["regret"], color=look.color, marker=look.marker, ls=look.linestyle,
                lw=1.8, ms=3.5, label=search,
            )  # fmt: skip
        axes.set_title(landscape.replace("_", " "))
        _scales(axes, own, narrow)
    figure.supylabel(_SHORT, size=9)
    panels[-1].set_xlabel("judge calls (limit)")  # one for all would lie under the legend
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)


def _line(rows: pd.DataFrame, search: str) -> pd.DataFrame:
    line = rows[rows["search"] == search].sort_values("calls")
    return line.assign(**{name: line[name].clip(lower=FLOOR) for name in ("regret", "low", "high")})


def _scales(axes: Axes, rows: pd.DataFrame, narrow: bool) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = sorted(rows["calls"].unique())
    few = ticks[:: max(1, math.ceil(len(ticks) / (3 if narrow else 4)))]
    axes.set_xticks(few, [str(tick) for tick in few])
    axes.minorticks_off()
    _in_per_cent(axes.yaxis)


def _in_per_cent(axis: Axis) -> None:
    """Name the ticks of a logarithmic axis of shares; of less than a power of ten also those at 3."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    def named(share: float, _: int) -> str:
        low, high = sorted(axis.get_view_interval())
        return f"{100 * share:.3g} %" if 0.99 * low <= share <= 1.01 * high else ""  # not drawn, but laid out

    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 3.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(named))


def at_one_limit(shown: pd.DataFrame, calls: int, subject: str, rival: str) -> Drawing:
    """Draw, at `calls` judge calls, a row for each search in each landscape: every search has its name."""
    rows = shown[shown["calls"] == calls]
    landscapes, searches = list(dict.fromkeys(rows["landscape"])), list(dict.fromkeys(rows["search"]))

    def paint(figure: Figure, narrow: bool) -> None:
        columns = _COLUMNS_NARROW if narrow else _COLUMNS
        panels = _panels(figure, len(landscapes), columns)
        for k, (axes, landscape) in enumerate(zip(panels, landscapes, strict=True)):
            own = rows[rows["landscape"] == landscape].set_index("search")
            for y, search in enumerate(searches):
                if search in own.index:
                    row = own.loc[search]
                    low, mid, high = (max(FLOOR, float(row[name])) for name in ("low", "regret", "high"))
                    marked = search in (subject, rival)
                    axes.hlines(y, low, high, color=INK, lw=1.2)
                    axes.plot([mid], [y], "o", mfc=INK if marked else PAPER, mec=INK, ms=4.5)
            axes.set_xscale("log")
            _in_per_cent(axes.xaxis)
            axes.set_title(landscape.replace("_", " "))
            axes.set_ylim(len(searches) - 0.4, -0.6)
            axes.set_yticks(range(len(searches)), searches, size=7 if narrow else 8)
            axes.tick_params(axis="x", labelsize=7, which="both")
            axes.tick_params(labelleft=k % columns == 0)
        figure.supxlabel(_LOST, size=9)

    best = rows[rows["landscape"] != "needle"].groupby("search")["regret"].mean()
    least = str(best.idxmin()) if len(best) else subject
    title = f"At {calls} judge calls {least} loses least on average"
    note = f"{_where(shown)}. Left is better. Lines: 95 % intervals. Filled: {subject} and {rival}."
    height = 0.17 * len(searches) + 0.45
    return drawing(
        "at-one-limit", title, note, paint, height * math.ceil(len(landscapes) / _COLUMNS) + 0.4,
        height * math.ceil(len(landscapes) / _COLUMNS_NARROW) + 0.4,
    )  # fmt: skip


def by_search(shown: pd.DataFrame, subject: str) -> Drawing:
    """Draw a panel for each search: its mean over the landscapes, before those of all others in grey."""
    known = shown[shown["landscape"] != "needle"]
    means = known.groupby(["search", "calls"], sort=False)["regret"].mean().clip(lower=FLOOR).reset_index()
    searches = list(dict.fromkeys(means["search"]))

    def paint(figure: Figure, narrow: bool) -> None:
        for axes, search in zip(_panels(figure, len(searches), 3 if narrow else 5), searches, strict=True):
            for other in searches:
                line = means[means["search"] == other].sort_values("calls")
                axes.plot(line["calls"], line["regret"], color=SOFT, alpha=0.35, lw=0.7)
            line = means[means["search"] == search].sort_values("calls")
            axes.plot(line["calls"], line["regret"], color=INK, marker="o", ms=3.5, lw=1.8)
            axes.set_title(search, weight="bold" if search == subject else "normal", size=8)
            _scales(axes, line, True)
        figure.supylabel("mean " + _SHORT, size=9)
        figure.supxlabel("judge calls (limit)", size=9)

    title = f"Each of {len(searches)} searches by itself, over all landscapes but the needle"
    note = f"{_where(shown)}. Grey: the other searches. Both axes are logarithmic."
    return drawing(
        "by-search", title, note, paint, 1.6 * math.ceil(len(searches) / 5) + 0.6,
        1.35 * math.ceil(len(searches) / 3) + 0.6,
    )  # fmt: skip
