"""The leaderboard of one protocol: rows, means, differences, refusals, and what human labels correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from envs import Judge
from envs.judges.protocol import describe
from experiments.evaluation.report.grids import number, with_interval
from experiments.judging.method_corrections import NOTE, LabelFile, corrected_methods
from experiments.judging.ppi import FEW
from experiments.pages import Grid
from experiments.penguin.models.conditions import FREE
from experiments.penguin.models.model_scores import ModelDifference, ModelMean, ModelRow
from experiments.penguin.models.over_refusals import OverRefusal
from experiments.stats import Interval


@dataclass(frozen=True)
class CorrectedCell:
    """Means that human labels correct; `gain`: over the context-free condition of the same model."""

    model: str
    condition: str
    score: Interval
    gain: Interval | None


@dataclass(frozen=True)
class Board:
    """All figures under one protocol ("-": the judge has none).

    `published`: the paper's figures are about the same attributes. `made_up`: those whose worth the judge
    makes up. `unplanned`: what `without_plan` says of the agent.
    """

    protocol: str
    judge: str
    simulated: bool
    rows: Sequence[ModelRow]
    means: Sequence[ModelMean]
    differences: Sequence[ModelDifference]
    refusals: Sequence[OverRefusal] = ()
    corrected: Sequence[CorrectedCell] = field(default_factory=tuple)
    n_labels: int = 0
    published: bool = True
    made_up: tuple[str, ...] = ()
    level: float = 0.95
    unplanned: str = ""


def corrected_by_labels(
    judge: Judge, labels: LabelFile | None, rows: Sequence[ModelRow], samples: int, level: float
) -> tuple[list[CorrectedCell], int]:
    """Return the means of all models and conditions, corrected, and by how many labels.

    `judge`: under this protocol; whose target it has does not matter, for it rates the labelled answers.
    """
    found: list[CorrectedCell] = []
    n_labels = 0
    for model in dict.fromkeys(row.model for row in rows) if labels is not None else ():
        own = [
            {"method": r.condition, "scenario_id": r.scenario_id, "score": r.score}
            for r in rows
            if r.model == model
        ]
        figures = corrected_methods(judge, labels, pd.DataFrame(own), FREE, samples, level)
        if figures is not None:
            n_labels = figures["n_labels"]
            found += [
                CorrectedCell(model, name, m["score"], m["gain"]) for name, m in figures["methods"].items()
            ]
    return found, n_labels


def corrected_board_grid(board: Board) -> Grid:
    """Return the table of corrected means, the judge's own beside them."""
    alone = {(m.model, m.condition): m.score for m in board.means if m.domain == "all"}
    rows = [
        (
            c.model,
            c.condition,
            number(alone[c.model, c.condition].estimate),
            with_interval(c.score),
            "-" if c.gain is None or c.condition == FREE else with_interval(c.gain, signed=True),
        )
        for c in board.corrected
    ]
    few = "" if board.n_labels >= FEW else f" Fewer than {FEW} labels: the intervals rest on too little."
    columns = ("model", "condition", "judge alone", "corrected", "gain over context-free")
    return Grid(f"Corrected by {board.n_labels:,} human labels", columns, rows, NOTE + few, 2)


def board_cells(board: Board) -> list[dict[str, Any]]:
    """Return the cells of the leaderboard file, as plain data; see `data/leaderboard.schema.json`."""
    corrected = {(c.model, c.condition): c.score for c in board.corrected}
    cells = []
    for m in board.means:
        cell: dict[str, Any] = {"protocol": board.protocol, **m._asdict(), "dimensions": list(m.dimensions)}
        intervals = {"score": m.score, "gain": m.gain}
        if m.domain == "all" and (m.model, m.condition) in corrected:
            intervals["corrected"] = corrected[m.model, m.condition]
        for name, interval in intervals.items():
            cell[name], cell[f"{name}_low"], cell[f"{name}_high"] = interval
        cells.append(cell)
    return cells


def refusal_cells(board: Board) -> list[dict[str, Any]]:
    """Return the over-refusal of each model as plain data."""
    found = []
    for r in board.refusals:
        row: dict[str, Any] = {"protocol": board.protocol, "model": r.model}
        row |= {"questions": r.questions, "unanswered": r.unanswered}
        for name in ("without", "within", "difference"):
            row[name], row[f"{name}_low"], row[f"{name}_high"] = getattr(r, name)
        found.append(row)
    return found


def board_judge(judge: Judge) -> tuple[str, bool]:
    """Return what tables call the judge, and whether its scores are simulated; known after it was asked."""
    told = describe(judge)
    return told.name, told.simulated
