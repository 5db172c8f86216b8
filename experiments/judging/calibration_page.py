"""The first screen of a judge beside people: does it agree, where is it furthest off, what labels change."""

from __future__ import annotations

import math
from typing import Any

from experiments.evaluation.report.grids import number, with_interval
from experiments.judging.calibration import ALL
from experiments.pages import KeyFact

TERMS = ("score", "interval", "weighted kappa", "bias", "corrected mean")


def calibration_facts(
    judge: str, simulated: bool, found: dict[str, list[dict[str, Any]]], n_labelled: int
) -> tuple[list[KeyFact], list[KeyFact]]:
    """Return what a reader asks first of `found` (`calibration.figures`), and the least favourable of it."""
    whole = found["agreement"][-1]  # the score
    bias = whole["bias"]
    too = {"above": "Its scores are surely too high", "below": "Its scores are surely too low"}
    biased = too.get(bias.verdict, "Its mean is not told apart from people's")
    raters = [f"{r['dimension'].replace('_', ' ')} {number(r['alpha'])}" for r in found["raters"]]
    among = f"Raters with each other: Krippendorff's alpha {', '.join(raters)}." if raters else ""
    facts = [
        KeyFact("What was compared?", f"Marks of the judge {judge} with people's, of the same answers."),
        KeyFact("On what?", f"{n_labelled:,} labelled answers, {whole['n']:,} of them with both scores."),
        KeyFact("Does it agree?", f"Weighted kappa {with_interval(whole['kappa'])}. {among}".strip()),
        KeyFact("Is it biased?", f"{biased}: judge minus people {with_interval(bias, signed=True)}."),
        KeyFact(
            "Is it real?",
            "SIMULATED: the judge is a formula or a script."
            if simulated
            else "The marks are the judge's and people's own.",
        ),
    ]
    cards = []
    groups = [row for row in found["bias"] if not math.isnan(row["bias"].estimate)]
    if groups:
        worst = max(groups, key=lambda row: abs(row["bias"].estimate))
        said = f"{worst['by']} {worst['group'] or '-'}: {with_interval(worst['bias'], signed=True)}"
        cards.append(KeyFact(f"Furthest off, of {len(groups)} groups", f"{said}, {worst['n']:,} answers."))
    poorest = [row for row in found["agreement"][:-1] if not math.isnan(row["kappa"].estimate)]
    if poorest:
        low = min(poorest, key=lambda row: row["kappa"].estimate)
        said = f"{low['dimension'].replace('_', ' ')}: weighted kappa {with_interval(low['kappa'])}."
        cards.append(KeyFact(f"Least agreement, of {len(poorest)} dimensions", said))
    mean = next((row for row in found["means"] if row["by"] == ALL), None)
    if mean is not None and not math.isnan(mean["corrected"].estimate):
        said = f"{with_interval(mean['judge'])} alone, {with_interval(mean['corrected'])} corrected."
        cards.append(KeyFact("What the labels change", f"Mean score: {said}"))
    return facts, cards
