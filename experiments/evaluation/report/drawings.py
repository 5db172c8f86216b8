"""Figures of an evaluation; each title says what is seen, computed from the numbers drawn."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from experiments.evaluation.methods.baselines import BEST_STATIC, BEST_STATIC_ALL, FULL, ORACLE, VANILLA
from experiments.evaluation.methods.population_plans import POPULATION
from experiments.evaluation.methods.trajectories import POLICY
from experiments.evaluation.report.method_figures import MethodFigures
from experiments.plots.svg import MARKERS, Drawing, Line, canvas, draw_heat, draw_lines, to_svg
from experiments.stats import Interval

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


def pareto(found: dict[str, MethodFigures], chosen: str, simulated: bool) -> Drawing:
    """Draw mean score against mean questions, a line a family of operating points, and `chosen` by itself."""
    families: dict[str, list[MethodFigures]] = {}
    for figures in found.values():
        if figures.curve:
            families.setdefault(figures.curve, []).append(figures)
    title = _pareto_title(families)
    with canvas(8.6, 4.6) as (figure, ((axes,),)):
        draw_lines(axes, [_line(name, families[name]) for name in _drawn(families)], intervals=False)
        if chosen in found:
            one = found[chosen]
            axes.vlines(one.asked.estimate, one.score.low, one.score.high, color="k", linewidth=1.2)
            axes.plot(
                one.asked.estimate, one.score.estimate, "*", mfc="w", mec="k", markersize=13, label=chosen
            )
        for name, dashes in ((FULL, (0, (4, 2))), (ORACLE, (0, (1, 1.5)))):
            if name in found:
                level = found[name].score.estimate
                axes.axhline(level, color="k", linewidth=1.0, linestyle=dashes, label=f"{name} ({level:.2f})")
        if VANILLA in found:
            axes.plot(0, found[VANILLA].score.estimate, "o", mfc="w", mec="k", label=VANILLA)
        axes.set_xlabel("questions asked (mean)")
        axes.set_ylabel(_score_label(simulated))
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
        svg = to_svg(figure, "pareto", title)
    note = (
        "A line joins the operating points of one method: the number of questions, or the cost that stops "
        "it. The vertical bar is the chosen policy's interval; those of all methods are in the table below."
    )
    return Drawing("pareto", title, note, svg)


def _drawn(families: Collection[str]) -> list[str]:
    """Return the families that are drawn, as many as there are markers."""
    names = [name for name in DRAWN if name in families]
    for name in LEFT_OUT:
        if len(names) > len(MARKERS) and name in names:
            names.remove(name)
    return names


def _line(name: str, members: Sequence[MethodFigures]) -> Line:
    ordered = sorted(members, key=lambda m: m.asked.estimate)
    return Line(
        name,
        [m.asked.estimate for m in ordered],
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
    x = np.arange(len(rows))
    with canvas(8.0, 4.0) as (figure, ((axes,),)):
        published = [PUBLISHED[label] for label in labels]
        axes.bar(
            x - 0.2,
            published,
            0.38,
            color="w",
            edgecolor="k",
            hatch="///",
            label="published (arXiv 2505.18882)",
        )
        axes.bar(x + 0.2, [s.estimate for s in ours], 0.38, color="#8a8a8a", edgecolor="k", label=here)
        axes.vlines(x + 0.2, [s.low for s in ours], [s.high for s in ours], color="k", linewidth=1.2)
        for k, (value, score) in enumerate(zip(published, ours, strict=True)):
            axes.text(k - 0.2, value + 0.05, f"{value:.2f}", ha="center", size=8)
            axes.text(
                k + 0.2, max(score.high, score.estimate) + 0.05, f"{score.estimate:.2f}", ha="center", size=8
            )
        axes.set_xticks(
            x, [f"{label}\n({method})" if method != label else label for label, method, _ in rows]
        )
        axes.set_ylim(1.0, 5.0)
        axes.set_ylabel("mean safety score (1 to 5)")
        axes.grid(axis="x", visible=False)
        axes.legend(loc="upper left", ncols=2, fontsize=8)
        svg = to_svg(figure, "ablation", title)
    note = (
        "Published: means over six language models on PENGUIN, full context over all those of another table. "
        "The two kinds of bars share the scale, not the judge: they show whether the order is the same, not "
        "the level."
    )
    return Drawing("ablation", title, note, svg)


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
    columns = 4
    height = 2.5 * -(-len(domains) // columns)
    with canvas(10.4, height, -(-len(domains) // columns), columns) as (figure, grid):
        for k, axes in enumerate(grid.flat):
            if k >= len(domains):
                axes.axis("off")
                continue
            n = int((rows["domain"] == domains[k]).sum())
            positions = [str(p + 1) for p in range(budget)]
            draw_heat(axes, shares[domains[k]], names if k % columns == 0 else [""] * len(names), positions)
            axes.set_title(f"{domains[k]} (n = {n:,})", size=9)
        figure.supxlabel("position of the question", size=9)
        svg = to_svg(figure, "heat", title)
    note = (
        "Share of conversations that ask an attribute at a position; the rest had ended before. 10 % and "
        "more in figures."
    )
    return Drawing("heat", title, note, svg)


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
    y = np.arange(len(rows))[::-1]
    with canvas(8.6, 0.34 * len(rows) + 1.1) as (figure, ((axes,),)):
        axes.axvline(0.0, color="k", linewidth=0.8)
        axes.hlines(y, [i.low for _, i in rows], [i.high for _, i in rows], color="k", linewidth=1.3)
        filled = ["k" if i.excludes_zero() else "w" for _, i in rows]
        axes.scatter([i.estimate for _, i in rows], y, c=filled, edgecolors="k", s=28, zorder=3)
        axes.set_yticks(y, [label for label, _ in rows])
        axes.set_xlabel("difference of mean scores" + (", SIMULATED" if simulated else ""))
        axes.grid(axis="y", visible=False)
        svg = to_svg(figure, "forest", title)
    return Drawing("forest", title, "Filled: the interval excludes zero.", svg)
