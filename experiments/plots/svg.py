"""Draws figures as inline SVG in one style: readable without colour, text as outlines, no font needed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREYS = ("#111111", "#c2571a", "#1f6f9c", "#7a9a2e", "#8b5a9c", "#b08d57", "#5c5c5c", "#3aa08d")
"""Line colours of different lightness; markers and dashes tell them apart in grey as well."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_STYLE: Any = {
    "svg.fonttype": "path",
    "svg.hashsalt": "raise-planner",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "hatch.linewidth": 0.7,
}


class Line(NamedTuple):
    """Points joined by a line. `low`, `high`: ends of the intervals of `y`, or None."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


class Drawing(NamedTuple):
    """A figure for the report: its title says what is seen, `svg` is complete in itself."""

    key: str
    title: str
    note: str
    svg: str


@contextmanager
def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> Iterator[tuple[Figure, np.ndarray]]:
    """Yield (figure, axes[rows, columns]) of `width` x `height` inches in the common style."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False)


def to_svg(figure: Figure, key: str, title: str) -> str:
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


def draw_lines(axes: Axes, lines: Sequence[Line], intervals: bool = True) -> None:
    """Draw `lines`, each with its own colour, marker and dashes."""
    for k, line in enumerate(lines):
        style: dict[str, Any] = {"color": GREYS[k % len(GREYS)], "marker": MARKERS[k % len(MARKERS)]}
        dashes: Any = DASHES[k % len(DASHES)] if len(line.x) > 1 else "none"
        axes.plot(line.x, line.y, linestyle=dashes, label=line.label, markersize=5, linewidth=1.4, **style)
        if intervals and line.low is not None and line.high is not None:
            axes.vlines(line.x, line.low, line.high, color=style["color"], linewidth=0.8, alpha=0.7)


def draw_heat(axes: Axes, shares: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Draw `shares` (float64[len(rows), len(columns)], in [0, 1]) in grey, the larger ones as numbers."""
    axes.imshow(shares, cmap="Greys", vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(False)
    axes.tick_params(length=0)
    for i, j in np.argwhere(shares >= 0.095).tolist():
        dark = shares[i, j] > 0.55
        axes.text(j, i, f"{shares[i, j]:.0%}", ha="center", va="center", size=7, color="w" if dark else "k")
