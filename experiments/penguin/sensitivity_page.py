"""The page of a sensitivity study: what attributes are worth, by domain, and which replace each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from envs.judges.simulated.parameters import PUBLISHED_GAINS
from experiments.evaluation.report.grids import with_interval
from experiments.evaluation.report.published_claims import is_published_of
from experiments.pages import Grid, KeyFact, page
from experiments.penguin.sensitivity_tables import ALL, PAIR, SHAPLEY, SINGLE, MeanWorth
from experiments.plots.palette import SOFT
from experiments.plots.svg import Drawing, draw_signed_heat, drawing
from experiments.stats import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAIRS_SHOWN = 5
_MISSED = 0.05
"""Of 95 % intervals, the share that does not hold the truth."""
_KINDS = {SINGLE: "Gain of an attribute alone", SHAPLEY: "Shapley value of an attribute"}


def sensitivity_page(
    rows: Sequence[MeanWorth], judge: str, simulated: bool, n: int, calls: int, made_up: str = ""
) -> str:
    """Return the page of `rows`; `n` scenarios, `calls` of the judge; `made_up`: what it made up, a line."""
    mark = " (SIMULATED)" if simulated else ""
    whole = sorted((r for r in rows if r.domain == ALL and r.kind == SHAPLEY), key=lambda r: r.worth.rank)
    most, least = whole[-1], whole[0]
    sure, harmful = (sum(r.worth.verdict == side for r in whole) for side in ("above", "below"))
    real = (
        "No, SIMULATED: a formula gave every score. What it says of an attribute says nothing of people."
        if simulated
        else f"In part: {judge} gave every score; no person rated anything here."
    )
    published = is_published_of(r.attribute for r in whole)
    against = "Gains of one attribute stand beside the paper's (Fig. 6)." if published else "Nothing told."
    facts = [
        KeyFact("What was measured?", "The score with an attribute told, less the score without it."),
        KeyFact("On what?", f"{n:,} scenarios, {calls:,} calls of the judge {judge}."),
        KeyFact("Against what?", against),
        KeyFact(
            "Does it matter?",
            f"{sure} of {len(whole)} attributes surely raise the score, beside what others tell; "
            f"{harmful} of {len(whole)} surely lower it (Shapley values).",
        ),
        KeyFact("Is it real?", real),
    ]
    cells = [r for r in rows if r.kind == SHAPLEY and r.domain != ALL and not math.isnan(r.worth.estimate)]
    cards = [
        KeyFact(f"Worth most{mark}", f"{most.attribute}: {with_interval(most.worth, signed=True)}."),
        KeyFact(f"Worth least{mark}", f"{least.attribute}: {with_interval(least.worth, signed=True)}."),
    ]
    if cells:
        low = min(cells, key=lambda r: r.worth.rank)
        said = f"{low.attribute} in {low.domain}: {with_interval(low.worth, signed=True)}."
        cards.append(KeyFact(f"Lowest of {len(cells)} by attribute and domain{mark}", said))
    title = f"{most.attribute} is worth most to this judge{mark}"
    notice = "SIMULATED scores: a formula with made-up numbers judged." if simulated else ""
    notice = f"{notice} {made_up}".strip() or f"Scores of {judge}: a model's opinion, of no person's."
    tables = worth_grids(rows, f"What attributes are worth{mark}")
    terms = ("score", *(["SIMULATED"] if simulated else []), "Shapley value", "interval", "judge call")
    return page(title, (), notice, [*heat_maps(rows, mark), *tables], facts, cards, terms)


def heat_maps(rows: Sequence[MeanWorth], mark: str) -> list[Drawing]:
    """Return single gains and Shapley values as figures, attributes by domains."""
    cell = {(r.kind, r.domain, r.attribute): r.worth for r in rows if r.kind != PAIR}
    domains = list(dict.fromkeys(domain for _, domain, _ in cell))
    if len(domains) == 2:  # the only domain is the whole
        domains.remove(ALL)
    names = list(dict.fromkeys(name for _, _, name in cell))
    names.sort(key=lambda name: -np.nan_to_num(cell[SHAPLEY, ALL, name].estimate, nan=-9.0))

    def shown(kind: str) -> Drawing:
        worths = [[cell[kind, domain, name] for domain in domains] for name in names]
        values = np.array([[worth.estimate for worth in row] for row in worths])

        def paint(figure: Figure, narrow: bool) -> None:
            axes = figure.subplots()
            texts = np.array([[_cell(worth, narrow) for worth in row] for row in worths])
            draw_signed_heat(axes, values, names, domains, texts)
            axes.set_xticks(range(len(domains)), domains, rotation=90 if narrow else 0)
            if domains[0] == ALL:
                axes.axvline(0.5, color=SOFT, linewidth=1.0)

        height = 0.7 + 0.36 * len(names)
        note = (
            "Points of the score (1 to 5), blue a gain; on a wide screen with half the interval, by person. "
            f"At 95 % one interval in twenty misses, of these {values.size} about "
            f"{max(1, round(values.size * _MISSED))}: look twice at a lone cell."
        )
        return drawing(f"{kind}-map", f"{_KINDS[kind]}, by domain{mark}", note, paint, height, height + 0.8)

    return [shown(kind) for kind in _KINDS]


def _cell(worth: Interval, narrow: bool) -> str:
    value, half = worth.estimate, (worth.high - worth.low) / 2
    if math.isnan(value):
        return "-"
    if narrow:
        return f"{value:.2f}".replace("0.", ".", 1)
    return f"{value:+.2f}\n\u00b1{half:.2f}"


def worth_grids(rows: Sequence[MeanWorth], title: str) -> list[Grid]:
    """Return the tables: attributes over all scenarios, and the strongest interactions."""
    of = {(r.kind, r.attribute): r.worth for r in rows if r.domain == ALL and r.kind != PAIR}
    names = sorted({name for _, name in of}, key=lambda name: -of[SHAPLEY, name].estimate)
    compared = is_published_of(names)
    lines = []
    for name in names:
        published = PUBLISHED_GAINS.get(name, math.nan)
        shown = "-" if math.isnan(published) else f"{published:+.2f}"
        gains = (with_interval(of[kind, name], signed=True) for kind in (SINGLE, SHAPLEY))
        lines.append((name, *gains, shown) if compared else (name, *gains))
    pairs = [r for r in rows if r.kind == PAIR and r.domain == ALL and not math.isnan(r.worth.estimate)]
    pairs.sort(key=lambda r: r.worth.estimate)
    strong = dict.fromkeys([*pairs[:_PAIRS_SHOWN], *pairs[-_PAIRS_SHOWN:]])
    shown_pairs = [
        (f"{r.attribute}, {r.other}", with_interval(r.worth, signed=True), f"{r.n_scenarios:,}")
        for r in strong
    ]
    columns = ("attribute", "alone", "Shapley value", *(["alone in the paper (Fig. 6)"] if compared else []))
    note = (
        f"Below 0: substitutes; above 0: complements. These are the extremes of {len(pairs)} pairs, "
        "picked for being extreme: most lie nearer to 0 than they look."
    )
    title_of_pairs = "Pairs: strongest substitutes and complements"
    interactions = Grid(title_of_pairs, ("pair", "interaction", "scenarios"), shown_pairs, note)
    return [Grid(title, columns, lines), interactions]
