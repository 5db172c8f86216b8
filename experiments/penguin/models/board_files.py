"""What a benchmark of models leaves: rows, leaderboard as Parquet and JSON with its schema, page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from envs.checking.json_values import with_nulls
from envs.judges.made_up import made_up_fields
from experiments.pages import Grid
from experiments.penguin.models.board_page import board_page
from experiments.penguin.models.boards import Board, board_cells, corrected_board_grid, refusal_cells
from experiments.penguin.models.conditions import RAISE
from experiments.penguin.models.leaderboard import asking_grid, leaderboard_grids, paper_grid
from experiments.penguin.models.model_scores import condition_differences
from experiments.penguin.models.over_refusals import refusal_grid
from experiments.penguin.models.run_comparison import BOARD as BOARD_JSON
from experiments.penguin.models.run_comparison import ROWS
from experiments.penguin.published_values import DATA

BOARD, PAGE, SCHEMA = "leaderboard.parquet", "leaderboard.html", "leaderboard.schema.json"
FILES = (ROWS, BOARD, BOARD_JSON, SCHEMA, PAGE)
SCHEMA_VERSION = 2
"""Of `leaderboard.json`, which `leaderboard.schema.json` describes."""


def board_grids(boards: Sequence[Board]) -> list[Grid]:
    """Return the tables of all protocols, one after the other, and then the paper's, where they compare."""
    grids: list[Grid] = []
    for board in boards:
        own = leaderboard_grids(
            board.means, board.differences, board.protocol, board.simulated, board.published
        )
        against = condition_differences(board.rows, RAISE, board.level)
        own[2:2] = [asking_grid(against, board.simulated, board.unplanned)] if against else []
        own += [corrected_board_grid(board)] if board.corrected else []
        own += [refusal_grid(board.refusals)] if board.refusals else []
        named = f"Protocol {board.protocol}: " if board.protocol != "-" else ""
        grids += [grid._replace(title=named + grid.title) for grid in own]
    return [*grids, paper_grid()] if boards[0].published else grids


def write_boards(
    folder: Path, boards: Sequence[Board], grids: Sequence[Grid], level: float, escalated: int
) -> None:
    """Write `FILES` into `folder`; they hold names of attributes, never a value of a profile."""
    rows = [{"protocol": b.protocol, **row._asdict()} for b in boards for row in b.rows]
    pd.DataFrame(rows).to_parquet(folder / ROWS, index=False)
    cells = [cell for board in boards for cell in board_cells(board)]
    pd.DataFrame(cells).to_parquet(folder / BOARD, index=False)
    about: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "judge": boards[0].judge,
        "simulated": any(board.simulated for board in boards),
        "published_attributes": boards[0].published,
        **made_up_fields(boards[0].made_up),
        "protocols": [board.protocol for board in boards],
        "escalated": escalated,
        "n_labels": boards[0].n_labels,
        "level": level,
        "cells": cells,
        "refusals": [row for board in boards for row in refusal_cells(board)],
    }
    text = json.dumps(with_nulls(about), indent=1, allow_nan=False)
    (folder / BOARD_JSON).write_text(text + "\n", encoding="utf-8")
    shutil.copyfile(DATA / SCHEMA, folder / SCHEMA)
    (folder / PAGE).write_text(board_page(boards, grids), encoding="utf-8")
