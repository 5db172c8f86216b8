"""The figures of a leaderboard: radar by domain, bars, and the Pareto fronts of safety against questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.evaluation.report.grids import SIMULATED
from experiments.penguin.models.conditions import FREE, RAISE, RICH
from experiments.penguin.models.model_scores import ALL, ModelMean
from experiments.plots.palette import INK, looks
from experiments.plots.svg import Drawing, drawing, name_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ASIDE = 0.3
"""Sine from which on a label stands beside its circle, not above or below."""
_COLUMNS = 3
"""Models side by side in the radar."""


def board_drawings(means: Sequence[ModelMean], protocol: str, simulated: bool) -> list[Drawing]:
    """Return the figures of the means under one protocol."""
    mark = SIMULATED if simulated else ""
    key = f"{protocol}-" if protocol != "-" else ""
    three = len({m.domain for m in means} - {ALL}) >= 3  # fewer make no area
    return [
        *([_radar(means, f"{key}radar", mark)] if three else []),
        _bars(means, f"{key}bars", mark),
        _pareto(means, f"{key}pareto", mark),
    ]


def shown_conditions(means: Sequence[ModelMean]) -> list[str]:
    """Return the conditions that radar and bars show: nothing known, what was asked, everything."""
    names = list(dict.fromkeys(m.condition for m in means))
    asked = [name for name in names if name.startswith(RAISE)]
    return [name for name in (FREE, *asked, RICH) if name in names]


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the positions of the points (questions, score) that no other beats in both.

    In order of questions; NaN is on no front.
    """
    order = sorted(
        (i for i, p in enumerate(points) if not any(map(math.isnan, p))),
        key=lambda i: (points[i][0], -points[i][1]),
    )
    kept: list[int] = []
    for i in order:
        if not kept or points[i][1] > points[kept[-1]][1]:
            kept.append(i)
    return kept


def _radar(means: Sequence[ModelMean], key: str, mark: str) -> Drawing:
    models = list(dict.fromkeys(m.model for m in means))

    def paint(figure: Figure, narrow: bool) -> None:
        columns = 1 if narrow else min(_COLUMNS, len(models))
        places = figure.subplots(
            -(-len(models) // columns), columns, squeeze=False, subplot_kw={"projection": "polar"}
        ).ravel()
        for place in places[len(models) :]:
            place.set_visible(False)
        for place, model in zip(places, models, strict=False):
            _radar_of(place, [m for m in means if m.model == model], shown_conditions(means))
        handles, names = places[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=1 if narrow else len(names))

    title = f"Safety score by domain{mark}"
    note = "Mean score, 1 in the middle and 5 outside; intervals are in the tables."
    rows = -(-len(models) // _COLUMNS)
    return drawing(key, title, note, paint, 0.5 + 3.2 * rows, 0.8 + 3.4 * len(models))


def _radar_of(axes: Any, own: Sequence[ModelMean], names: Sequence[str]) -> None:
    domains = [d for d in dict.fromkeys(m.domain for m in own) if d != ALL]
    cell = {(m.condition, m.domain): m.score.estimate for m in own}
    angles = np.linspace(0.0, 2.0 * np.pi, len(domains), endpoint=False)
    for name, look in looks(names).items():
        values = [cell.get((name, d), math.nan) for d in domains]
        closed = (np.append(angles, angles[:1]), [*values, *values[:1]])
        axes.plot(*closed, label=name, markersize=3.5, **look._asdict())
    axes.set_theta_offset(np.pi / 2)
    axes.set_xticks(angles, domains, fontsize=8)
    for label, side in zip(
        axes.get_xticklabels(), -np.sin(angles), strict=True
    ):  # beside the circle, not on it
        label.set_ha("left" if side > _ASIDE else "right" if side < -_ASIDE else "center")
    axes.set_ylim(1.0, 5.0)
    axes.set_yticks([2, 3, 4, 5], ["2", "3", "4", "5"], fontsize=7)
    axes.set_title(own[0].model, pad=14)


def _bars(means: Sequence[ModelMean], key: str, mark: str) -> Drawing:
    whole = {(m.model, m.condition): m.score for m in means if m.domain == ALL}
    models, names = list(dict.fromkeys(m.model for m in means)), shown_conditions(means)
    height = 0.8 / len(names)

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for j, (name, look) in enumerate(looks(names).items()):
            found = [whole[model, name] for model in models]
            y = np.arange(len(models)) + (j - (len(names) - 1) / 2) * height
            lengths = [s.estimate - 1.0 for s in found]
            axes.barh(y, lengths, height * 0.9, left=1.0, color=look.color, alpha=0.75, label=name)
            axes.hlines(y, [s.low for s in found], [s.high for s in found], color=INK, linewidth=1.0)
        axes.set_yticks(range(len(models)), models)
        axes.set(xlim=(1.0, 5.0), ylim=(len(models) - 0.5, -0.5), xlabel=f"mean score{mark}")
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside lower left", ncols=1 if narrow else len(names))

    title = f"What context is worth to each model{mark}"
    note = "Bars begin at the lowest score, 1; lines are intervals by person."
    return drawing(key, title, note, paint, 1.2 + 0.75 * len(models), 1.7 + 0.75 * len(models))


def _pareto(means: Sequence[ModelMean], key: str, mark: str) -> Drawing:
    whole = [m for m in means if m.domain == ALL]
    best = max(whole, key=lambda m: m.score.rank).model
    own = [m for m in whole if m.model == best]
    named = [own[i].condition for i in front([(m.questions, m.score.estimate) for m in own])]

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        for model, look in looks(m.model for m in whole).items():
            _front_of(axes, [m for m in whole if m.model == model], look._asdict(), model == best)
        axes.set(xlabel="questions asked (mean)", ylabel=f"mean score{mark}")
        axes.margins(y=0.1)
        if axes.get_legend_handles_labels()[1]:
            name_lines(figure, axes, narrow)

    title = f"Safety against questions: which conditions no other beats{mark}"
    note = "A line joins what no other condition of the same model beats in both; open marks: the others. "
    if named:
        note += f"On the line of {best}: {'; '.join(f'{n} {name}' for n, name in enumerate(named, start=1))}."
    return drawing(key, title, note, paint, 4.2, 5.0)


def _front_of(axes: Axes, own: Sequence[ModelMean], look: dict[str, Any], named: bool) -> None:
    points = [(m.questions, m.score.estimate) for m in own]
    best = front(points)
    rest = [point for i, point in enumerate(points) if i not in best]
    if rest:
        axes.plot(*zip(*rest, strict=True), **{**look, "linestyle": "none", "mfc": "none"})
    if best:
        axes.plot(*zip(*(points[i] for i in best), strict=True), label=own[0].model, **look)
    for n, i in enumerate(best if named else (), start=1):
        axes.annotate(str(n), points[i], (0, 5), textcoords="offset points", fontsize=7, ha="center")
