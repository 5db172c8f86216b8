"""Draws figures as inline SVG in one style: readable without colour, text as outlines, no font needed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.plots.palette import INK, LIGHT, PAPER, RULE, SOFT, family_of, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = 8.6, 3.7
"""Inches across of a figure on a screen of 1280 px and on a phone of 390 px."""
_STYLE: Any = {
    "svg.fonttype": "path",
    "svg.hashsalt": "raise-planner",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "hatch.color": INK,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 5.0,
}
Paint = Callable[["Figure", bool], None]
"""Draws into a figure; True for a narrow screen."""


class Line(NamedTuple):
    """Points joined by a line. `low`, `high`: ends of the intervals of `y`, or None."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


class Drawing(NamedTuple):
    """A figure of a page: its title says what is seen, `svg` is complete in itself.

    `narrow`: the same for a phone, drawn anew. `panels`: small ones of equal size in place of both, which
    the page sets side by side as its width allows.
    """

    key: str
    title: str
    note: str
    svg: str
    narrow: str = ""
    panels: tuple[str, ...] = ()


def drawing(
    key: str, title: str, note: str, paint: Paint, height: float, narrow_height: float | None = None
) -> Drawing:
    """Return the figure that `paint` draws, wide and narrow; heights in inches."""
    wide = painted(paint, WIDE, height, key, title)
    narrow = painted(paint, NARROW, narrow_height or height, f"{key}-narrow", title, narrow=True)
    return Drawing(key, title, note, wide, narrow)


def painted(paint: Paint, width: float, height: float, key: str, title: str, narrow: bool = False) -> str:
    """Return one rendering of `width` x `height` inches as an SVG element."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure, narrow)
        return _to_svg(figure, key, title)


def save_png(paint: Paint, width: float, height: float, path: Path) -> None:
    """Write one rendering on white paper to `path`."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "savefig.facecolor": "white"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure, False)
        figure.savefig(path, dpi=130, metadata={"Software": None})


def _to_svg(figure: Figure, key: str, title: str) -> str:
    """Return `figure` as an SVG element whose ids begin with `key`, so that many fit in one page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r'href="#', f'href="#{key}-', text)
    text = re.sub(r"url\(#", f"url(#{key}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1)
    label = title.replace("&", "and").replace('"', "'").replace("<", "below ")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def draw_lines(axes: Axes, lines: Sequence[Line], intervals: bool = True, joined: bool = True) -> None:
    """Draw `lines`, each with the colour, marker and dashes of its name; `joined`: not its points alone."""
    from matplotlib.transforms import ScaledTranslation

    styles = looks(family_of(line.label) for line in lines)
    for k, line in enumerate(lines):
        look = styles[family_of(line.label)]
        # Side by side, so that intervals at one place can be told apart.
        aside = 3.0 / 72.0 * (k - (len(lines) - 1) / 2) if intervals and joined else 0.0
        placed = axes.transData + ScaledTranslation(aside, 0.0, axes.figure.dpi_scale_trans)
        dashes: Any = look.linestyle if joined and len(line.x) > 1 else "none"
        artists: list[Any] = axes.plot(
            line.x, line.y, label=line.label, color=look.color, marker=look.marker, linestyle=dashes
        )
        if intervals and line.low is not None and line.high is not None:
            artists.append(axes.vlines(line.x, line.low, line.high, color=look.color, lw=0.9, alpha=0.7))
        for artist in artists:  # moved when the limits of the axes are known from the data
            artist.set_transform(placed)


def name_lines(figure: Figure, axes: Axes, narrow: bool) -> None:
    """Name what is drawn: beside the ends of the lines, highest first; below the axes on a narrow screen."""
    handles, labels = axes.get_legend_handles_labels()
    drawn = {line.get_label(): float(np.asarray(line.get_ydata())[-1]) for line in axes.get_lines()}
    last = [drawn[label] for label in labels]
    order = sorted(range(len(labels)), key=lambda i: -last[i])
    shown = [handles[i] for i in order], [labels[i] for i in order]
    if narrow:
        columns = 1 if max(map(len, labels)) > 22 else 2
        figure.legend(*shown, loc="outside lower left", ncols=columns, handlelength=3.2)
        return
    axes.legend(*shown, loc="center left", bbox_to_anchor=(1.01, 0.5), handlelength=3.2)


def draw_signed_heat(
    axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], texts: np.ndarray
) -> None:
    """Draw `values` (float64[len(rows), len(columns)]) as ink of two colours, gains and losses.

    `texts` (str, same shape) are what each cell X
    """
    from matplotlib.patches import Rectangle

    most = float(np.nanmax(np.abs(values), initial=1e-12))
    for (i, j), value in np.ndenumerate(values):
        share = 0.0 if np.isnan(value) else abs(float(value)) / most
        ink = LIGHT[1] if value > 0 else LIGHT[2]
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=ink, alpha=share / 2, linewidth=0))
        axes.text(j, i, str(texts[i, j]), ha="center", va="center", size=7.5, color=INK)
    _frame_cells(axes, rows, columns)


def draw_heat(axes: Axes, shares: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Draw `shares` (float64[len(rows), len(columns)], in [0, 1]) as ink, the larger ones as numbers."""
    from matplotlib.patches import Rectangle

    for (i, j), share in np.ndenumerate(shares):
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=INK, alpha=float(share), linewidth=0))
        if share >= 0.095:
            color = PAPER if share > 0.55 else INK
            axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", size=7, color=color)
    _frame_cells(axes, rows, columns)


def _frame_cells(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Name the rows and columns of a table of cells."""
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(False)
    axes.tick_params(length=0)
    for artist in (*axes.patches, *axes.texts):  # inside, so that the layout need not measure them
        artist.set_in_layout(False)
