"""Robustness checks: other answers, fewer plans, and domains that no plan was made for.

Under the simulated judge what was told in part is known half of the time; what a reader does not find in the
words, or finds where nothing was told, is not known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from envs import UserError
from envs.users import User
from envs.users.spoken_user import SpokenUser
from experiments.evaluation.methods.baselines import BEST_STATIC, BEST_STATIC_ALL, FULL, ORACLE, VANILLA
from experiments.evaluation.methods.compared_methods import (
    CHOSEN,
    MethodOptions,
    compared_methods,
    few,
    needs_trees,
    with_trees,
)
from experiments.evaluation.methods.population_plans import POPULATION, cost_name, seen_trees
from experiments.evaluation.methods.trajectories import Method
from experiments.evaluation.setting import Setting, TrainScores
from experiments.plots.svg import Drawing, Line, draw_lines, drawing, name_lines
from policies.plan_index import PlanIndex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIATIONS = ("unanswered", "answers", "table_sizes", "domains")
"""In the order in which they are run."""
RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Probabilities that a question is not answered."""
MIXED = "mixed: 4 in 10 in other words, 2 partial, 1 evasive, half a one off topic, 1 declining"
MANNERS = {
    "in other words": {"paraphrased": 1.0},
    "in part": {"partial": 1.0},
    "evasive": {"evasive": 1.0},
    "off topic": {"off_topic": 1.0},
    MIXED: {"paraphrased": 0.4, "partial": 0.2, "evasive": 0.1, "off_topic": 0.05, "declining": 0.1},
}
"""Shares of the spoken user; the rest of the answers are the profile's values."""
SIZES = (10, 30, 100, 300, 1000, 3000)
"""Numbers of stored plans, beside all of them."""


class Variation(NamedTuple):
    """One setting of one variation, with its methods. `rows`: which test scenarios it is about."""

    variation: str
    value: str
    setting: Setting
    methods: list[Method]
    rows: list[int]


def wanted(cost: float) -> tuple[str, ...]:
    """Return the methods of a variation; the references serve as denominators."""
    ours = tuple(f"{name} + value {cost:g}" for name in ("random order", "vote"))
    ours = (*ours, f"conditional + value {cost:g}", CHOSEN)
    return (VANILLA, BEST_STATIC, BEST_STATIC_ALL, *ours, cost_name(POPULATION, cost), ORACLE, FULL)


def check(names: Sequence[str]) -> None:
    """Raise `UserError` for a variation that does not exist."""
    for name in names:
        if name not in VARIATIONS:
            raise UserError(f"variations: found {name!r}, expected some of {', '.join(VARIATIONS)}")


def variations(
    names: Sequence[str], setting: Setting, scores: TrainScores, plan_index: PlanIndex, options: MethodOptions
) -> Iterator[Variation]:
    """Yield the settings of the variations `names`; the plans are those of `plan_index`, or fewer of them."""
    narrow = dataclasses.replace(
        options, value_costs=(options.value_cost,), costs=(options.value_cost,), chat=None
    )
    if "unanswered" in names:
        for rate in RATES:
            yield _answered(
                f"{rate:.0%}",
                "unanswered",
                SpokenUser(declining=rate, seed=setting.seed),
                setting,
                scores,
                plan_index,
                narrow,
            )
    if "answers" in names:
        for manner, shares in MANNERS.items():
            user = SpokenUser(**shares, seed=setting.seed)
            yield _answered(manner, "answers", user, setting, scores, plan_index, narrow)
    if "table_sizes" in names:
        yield from _smaller(setting, scores, plan_index, narrow)
    if "domains" in names:
        yield from _left_out(setting, scores, plan_index, narrow)


def _answered(
    value: str,
    variation: str,
    user: User,
    setting: Setting,
    scores: TrainScores,
    plan_index: PlanIndex,
    options: MethodOptions,
) -> Variation:
    changed = dataclasses.replace(setting, answers=setting.answers.said_by(user))
    return Variation(
        variation,
        value,
        changed,
        _methods(changed, scores, plan_index, options),
        list(range(len(setting.test))),
    )


def _smaller(
    setting: Setting, scores: TrainScores, plan_index: PlanIndex, options: MethodOptions
) -> Iterator[Variation]:
    """Yield smaller tables, evenly taken from the whole one, with plans from the people in them alone."""
    for size in (*(s for s in SIZES if s < len(plan_index)), len(plan_index)):
        rows = np.linspace(0, len(plan_index) - 1, size).round().astype(np.int64)
        ids = set(plan_index.table.table["scenario_id"].take(pa.array(rows)).to_pylist())
        fewer = scores.only([s for s in setting.train if s.id in ids])
        smaller = _with_trees(plan_index.take(rows), setting, fewer, options)
        every = list(range(len(setting.test)))
        yield Variation("table size", f"{size:,}", setting, _methods(setting, fewer, smaller, options), every)


def _left_out(
    setting: Setting, scores: TrainScores, plan_index: PlanIndex, options: MethodOptions
) -> Iterator[Variation]:
    """Yield for each domain its test people, served with plans of all other domains only."""
    planned_for = np.array(plan_index.table.table["domain"].to_pylist())
    for domain in dict.fromkeys(s.domain for s in setting.test):
        others = [s for s in setting.train if s.domain != domain]
        rows = [i for i, s in enumerate(setting.test) if s.domain == domain]
        kept = np.flatnonzero(planned_for != domain)
        if not others or not len(kept):
            continue
        test = [setting.test[i] for i in rows]
        there = dataclasses.replace(setting, train=others, test=test, answers=setting.answers.of(test))
        elsewhere = scores.only(others)
        smaller = _with_trees(plan_index.take(kept), setting, elsewhere, options)
        yield Variation("domain left out", domain, there, _methods(there, elsewhere, smaller, options), rows)


def _with_trees(
    plan_index: PlanIndex, setting: Setting, scores: TrainScores, options: MethodOptions
) -> PlanIndex:
    """Return `plan_index` with trees planned from `scores` alone; without where sets cannot be enumerated."""
    if not setting.enumerable:
        return with_trees(plan_index, None)
    return with_trees(plan_index, seen_trees(scores, options.value_cost, options.min_profiles))


def _methods(
    setting: Setting, scores: TrainScores, plan_index: PlanIndex, options: MethodOptions
) -> list[Method]:
    names = wanted(options.value_cost)
    if plan_index.trees is None and needs_trees(options.policy):
        names = tuple(name for name in names if name != CHOSEN)
    return few(compared_methods(setting, scores, plan_index, options), names)


_NOT_DRAWN = (VANILLA, FULL, ORACLE)


def robustness(rows: Sequence[Mapping[str, Any]], simulated: bool) -> list[Drawing]:
    """Return a figure for each variation that was run. `rows`: see `output.Report.varied`."""
    drawings = []
    for variation, place, unit in (
        ("unanswered", "questions not answered", "%"),
        ("table size", "stored plans", ""),
    ):
        own = [row for row in rows if row["variation"] == variation and row["method"] not in _NOT_DRAWN]
        if len({row["setting"] for row in own}) > 1:  # a file of few scenarios has one size of table alone
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

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        draw_lines(axes, lines)
        if min(x) > 0 and max(x) / min(x) > 10:
            axes.set_xscale("log")
            axes.minorticks_off()
        places = axes.transAxes.inverted().transform(axes.transData.transform([(at, 0.0) for at in x]))[:, 0]
        apart = [
            *(np.diff(places) > (0.12 if narrow else 0.04)),
            True,
        ]  # of two that touch the latter is named
        named = [setting.rstrip("%") if far else "" for setting, far in zip(settings, apart, strict=True)]
        axes.set_xticks(x, named)
        axes.set_xlabel(f"{place} ({unit})" if unit else place)
        axes.set_ylabel(_label(simulated))
        name_lines(figure, axes, narrow)

    return drawing(key, title, "Vertical bars: intervals.", paint, 3.8, 5.0)


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

    def paint(figure: Figure, narrow: bool) -> None:
        axes = figure.subplots()
        draw_lines(axes, lines, joined=False)
        axes.set_xticks(range(len(domains)), domains, rotation=45 if narrow else 0)
        axes.set_ylabel(_label(simulated))
        axes.grid(axis="x", visible=False)
        name_lines(figure, axes, narrow)

    note = "Plans of every other domain only. Vertical bars: intervals."
    return drawing("left-out", title, note, paint, 3.8, 5.4)
