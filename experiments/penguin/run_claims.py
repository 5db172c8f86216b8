"""Published claims beside what a benchmark of models or a sensitivity run measured, from its files alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from envs import UserError
from envs.judges.simulated.parameters import PUBLISHED_GAINS
from experiments.evaluation.report.published_claims import (
    NOT,
    PARTLY,
    REPRODUCED,
    Claim,
    is_published_of,
)
from experiments.penguin.models.conditions import FREE, RAISE, RICH
from experiments.penguin.models.model_scores import ALL
from experiments.penguin.sensitivity_tables import SINGLE

BOARD, SENSITIVITY = "leaderboard.json", "sensitivity.parquet"
_STRONGEST = 3


def run_claims(run: Path) -> list[Claim] | None:
    """Return the claims that the folder of a benchmark or a sensitivity run speaks to; None: neither.

    Raises
    ------
    UserError
        a file of the run cannot be read.
    """
    try:
        if (run / BOARD).exists():
            board = json.loads((run / BOARD).read_text(encoding="utf-8"))
            if not board.get("published_attributes", True):
                return []
            return [claim for protocol in board["protocols"] for claim in _benchmark(board, protocol)]
        if (run / SENSITIVITY).exists():
            about = json.loads((run / "summary.json").read_text(encoding="utf-8"))
            table = pd.read_parquet(run / SENSITIVITY)
            names = set(table.loc[table["kind"] == SINGLE, "attribute"])
            return [_attributes(table, about)] if is_published_of(names) else []
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{run}: found a damaged run ({type(error).__name__}), expected a whole one"
        ) from None
    return None


def _benchmark(board: dict[str, Any], protocol: str) -> list[Claim]:
    cells = [cell for cell in board["cells"] if cell["domain"] == ALL and cell["protocol"] == protocol]
    models = list(dict.fromkeys(cell["model"] for cell in cells))
    kind = "SIMULATED, " if board["simulated"] else ""
    on = f"{kind}judge {board['judge']}, protocol {protocol}, {len(models)} target models, "
    on += f"{cells[0]['n_scenarios']:,} scenarios of {cells[0]['n_people']:,} people"
    free, rich = _of(cells, FREE), _of(cells, RICH)
    asked = [cell for cell in cells if cell["condition"].startswith(RAISE)]
    found = [
        _rise("full context raises 2.79 to 4.00 (+43.2 %), over models", free, rich, on),
        _rise("2.86 without and 3.77 with the planner, over models", free, asked, on),
    ]
    questions = [cell["questions"] for cell in asked]
    if questions:
        near = REPRODUCED if abs(fmean(questions) - 2.7) <= 0.5 else NOT
        found.append(Claim("2.7 questions are asked on average", f"{fmean(questions):.1f}", near, on))
    return [claim for claim in found if claim is not None]


def _of(cells: Sequence[dict[str, Any]], condition: str) -> list[dict[str, Any]]:
    return [cell for cell in cells if cell["condition"] == condition]


def _rise(claim: str, low: Sequence[dict[str, Any]], high: Sequence[dict[str, Any]], on: str) -> Claim | None:
    """Return whether the gain's interval lies above 0 for all models, some, or none."""
    before = [cell["score"] for cell in low if cell["score"] is not None]
    after = [cell["score"] for cell in high if cell["score"] is not None]
    if not before or not after:
        return None
    sure = sum(cell["gain_low"] is not None and cell["gain_low"] > 0.0 for cell in high)
    verdict = REPRODUCED if sure == len(high) else PARTLY if sure else NOT
    measured = f"{fmean(before):.2f} to {fmean(after):.2f}; surely higher for {sure} of {len(high)}"
    return Claim(claim, measured, verdict, on)


def _attributes(table: pd.DataFrame, about: dict[str, Any]) -> Claim:
    alone = table[(table["kind"] == SINGLE) & (table["domain"] == ALL)].sort_values("worth", ascending=False)
    strongest = list(alone["attribute"][:_STRONGEST])
    published = sorted(PUBLISHED_GAINS, key=lambda name: -PUBLISHED_GAINS[name])[:_STRONGEST]
    same = len(set(strongest) & set(published))
    kind = "SIMULATED, " if about["judge_is_simulated"] else ""
    return Claim(
        f"alone, {', '.join(published)} bring most (Fig. 6)",
        ", ".join(f"{name} {worth:+.2f}" for name, worth in zip(strongest, alone["worth"], strict=False)),
        REPRODUCED if same == _STRONGEST else PARTLY if same else NOT,
        f"{kind}judge {about['judge']}, {about['n_scenarios']:,} scenarios",
    )
