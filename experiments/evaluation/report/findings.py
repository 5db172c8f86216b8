"""Findings of an evaluation: sentences computed from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.evaluation.methods.baselines import BEST_STATIC, BEST_STATIC_ALL, FULL, VANILLA, static_name
from experiments.evaluation.methods.population_plans import POPULATION, POPULATION_ALL, TOLD
from experiments.evaluation.report.grids import number, with_interval
from experiments.evaluation.report.method_figures import Comparison, MethodFigures
from experiments.evaluation.report.pairs import Pair
from experiments.evaluation.run import Evaluation
from experiments.stats import Interval

_HELD_AGAINST = (BEST_STATIC_ALL, BEST_STATIC, POPULATION_ALL, POPULATION)
STATIC = static_name(2)
NEARLY = 0.97
"""Share of the exact plan's gain from which on a static set is called nearly enough."""


def ablation_rows(
    found: dict[str, MethodFigures], chosen: str, cost: float
) -> list[tuple[str, str, Interval]]:
    """Return (published label, our method, our score) of the published steps that there are here."""
    steps = (
        ("vanilla", VANILLA),
        ("+ abstention", f"random order + value {cost:g}"),
        ("+ planner", chosen),
        ("full context", FULL),
    )
    return [(label, name, found[name].score) for label, name in steps if name in found]


def findings(found: dict[str, MethodFigures], pairs: Sequence[Pair], chosen: str, cost: float) -> list[str]:
    """Return the sentences at the head of a report."""
    lines = [_ablation(ablation_rows(found, chosen, cost), found)]
    lines += [_static(pair.interval) for pair in pairs if (pair.name, pair.other) == (STATIC, POPULATION)]
    message: set[tuple[object, ...]] = set()
    for pair in pairs:
        if pair.name.startswith(TOLD) and pair.other not in (BEST_STATIC, POPULATION):
            continue  # what knows the domain is compared with what knows it too
        same = (pair.other, pair.kind, *pair.interval)  # the chosen policy may be one of the others
        if (
            pair.other in _HELD_AGAINST
            and pair.kind != "difference"
            and pair.name != STATIC
            and same not in message
        ):
            message.add(same)
            lines.append(_held(pair))
    lines += _stopping(pairs)
    against = [p for p in pairs if p.name.startswith("conditional + fixed") and p.kind == "difference"]
    return [*lines, *([_seeing(against)] if against else [])]


def unscored_lines(found: Evaluation, comparison: Comparison) -> list[str]:
    """Say how much has no score, nothing where all has."""
    if not found.unscored:
        return []
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in found.unscored.items())
    n_rows = sum(int(np.isnan(comparison.column(name, "score")).sum()) for name in comparison.names)
    return [
        f"Unscored: {sum(found.unscored.values()):,} of {found.n_evaluations:,} evaluations ({reasons}), "
        f"which leaves {n_rows:,} of {len(found.results):,} rows without a score; no figure counts them."
    ]


def _seeing(pairs: Sequence[Pair]) -> str:
    """Say what seeing the answers brings over following the nearest path."""
    parts = [f"{with_interval(p.interval, 2, signed=True)} at {p.name.rsplit(' ', 1)[1]}" for p in pairs]
    shown = ", ".join(parts)
    return f"Plans that branch on answers against the nearest stored path, by number of questions: {shown}."


def _ablation(rows: Sequence[tuple[str, str, Interval]], found: dict[str, MethodFigures]) -> str:
    parts = [
        f"{name} {number(score.estimate)} at {number(found[name].questions.estimate, 1)} questions"
        for _, name, score in rows
    ]
    return "Mean score: " + ", ".join(parts) + "."


def _static(share: Interval) -> str:
    """Say whether a static set is nearly enough; `share`: its gain over that of the exact plan."""
    low, high = (f"{100 * value:.1f}" for value in share[1:])
    bring = (
        f"the best pair of questions per domain, the same for everybody, brings {100 * share.estimate:.1f} % "
        f"[{low}, {high}] of the gain of the exact plan that sees every answer and asks no more"
    )
    if share.estimate >= NEARLY:
        return f"A static set is nearly enough here, planning what to ask whom can show little: {bring}."
    return f"A static set is not enough here: {bring}."


def _held(pair: Pair) -> str:
    if pair.kind == "share":
        low, high = (f"{100 * value:.0f}" for value in pair.interval[1:])
        share = f"{100 * pair.interval.estimate:.0f} % [{low}, {high}]"
        return f"At equal mean questions {pair.name} reaches {share} of the gain of the exact {pair.other}."
    where = " at equal mean questions" if pair.kind == "equal questions" else ""
    shown = with_interval(pair.interval, 3, signed=True)
    name = pair.name[0].upper() + pair.name[1:]
    return f"{name} against {pair.other}{where}: {shown}, {verdict(pair.interval)}."


def verdict(interval: Interval) -> str:
    """Return what a difference with its interval allows to say."""
    return {"above": "higher", "below": "lower"}.get(interval.verdict, "not told apart")


def _stopping(pairs: Sequence[Pair]) -> list[str]:
    """Say for each acquisition at which k stopping by value saves questions at equal score."""
    saved = [pair for pair in pairs if pair.kind == "questions saved"]
    lines = []
    for family in dict.fromkeys(pair.other for pair in saved):
        words: dict[str, list[str]] = {"fewer": [], "more": [], "not told apart": []}
        for pair in saved:
            if pair.other == family:
                word = {"above": "more", "below": "fewer"}.get(pair.interval.verdict, "not told apart")
                words[word].append(pair.name.rsplit(" ", 1)[1])
        message = "; ".join(f"{word} at k = {', '.join(ks)}" for word, ks in words.items() if ks)
        lines.append(f"Questions of {family} against a fixed number k at the same score: {message}.")
    return lines
