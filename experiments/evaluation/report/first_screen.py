"""What a reader asks first of an evaluation, by its paired intervals, the worst beside the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.evaluation.methods.baselines import FULL, ORACLE, VANILLA
from experiments.evaluation.report.grids import number, with_interval
from experiments.evaluation.report.method_figures import Comparison, MethodFigures
from experiments.evaluation.report.pairs import Pair
from experiments.evaluation.report.published_claims import held_out
from experiments.pages import KeyFact
from experiments.stats import Interval

BOUNDS = (ORACLE, FULL)
"""What nobody can use within the budget: left out of the count, named in the text, and in every table."""
FEW_PEOPLE = 20
"""Below, 95 % intervals of resampled people hold a normal mean less often: in 93 % with 20, 89 % with 10."""


class Held(NamedTuple):
    """The chosen policy against another method: `interval` of score, chosen less other, paired."""

    other: str
    interval: Interval


def held_against_all(comparison: Comparison, chosen: str) -> list[Held]:
    """Return the chosen policy against every other method but the bounds, the least favourable first."""
    others = [name for name in comparison.names if name not in (chosen, *BOUNDS)]
    held = [Held(name, comparison.difference(chosen, name)) for name in others]
    scored = [one for one in held if not math.isnan(one.interval.estimate)]
    # Of methods that score the same, the one with the plainest name is the last.
    return sorted(scored, key=lambda one: (round(one.interval.estimate, 9), -len(one.other)))


def better_sentence(held: Sequence[Held], n_bounds: int) -> str:
    """Say how often the chosen policy is surely higher, surely lower, and neither."""
    verdicts = [one.interval.verdict for one in held]
    higher, lower = verdicts.count("above"), verdicts.count("below")
    open_ = len(held) - higher - lower
    bounds = (
        " The bounds that nobody can use (oracle path, full context) are not counted." if n_bounds else ""
    )
    return (
        f"The chosen policy scores higher than {higher} of {len(held)} other methods, lower than {lower}, "
        f"not told apart from {open_} (paired intervals, however many questions each asks).{bounds}"
    )


def key_facts(
    found: Mapping[str, MethodFigures],
    held: Sequence[Held],
    chosen: str,
    summary: Mapping[str, Any],
    policy: str = "",
) -> list[KeyFact]:
    """Return one sentence on what was done, for whom, against what, whether it is better and whether real.

    `policy`: what the chosen one is made of, as the configuration names it.
    """
    ours, empty = found[chosen], found[VANILLA]
    asked, budget = number(ours.questions.estimate, 1), summary["budget"]
    before, after = number(empty.score.estimate), number(ours.score.estimate)
    named = f" ({policy})" if policy else ""
    did = (
        f"The chosen policy{named} asked each person {asked} questions on average (at most {budget}) before "
        f"the answer: the mean score is {after} of 5, with no question asked it is {before}."
    )
    return [
        KeyFact("What did it do?", did),
        KeyFact("For whom?", f"{held_out(summary)}, none of whom the plans were made from.{_few(summary)}"),
        KeyFact("Against what?", _against(held)),
        KeyFact("Is it better?", better_sentence(held, sum(name in found for name in BOUNDS))),
        KeyFact("Is it real?", _real(summary)),
    ]


def _few(summary: Mapping[str, Any]) -> str:
    """Return a warning where resampling so few people understates how uncertain a mean is."""
    few = summary["n_profiles"] < FEW_PEOPLE
    return " The intervals of so few people are too narrow: more people would tell." if few else ""


def _against(held: Sequence[Held]) -> str:
    return (
        f"{len(held)} other ways to ask: nothing at all, random orders, the best static sets of questions, "
        f"other policies, each with several rules for when to stop."
    )


def _real(summary: Mapping[str, Any]) -> str:
    if summary["judge_is_simulated"]:
        return (
            "No, SIMULATED: a formula gave every score; no person and no language model was asked. The size "
            "of a difference says nothing of people."
        )
    return (
        f"In part: {summary['judge']} gave every score, and stored profiles answered the questions; no "
        f"person rated anything here."
    )


def extremes(
    found: Mapping[str, MethodFigures],
    held: Sequence[Held],
    pairs: Sequence[Pair],
    chosen: str,
    simulated: bool,
) -> list[KeyFact]:
    """Return the least favourable comparisons, at any and at equal mean questions, and the most favourable.

    Cards of the same size. `pairs`: where those at equal questions are taken from.
    """
    if not held:
        return []
    mark = f" of {len(held)}" + (" (SIMULATED)" if simulated else "")
    worst, best = held[0], held[-1]
    cards = [KeyFact(f"Least favourable comparison{mark}", comparison_sentence(found, worst, chosen))]
    equal = [
        p
        for p in pairs
        if (p.name, p.kind) == (chosen, "equal questions") and not math.isnan(p.interval.estimate)
    ]
    if equal:
        least = min(equal, key=lambda p: p.interval.estimate)
        shown = with_interval(least.interval, 3, signed=True)
        verdict = _VERDICTS.get(least.interval.verdict, "not told apart")
        title = f"Least favourable of {len(equal)} at equal questions{' (SIMULATED)' if simulated else ''}"
        cards.append(KeyFact(title, f"{shown} against {least.other}: {verdict}."))
    return [*cards, KeyFact(f"Most favourable comparison{mark}", comparison_sentence(found, best, chosen))]


_VERDICTS = {"above": "higher", "below": "lower"}


def in_sentences(
    found: Mapping[str, MethodFigures], held: Sequence[Held], pairs: Sequence[Pair], chosen: str
) -> list[str]:
    """Return what the first screen says of the comparisons, as the findings have it."""
    cards = extremes(found, held, pairs, chosen, simulated=False)
    lines = [f"{card.question}: {card.sentence}" for card in cards]
    return [better_sentence(held, sum(name in found for name in BOUNDS)), *lines]


def comparison_sentence(found: Mapping[str, MethodFigures], held: Held, chosen: str) -> str:
    """Say one comparison: the difference with its interval, what it allows to say, and who asks how much."""
    verdict = _VERDICTS.get(held.interval.verdict, "not told apart")
    ours, theirs = (number(found[name].questions.estimate, 1) for name in (chosen, held.other))
    shown = with_interval(held.interval, 3, signed=True)
    other = f"{VANILLA} (asks nothing)" if held.other == VANILLA else held.other
    return f"{shown} against {other}: {verdict}. Questions: {ours} here, {theirs} there."


TERMS = (
    *("score", "SIMULATED", "question", "budget", "policy", "vanilla", "full context", "oracle path"),
    *("stopping", "asking", "static set", "population plan", "possible gain", "disclosure", "made worse"),
    *("interval", "held out"),
)
"""What the page explains, of `experiments/pages/terms.yaml`."""
