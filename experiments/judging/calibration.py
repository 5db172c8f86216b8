"""How a judge stands to people: agreement, bias, and means that labels correct."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from experiments.evaluation.report.grids import number, with_interval
from experiments.judging.agreement import correlation, jackknife, krippendorff_alpha, weighted_kappa
from experiments.judging.labels import SCORES, Judged, Labels
from experiments.judging.ppi import FEW, Corrected, corrected_mean
from experiments.pages import Grid
from experiments.stats import Interval

ALL = "all"
_MEANS = ("judge alone", "labels alone", "corrected")


def agreement_rows(judged: Judged, level: float) -> list[dict[str, Any]]:
    """Return for each dimension, and the score: weighted kappa, correlation and bias, with intervals.

    Bias: mean of judge minus people. Kappa and r: intervals by the jackknife over people.
    """
    rows = []
    for name in SCORES:
        judge, human = judged.scores[name], judged.human[name]
        both = ~np.isnan(judge) & ~np.isnan(human)
        rows.append(
            {
                "dimension": name,
                "n": int(both.sum()),
                "kappa": jackknife(weighted_kappa, judge, human, judged.people, level),
                "r": jackknife(correlation, judge, human, judged.people, level),
                "bias": bias(judged, name, both, level),
            }
        )
    return rows


def bias_rows(judged: Judged, level: float) -> list[dict[str, Any]]:
    """Return the bias of the score by domain, by length and by who wrote the answer."""
    both = ~np.isnan(judged.scores["score"]) & ~np.isnan(judged.human["score"])
    rows = []
    for kind, names in judged.groups.items():
        for group in names.categories:
            inside = both & (names == group)
            if not inside.any():
                continue
            found = bias(judged, "score", inside, level)
            rows.append({"by": kind, "group": group, "n": int(inside.sum()), "bias": found})
    return rows


def bias(judged: Judged, name: str, rows: np.ndarray, level: float) -> Interval:
    """Return the mean of judge minus people over `rows` (bool[N]), robust to answers about one person."""
    gap = judged.scores[name][rows] - judged.human[name][rows]
    zero = np.zeros(len(gap))
    found = corrected_mean(
        zero,
        judged.people[rows],
        gap,
        zero,
        judged.people[rows],
        judged.n_people,
        _chances(judged, rows),
        0.0,
    )
    return found.interval(level)


def mean_of(judged: Judged, rows: np.ndarray, name: str = "score", weight: float | None = None) -> Corrected:
    """Return the mean over `rows` (bool[N]) that people would give; `weight`: as in `corrected_mean`."""
    judge, human = judged.scores[name], judged.human[name]
    scored = rows & ~np.isnan(judge)
    both = scored & ~np.isnan(human)
    return corrected_mean(
        judge[scored], judged.people[scored], human[both], judge[both], judged.people[both], judged.n_people,
        _chances(judged, both), weight,
    )  # fmt: skip


def judge_alone(judged: Judged, rows: np.ndarray, level: float) -> Interval:
    """Return the judge's own mean over `rows` with its interval, which knows nothing of its bias."""
    scored = rows & ~np.isnan(judged.scores["score"])
    values, people = judged.scores["score"][scored], judged.people[scored]
    zero = np.zeros(len(values))
    return corrected_mean(zero, people, values, zero, people, judged.n_people, weight=0.0).interval(level)


def mean_rows(judged: Judged, level: float) -> list[dict[str, Any]]:
    """Return means of the score, over all, by writer and by domain: the judge's, of labels, corrected."""
    groups = [(ALL, ALL, np.ones(len(judged.people), bool))]
    for kind in ("system", "domain"):
        names = judged.groups[kind]
        groups += [(kind, str(g), names == g) for g in names.categories]
    rows = []
    for kind, group, inside in groups:
        found = mean_of(judged, inside)
        rows.append(
            {
                "by": kind,
                "group": group,
                "n": int((inside & ~np.isnan(judged.scores["score"])).sum()),
                "n_labels": found.n_labels,
                "few": found.n_labels < FEW,
                "judge": judge_alone(judged, inside, level),
                "labels": mean_of(judged, inside, weight=0.0).interval(level),
                "corrected": found.interval(level),
                "lambda": found.weight,
                "labels_to_halve": found.labels_to_halve(),
            }
        )
    return rows


def difference_rows(judged: Judged, level: float) -> list[dict[str, Any]]:
    """Return the difference of every two writers: of the judge's means, and corrected."""
    names = judged.groups["system"]
    systems = list(names.categories)
    means = {s: mean_of(judged, names == s) for s in systems}
    naive = {s: judge_alone(judged, names == s, level).estimate for s in systems}
    return [
        {"a": a, "b": b, "judge": naive[a] - naive[b], "corrected": means[a].minus(means[b], level)}
        for i, a in enumerate(systems)
        for b in systems[i + 1 :]
    ]


def rater_rows(labels: Labels) -> list[dict[str, Any]]:
    """Return Krippendorff's alpha of the raters by dimension, and weighted kappa where there are two."""
    if len(labels.raters) < 2:
        return []
    rows = []
    for name in SCORES:
        levels = labels.levels[name]
        two = weighted_kappa(levels[:, 0], levels[:, 1]) if len(labels.raters) == 2 else math.nan
        rows.append({"dimension": name, "alpha": krippendorff_alpha(levels), "kappa": two})
    return rows


def _chances(judged: Judged, rows: np.ndarray) -> np.ndarray | None:
    return None if judged.probabilities is None else judged.probabilities[rows]


def figures(judged: Judged, labels: Labels, level: float) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of all tables, by table."""
    return {
        "agreement": agreement_rows(judged, level),
        "raters": rater_rows(labels),
        "bias": bias_rows(judged, level),
        "means": mean_rows(judged, level),
        "differences": difference_rows(judged, level),
    }


def grids(found: dict[str, list[dict[str, Any]]], n_raters: int) -> list[Grid]:
    """Return the tables of `figures`, to show."""
    agreement = [
        (r["dimension"], f"{r['n']:,}", *map(with_interval, (r["kappa"], r["r"])), _signed(r["bias"]))
        for r in found["agreement"]
    ]
    biased = [(_group(r), f"{r['n']:,}", _signed(r["bias"])) for r in found["bias"]]
    note = (
        "Corrected: prediction-powered inference. Lambda: how much the judge counts, 0 = the labels alone. "
        "To halve: labels that would halve its interval; more answers: not even labels of all of these would."
    )
    if any(row["few"] for row in found["means"]):
        note += f" * fewer than {FEW} labels: the interval rests on too little."
    columns = ("group", "answers", "labels", *_MEANS, "lambda", "to halve")
    tables = [
        Grid(
            "Agreement with people",
            ("dimension", "answers", "weighted kappa", "r", "bias (judge - people)"),
            agreement,
            "Kappa with quadratic weights; r: correlation; intervals leave out people, not answers.",
        ),
        Grid("Bias of the score", ("group", "answers", "bias (judge - people)"), biased),
        Grid("Mean score", columns, [_mean_row(r) for r in found["means"]], note),
    ]
    if found["differences"]:
        rows = [
            (d["a"] or "-", d["b"] or "-", f"{d['judge']:+.2f}", _signed(d["corrected"]))
            for d in found["differences"]
        ]
        tables.append(Grid("Differences", ("a", "b", "judge alone", "corrected"), rows, "a minus b.", 2))
    if found["raters"]:
        pairs = [(r["dimension"], number(r["alpha"]), number(r["kappa"])) for r in found["raters"]]
        heads = ("dimension", "Krippendorff's alpha", "weighted kappa")
        tables.append(Grid(f"Agreement of {n_raters} raters", heads, pairs))
    return tables


def _signed(interval: Interval) -> str:
    return with_interval(interval, signed=True)


def _group(row: dict[str, Any]) -> str:
    return ALL if row["by"] == ALL else f"{row['by']}: {row['group'] or '-'}"


def _mean_row(row: dict[str, Any]) -> tuple[str, ...]:
    halve = row["labels_to_halve"]
    more = "-" if math.isnan(halve) else "more answers" if halve > row["n"] else f"{halve:,.0f}"
    return (
        _group(row), f"{row['n']:,}", f"{row['n_labels']:,}{'*' if row['few'] else ''}",
        *map(with_interval, (row["judge"], row["labels"], row["corrected"])), number(row["lambda"]), more,
    )  # fmt: skip
