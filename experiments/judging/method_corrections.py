"""Mean scores of an evaluation's methods, corrected by what people said of answers that the judge rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console

from envs import Judge, Scenario
from envs.judges.asking import check_rates
from envs.judges.protocol import describe
from experiments.evaluation.report.grids import number, with_interval
from experiments.judging.labels import Labels, read_labels
from experiments.judging.ppi import FEW, Corrected, corrected_mean
from experiments.judging.ratings import cost, rate_all
from experiments.pages import Grid, markdown

FILE_NAME = "corrected.md"
NOTE = (
    "The judge's mean less its mean error on the labelled answers (prediction-powered inference, lambda 1: "
    "the error alone is taken over, for a method's answers score otherwise than the labelled ones). Right "
    "where the judge errs on these as on those."
)


class LabelFile(NamedTuple):
    """Labels, and the scenarios that they are about."""

    labels: Labels
    scenarios: dict[str, Scenario]


def labels_for(path: str | None, judge: Judge, scenarios: Sequence[Scenario]) -> LabelFile | None:
    """Return the labels in the file `path`, None where none is given.

    Raises
    ------
    UserError
        as `read_labels`; a judge that rates no answers.
    """
    if path is None:
        return None
    check_rates(describe(judge), "labels: judge")
    labels, _ = read_labels(path, scenarios)
    found = LabelFile(labels, {s.id: s for s in scenarios})
    cost(judge, labels.answers[:1], found.scenarios, 1)  # a judge that rates no answers says so
    return found


def labels_spending(judge: Judge, given: LabelFile, samples: int) -> str:
    """Say what rating the labelled answers takes."""
    takes = cost(judge, given.labels.answers, given.scenarios, samples)
    said = "nobody is asked" if takes is None else f"expected {takes.spent()}"
    return f"labels: {len(given.labels.answers):,} answers to rate, {said} (what is cached is free)"


def corrected_methods(
    judge: Judge, given: LabelFile | None, rows: pd.DataFrame, reference: str, samples: int, level: float
) -> dict[str, Any] | None:
    """Return for each method its mean, corrected, and its gain over `reference`; None without labels.

    `rows`: one a method and scenario, with `method`, `scenario_id` and `score` (NaN = unscored).
    """
    if given is None:
        return None
    answers = given.labels.answers
    ratings = rate_all(judge, answers, given.scenarios, samples)
    people: dict[object, int] = {}
    numbers = {i: people.setdefault(s.profile, len(people)) for i, s in given.scenarios.items()}
    judged, human = np.array([r.value for r in ratings]), given.labels.mean("score")
    both = ~np.isnan(judged) & ~np.isnan(human)
    chances = given.labels.probabilities
    of_labels = np.array([numbers[a.scenario_id] for a in answers])[both]

    def mean_of(part: pd.DataFrame) -> Corrected:
        scored = part[part["score"].notna() & part["scenario_id"].isin(list(numbers))]
        clusters = scored["scenario_id"].map(numbers).to_numpy(dtype=np.int64)
        return corrected_mean(
            scored["score"].to_numpy(dtype=np.float64), clusters, human[both], judged[both], of_labels,
            len(people), None if chances is None else chances[both], 1.0,
        )  # fmt: skip

    means = {str(name): mean_of(part) for name, part in rows.groupby("method", sort=False)}
    return {
        "n_labels": int(both.sum()),
        "methods": {
            name: {
                "score": found.interval(level),
                "gain": found.minus(means[reference], level) if reference in means else None,
                "labels_to_halve": found.labels_to_halve(),
            }
            for name, found in means.items()
        },
    }


def show_corrected(found: dict[str, Any] | None, reference: str, folder: Path, console: Console) -> None:
    """Write the table of `corrected_methods` into `folder` and print it, where there is one."""
    if found is not None:
        grid = corrected_grid(found, reference)
        text = f"{grid.title}\n\n{grid.note}\n\n{markdown(grid)}"
        (folder / FILE_NAME).write_text(text, encoding="utf-8")
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def corrected_grid(found: dict[str, Any], reference: str) -> Grid:
    """Return the table of `corrected_methods`."""
    rows = [
        (
            name,
            with_interval(m["score"]),
            "-" if m["gain"] is None or name == reference else with_interval(m["gain"], signed=True),
            "no number" if math.isinf(m["labels_to_halve"]) else number(m["labels_to_halve"], 0),
        )
        for name, m in found["methods"].items()
    ]
    few = "" if found["n_labels"] >= FEW else f" Fewer than {FEW} labels: the intervals rest on too little."
    columns = ("method", "score", f"gain over {reference}", "labels to halve")
    return Grid(f"Corrected by {found['n_labels']:,} human labels", columns, rows, NOTE + few)
