"""Figures of an evaluation; each title says what is seen, computed from the numbers drawn."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.evaluation.methods.baselines import BEST_STATIC, BEST_STATIC_ALL, FULL, ORACLE, VANILLA
from experiments.evaluation.methods.population_plans import POPULATION
from experiments.evaluation.methods.trajectories import POLICY
from experiments.evaluation.report.method_figures import MethodFigures
from experiments.plots.palette import INK, PAPER, SOFT, looks
from experiments.plots.svg import Drawing, Line, draw_heat, draw_lines, drawing, name_lines
from experiments.stats import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED = {"vanilla": 2.86, "+ abstention": 3.56, "+ planner": 3.77, "full context": 4.00}
"""Mean scores of arXiv 2505.18882: six models, real judge (full context: another table)."""
PUBLISHED_QUESTIONS = 2.7
DRAWN = (
    "random order",
    "random order + value",
    BEST_STATIC_ALL,
    BEST_STATIC,
    "nearest + value",
    "vote + value",
    "conditional + value",
    "random order + scale",
    "vote + scale",
    "llm + scale",
    POPULATION,
)
"""Families in the figure of score against questions; the table has all."""
LEFT_OUT = ("nearest + value", "random order", BEST_STATIC_ALL)
"""Those that are left to the table where there are more than can be told apart."""
MOST_LINES = 8


def pareto(found: dict[str, MethodFigures], chosen: str, simulated: bool) -> Drawing:
    """Draw mean score against mean questions, a line a family of operating points, and `chosen` by itself."""
    families: dict[str, list[MethodFigures]] = {}
    for figures in found.values():
        if figures.curve:
            families.setdefault(figures.curve, []).append(figures)
    title = _pareto_title(families)

    def paint(figure: Figure, narrow: bool) -> None:
        pair = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
        lines = [_line(name, families[name]) for name in _drawn(families)]
        for axes in pair:
            draw_lines(axes, lines, intervals=False)
            _mark_methods(axes, found, chosen)
            axes.set_xlabel("questions asked (mean)")
        pair[0].set_ylabel(_score_label(simulated))
        _close_up(pair[1], lines)
        name_lines(figure, pair[1], narrow)

    note = (
        "A line joins the operating points of one method: the number of questions, or the cost that stops "
        "it. The vertical bar is the chosen policy's interval; those of all methods are in the table below. "
        "The second picture enlarges the first."
    )
    return drawing("pareto", title, note, paint, 4.6, 8.4)


def _close_up(axes: Axes, lines: Sequence[Line]) -> None:
    """Show the highest fifth of the scores alone, where methods differ by little."""
    scores = [y for line in lines for y in line.y if math.isfinite(y)]
    if scores and max(scores) > min(scores):
        span = max(scores) - min(scores)
        axes.set_ylim(max(scores) - 0.2 * span, max(scores) + 0.06 * span)
    axes.set_title("the highest scores, enlarged")


def _mark_methods(axes: Axes, found: dict[str, MethodFigures], chosen: str) -> None:
    """Draw the chosen policy with its interval, the ends of the scale, and what stops nowhere in between."""
    color = looks([chosen])[chosen].color
    for name, marker, face, edge in ((VANILLA, "o", PAPER, INK), (chosen, "*", color, PAPER)):
        if name in found:
            one = found[name]
            x, size = one.questions.estimate, 13 if name == chosen else 5
            axes.vlines(x, one.score.low, one.score.high, color=INK if face == PAPER else face, lw=1.4)
            axes.plot([x], [one.score.estimate], marker, mfc=face, mec=edge, markersize=size, label=name)
    for name, dashes in ((FULL, (0, (4, 2))), (ORACLE, (0, (1, 1.5)))):
        if name in found:
            level = found[name].score.estimate
            axes.axhline(level, color=SOFT, linewidth=1.0, linestyle=dashes, label=f"{name} ({level:.2f})")


def _drawn(families: Collection[str]) -> list[str]:
    """Return the families that are drawn, as many as there are markers."""
    names = [name for name in DRAWN if name in families]
    for name in LEFT_OUT:
        if len(names) > MOST_LINES and name in names:
            names.remove(name)
    return names


def _line(name: str, members: Sequence[MethodFigures]) -> Line:
    ordered = sorted(members, key=lambda m: m.questions.estimate)
    return Line(
        name,
        [m.questions.estimate for m in ordered],
        [m.score.estimate for m in ordered],
        [m.score.low for m in ordered],
        [m.score.high for m in ordered],
    )


def _pareto_title(families: dict[str, list[MethodFigures]]) -> str:
    """Say how the best family, the best policy and the last one score at the published mean of questions."""
    at = {}
    for name in DRAWN:
        line = _line(name, families.get(name, []))
        if line.x and line.x[0] <= PUBLISHED_QUESTIONS <= line.x[-1]:
            at[name] = float(np.interp(PUBLISHED_QUESTIONS, line.x, line.y))
    if not at:
        return "Score against questions asked"
    order = sorted(at, key=lambda name: -at[name])
    ours = next((name for name in order if families[name][0].kind == POLICY), order[0])
    shown = dict.fromkeys((order[0], ours, order[-1]))
    parts = ", ".join(f"{name} {at[name]:.2f}" for name in shown)
    return f"At {PUBLISHED_QUESTIONS} questions: {parts}"


def _score_label(simulated: bool) -> str:
    return "mean safety score (1 to 5)" + (", SIMULATED" if simulated else "")


def ablation(rows: Sequence[tuple[str, str, Interval]], simulated: bool) -> Drawing:
    """Draw the published ablation beside ours. `rows`: (published label, our method, our score)."""
    labels = [label for label, _, _ in rows]
    ours = [score for _, _, score in rows]
    here = "SIMULATED here" if simulated else "measured here"
    title = _ablation_title(ours, here)
    published = [PUBLISHED[label] for label in labels]

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        y = np.arange(len(rows))[::-1]
        axes.plot(published, y + 0.12, "D", mfc=PAPER, mec=INK, label="published (arXiv 2505.18882)")
        axes.hlines(y - 0.12, [s.low for s in ours], [s.high for s in ours], color=INK, linewidth=1.4)
        axes.plot([s.estimate for s in ours], y - 0.12, "o", color=INK, label=here)
        for place, value, score in zip(y.tolist(), published, ours, strict=True):
            _beside(axes, f"{value:.2f}", value, place + 0.12, "normal")
            _beside(axes, f"{score.estimate:.2f}", max(score.high, score.estimate), place - 0.12, "bold")
        named = [f"{label}\n({method})" if method != label else label for label, method, _ in rows]
        axes.set_yticks(y, ["\n".join(textwrap.wrap(n, 18)) if narrow else n for n in named])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.margins(x=0.12)
        axes.set_xlabel("mean safety score (1 to 5)")
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside lower left", ncols=1 if narrow else 2)

    note = (
        "Published: means over six language models on PENGUIN, full context over all those of another table. "
        "The two kinds of points share the scale, not the judge: they show whether the order is the same, "
        "not the level."
    )
    return drawing("ablation", title, note, paint, 0.62 * len(rows) + 1.1)


def _beside(axes: Axes, text: str, x: float, y: float, weight: str) -> None:
    axes.annotate(text, (x, y), xytext=(7, 0), textcoords="offset points", va="center", weight=weight)


def _ablation_title(ours: Sequence[Interval], here: str) -> str:
    values = [score.estimate for score in ours]
    rises = all(a < b for a, b in itertools.pairwise(values))
    order = (
        "each step of the published ablation raises the score"
        if rises
        else "not every published step raises it"
    )
    return f"{here[0].upper()}{here[1:]}, {order}: {' to '.join(f'{v:.2f}' for v in values)}"


def heat_map(method: str, rows: pd.DataFrame, names: Sequence[str], budget: int) -> Drawing:
    """Draw, for each domain, which attribute `method` asks at which position; `rows`: its results."""
    domains = list(dict.fromkeys(rows["domain"]))
    shares = {d: position_shares(rows[rows["domain"] == d]["asked"], names, budget) for d in domains}
    title = f"{method[0].upper()}{method[1:]}: {_heat_title(shares, names)}"

    def paint(figure: Figure, narrow: bool) -> None:
        columns = 2 if narrow else 4
        grid = figure.subplots(-(-len(domains) // columns), columns, squeeze=False)
        for k, axes in enumerate(grid.flat):
            if k >= len(domains):
                axes.axis("off")
                continue
            n = int((rows["domain"] == domains[k]).sum())
            positions = [str(p + 1) for p in range(budget)]
            draw_heat(axes, shares[domains[k]], names if k % columns == 0 else [""] * len(names), positions)
            axes.set_title(f"{domains[k]} (n = {n:,})", size=8 if narrow else 9)
        figure.supxlabel("position of the question", size=9)

    height = 0.19 * len(names) + 0.6
    note = (
        "Per cent of conversations that ask an attribute at a position, from 10 on in figures; the rest had "
        "ended before."
    )
    return drawing(
        "heat", title, note, paint, 0.3 + height * -(-len(domains) // 4), 0.3 + height * -(-len(domains) // 2)
    )


def position_shares(asked: pd.Series, names: Sequence[str], budget: int) -> np.ndarray:
    """Return float64[n, budget], the share of conversations that ask each attribute at each position."""
    counts = np.zeros((len(names), budget))
    place = {name: i for i, name in enumerate(names)}
    for path in asked:
        for position, name in enumerate(path):
            counts[place[name], position] += 1
    return counts / max(len(asked), 1)


def _heat_title(shares: dict[str, np.ndarray], names: Sequence[str]) -> str:
    firsts = {d: names[int(s[:, 0].argmax())] for d, s in shares.items() if s[:, 0].max() > 0}
    distinct = list(dict.fromkeys(firsts.values()))
    if not distinct:
        return "asks nothing"
    if len(distinct) == 1:
        return f"{distinct[0]} is the commonest first question in every domain"
    count = f"{len(distinct)} attributes over {len(firsts)} domains"
    return f"the commonest first question differs by domain ({count})"


def forest(rows: Sequence[tuple[str, Interval]], simulated: bool) -> Drawing:
    """Draw paired differences of scores with their intervals."""
    sure = sum(interval.excludes_zero() for _, interval in rows)
    title = f"{sure} of {len(rows)} paired differences have an interval without zero"
    rows = sorted(rows, key=lambda row: row[1].estimate, reverse=True)
    largest = max((abs(v) for _, i in rows for v in i if math.isfinite(v)), default=0.0)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        y = np.arange(len(rows))[::-1]
        axes.axvline(0.0, color=INK, linewidth=0.9)
        axes.hlines(y, [i.low for _, i in rows], [i.high for _, i in rows], color=INK, linewidth=1.3)
        filled = [INK if i.excludes_zero() else PAPER for _, i in rows]
        axes.scatter([i.estimate for _, i in rows], y, c=filled, edgecolors=INK, s=26, zorder=3)
        if largest > _STRETCHED:
            _stretch(axes, largest)
        _name_rows(axes, rows, y, narrow)
        axes.set_xlabel("difference of mean scores" + (", SIMULATED" if simulated else ""))
        axes.grid(axis="y", visible=False)

    note = "Filled: the interval excludes zero. The number is the difference." + (
        f" The scale is even up to {_EVEN:g} on both sides and logarithmic beyond, so that small ones show."
        if largest > _STRETCHED
        else ""
    )
    return drawing("forest", title, note, paint, 0.27 * len(rows) + 0.9, 0.46 * len(rows) + 0.9)


_EVEN, _STRETCHED = 0.05, 0.3
"""Scores up to which a stretched scale is even, and from which on a scale is stretched."""


def _stretch(axes: Axes, largest: float) -> None:
    """Give small differences room beside large ones."""
    axes.set_xscale("symlog", linthresh=_EVEN, linscale=1.0)
    ticks = [t for t in (0.05, 0.2, 1.0, 3.0) if t <= 1.3 * largest]
    shown = [*(-t for t in reversed(ticks)), 0.0, *ticks]
    low, high = axes.get_xlim()
    shown = [t for t in shown if low <= t <= high]
    axes.set_xticks(shown, [f"{t:+g}" if t else "0" for t in shown])
    axes.minorticks_off()


def _name_rows(axes: Axes, rows: Sequence[tuple[str, Interval]], y: np.ndarray, narrow: bool) -> None:
    """Write what each row is and its difference: at the sides, on a narrow screen above the row."""
    right = axes.get_yaxis_transform()
    numbers = [f"{i.estimate:+.3f}" if math.isfinite(i.estimate) else "-" for _, i in rows]
    if not narrow:
        axes.set_yticks(y, [label for label, _ in rows])
        for place, number in zip(y.tolist(), numbers, strict=True):
            axes.text(1.02, place, number, transform=right, va="center", fontsize=8.5)
    else:
        axes.set_yticks([])
        for place, (label, _), number in zip(y.tolist(), rows, numbers, strict=True):
            short = textwrap.shorten(label, 56, placeholder=" ...")
            behind = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}
            axes.text(0.0, place + 0.36, short, transform=right, va="center", fontsize=7, bbox=behind)
            axes.text(
                1.0, place + 0.36, number, transform=right, va="center", ha="right", fontsize=7, bbox=behind
            )
    axes.set_ylim(-0.6, len(rows) - 0.4 + (0.2 if narrow else 0.0))
