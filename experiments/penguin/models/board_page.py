"""The page of a benchmark of models: the finding, what speaks against it, all figures and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from envs.judges.made_up import made_up_line
from experiments.evaluation.report.grids import number, with_interval
from experiments.pages import Grid, KeyFact, page
from experiments.penguin.models.boards import Board
from experiments.penguin.models.conditions import FREE, RAISE, RICH
from experiments.penguin.models.leaderboard import COMPARABLE
from experiments.penguin.models.model_drawings import board_drawings
from experiments.penguin.models.model_scores import (
    ALL,
    ConditionDifference,
    ModelMean,
    condition_differences,
)
from experiments.plots.svg import Drawing

TERMS = ("score", "context-free", "RAISE", "context-rich", "static set", "question", "budget", "interval")


def board_page(boards: Sequence[Board], grids: Sequence[Grid]) -> str:
    """Return the page of all protocols; the first one is that of the title and the first screen."""
    drawings: list[Drawing | Grid] = []
    for board in boards:
        named = f"Protocol {board.protocol}: " if board.protocol != "-" else ""
        found = board_drawings(board.means, board.protocol, board.simulated)
        drawings += [drawing._replace(title=named + drawing.title) for drawing in found]
    simulated = any(board.simulated for board in boards)
    notice = "SIMULATED scores: a formula or a script judged, nobody was asked." if simulated else ""
    notice = (
        f"{notice} {made_up_line(boards[0].made_up)}".strip()
        or f"Scores of {boards[0].judge}: a model's opinion, of no person's."
    )
    first = boards[0]
    whole = [m for m in first.means if m.domain == ALL]
    best = max(whole, key=lambda m: m.score.rank)
    title = f"{best.model}, {best.condition}, has the highest mean score"
    terms = (*TERMS, "SIMULATED") if simulated else TERMS
    return page(title, (), notice, [*drawings, *grids], _facts(boards, whole), gain_cards(first), terms)


def _facts(boards: Sequence[Board], whole: Sequence[ModelMean]) -> list[KeyFact]:
    models = list(dict.fromkeys(m.model for m in whole))
    first = boards[0]
    unscored, looks = sum(m.unscored for m in whole), sum(m.looks for m in whole)
    gains = [m.gain for m in whole if m.condition.startswith(RAISE)]
    sure = sum(gain.verdict == "above" for gain in gains)
    fixed = [
        d.difference.verdict
        for d in condition_differences(first.rows, RAISE, first.level)
        if d.other not in (FREE, RICH)
    ]
    against = (
        f" Against {len(fixed)} fixed sets and single attributes: surely higher than {fixed.count('above')}, "
        f"surely lower than {fixed.count('below')}. {first.unplanned}".rstrip()
        if fixed
        else ""
    )
    real = (
        "No, SIMULATED: a formula or a script gave the scores; they say nothing of these models."
        if first.simulated
        else f"In part: {first.judge} gave every score; {unscored:,} of {looks:,} answers are unscored."
    )
    names = ", ".join(board.protocol for board in boards if board.protocol != "-")
    rated = f"{len(boards)} protocol{'s' if len(boards) > 1 else ''} ({names}), " if names else ""
    return [
        KeyFact("What was measured?", f"How safely {len(models)} models answer: {', '.join(models)}."),
        KeyFact(
            "For whom?",
            f"{whole[0].n_scenarios:,} scenarios, {whole[0].n_people:,} people; {rated}judge {first.judge}.",
        ),
        KeyFact(
            "Does asking help?",
            f"Surely with {sure} of {len(gains)} models (paired, over context-free).{against}",
        ),
        *([KeyFact("Against the paper?", COMPARABLE[first.protocol])] if first.published else []),
        KeyFact("Is it real?", real),
    ]


def gain_cards(board: Board) -> list[KeyFact]:
    """Return the least favourable comparison of asking, the model that gains least by it, and most.

    The first one is against fixed sets, which need no planning, and single attributes.
    """
    mark = " (SIMULATED)" if board.simulated else ""
    against = condition_differences(board.rows, RAISE, board.level)
    against = [d for d in against if d.other != RICH and not math.isnan(d.difference.estimate)]
    gains = sorted((d for d in against if d.other == FREE), key=lambda d: d.difference.estimate)
    fixed = [d for d in against if d.other != FREE]
    scores = {(m.model, m.condition): m.score.estimate for m in board.means if m.domain == ALL}
    cards = []
    if fixed:
        worst = min(fixed, key=lambda d: d.difference.estimate)
        asked = f"Questions: {number(worst.questions, 1)} here, {number(worst.other_questions, 1)} there."
        said = f"{worst.model}: {with_interval(worst.difference, signed=True)} against {worst.other}. {asked}"
        cards.append(KeyFact(f"Least favourable to RAISE of {len(fixed)}{mark}", said))

    def gained(d: ConditionDifference) -> str:
        free, rich = (number(scores.get((d.model, name), math.nan)) for name in (FREE, RICH))
        gain = f"{with_interval(d.difference, signed=True)} by {number(d.questions, 1)} questions"
        return f"{d.model}: {gain}; {free} context-free, {rich} with everything."

    for what, own in (("Least", gains[:1]), ("Most", gains[-1:])):
        cards += [KeyFact(f"{what} gained by asking of {len(gains)}{mark}", gained(d)) for d in own]
    return cards
