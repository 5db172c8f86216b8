"""Figures of the robustness checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.evaluation.methods.baselines import FULL, ORACLE, VANILLA
from experiments.plots.svg import Drawing, Line, canvas, draw_lines, to_svg

_NOT_DRAWN = (VANILLA, FULL, ORACLE)


def robustness(rows: Sequence[Mapping[str, Any]], simulated: bool) -> list[Drawing]:
    """Return a figure for each variation that was run. `rows`: see `output.Report.varied`."""
    drawings = []
    for variation, place, unit in (
        ("unanswered", "questions not answered", "%"),
        ("table size", "stored plans", ""),
    ):
        own = [row for row in rows if row["variation"] == variation and row["method"] not in _NOT_DRAWN]
        if own:
            drawings.append(_along(variation.replace(" ", "-"), own, place, unit, simulated))
    own = [row for row in rows if row["variation"] == "domain left out" and row["method"] not in _NOT_DRAWN]
    if own:
        drawings.append(_domains(own, simulated))
    return drawings


def _label(simulated: bool) -> str:
    return "mean safety score" + (", SIMULATED" if simulated else "")


def _along(key: str, rows: Sequence[Mapping[str, Any]], place: str, unit: str, simulated: bool) -> Drawing:
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    x = [float(setting.rstrip("%").replace(",", "")) for setting in settings]
    lines = []
    for name in dict.fromkeys(row["method"] for row in rows):
        scores = [row["score"] for row in rows if row["method"] == name]
        lines.append(
            Line(name, x, [s.estimate for s in scores], [s.low for s in scores], [s.high for s in scores])
        )
    title = _along_title(lines, place, unit)
    with canvas(8.6, 3.8) as (figure, ((axes,),)):
        draw_lines(axes, lines)
        if min(x) > 0 and max(x) / min(x) > 10:
            axes.set_xscale("log")
            axes.minorticks_off()
        axes.set_xticks(x, [setting.rstrip("%") for setting in settings])
        axes.set_xlabel(f"{place} ({unit})" if unit else place)
        axes.set_ylabel(_label(simulated))
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
        svg = to_svg(figure, key, title)
    return Drawing(key, title, "Vertical bars: intervals.", svg)


def _along_title(lines: Sequence[Line], place: str, unit: str) -> str:
    """Say how far the best line at the end has moved from the start."""
    best = max(lines, key=lambda line: line.y[-1])
    moved = best.y[-1] - best.y[0]
    word = "gains" if moved > 0 else "loses"
    ends = f"{best.x[0]:g} to {best.x[-1]:g}{' ' + unit if unit else ''}"
    name = best.label[0].upper() + best.label[1:]
    return f"{name} {word} {abs(moved):.2f} from {ends} {place}, and then scores highest: {best.y[-1]:.2f}"


def _domains(rows: Sequence[Mapping[str, Any]], simulated: bool) -> Drawing:
    domains = list(dict.fromkeys(row["setting"] for row in rows))
    names = list(dict.fromkeys(row["method"] for row in rows))
    place = {domain: k for k, domain in enumerate(domains)}
    lines = [
        Line(
            name,
            [place[r["setting"]] + 0.09 * (k - (len(names) - 1) / 2) for r in own],
            [r["score"].estimate for r in own],
            [r["score"].low for r in own],
            [r["score"].high for r in own],
        )
        for k, name in enumerate(names)
        for own in [[r for r in rows if r["method"] == name]]
    ]
    means = {line.label: float(np.mean(line.y)) for line in lines}
    best = max(means, key=lambda name: means[name])
    title = f"With no plan for the own domain, {best} scores highest on average: {means[best]:.2f}"
    with canvas(8.8, 3.8) as (figure, ((axes,),)):
        draw_lines(axes, lines)
        for drawn in axes.lines:
            drawn.set_linestyle("none")
        axes.set_xticks(range(len(domains)), domains)
        axes.set_ylabel(_label(simulated))
        axes.grid(axis="x", visible=False)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8)
        svg = to_svg(figure, "left-out", title)
    return Drawing("left-out", title, "Plans of every other domain only. Vertical bars: intervals.", svg)
