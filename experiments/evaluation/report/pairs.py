"""Comparisons of methods: differences, and at equal questions or equal scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiments.evaluation.methods.baselines import (
    BEST_STATIC,
    BEST_STATIC_ALL,
    STATIC_SETS,
    VANILLA,
    static_name,
)
from experiments.evaluation.methods.compared_methods import STORED
from experiments.evaluation.methods.population_plans import POPULATION, POPULATION_ALL, TOLD, cost_name
from experiments.evaluation.report.method_figures import Comparison
from experiments.stats import Interval

WITHOUT_TREES = ("nearest", "vote")


@dataclass(frozen=True)
class Pair:
    """One comparison of a method with another, or with a family of operating points.

    `kind`: `difference` (score, first less second), `equal questions` (score, first less the second's curve
    read at the first's mean questions), `share` (gain of the first over that of the second's curve at the
    first's mean questions), `questions saved` (questions of the second's curve less the first's, at the
    first's mean score).
    """

    name: str
    other: str
    kind: str
    interval: Interval

    @property
    def label(self) -> str:
        """The comparison in words."""
        if self.kind == "difference":
            return f"{self.name} minus {self.other}"
        if self.kind == "equal questions":
            return f"{self.name} minus {self.other}, equal questions"
        if self.kind == "share":
            return f"gain of {self.name} over that of the {self.other}, equal questions"
        return f"questions of {self.other} minus {self.name}, equal score"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "interval": self.interval, "label": self.label}


def compare(comparison: Comparison, chosen: str, cost: float) -> list[Pair]:
    """Return every comparison whose methods there are.

    `chosen`: the method that is held against the others; `cost`: cost weight of the `value` rule that stands
    for it in the ablation.
    """
    have, rule = set(comparison.names), f"value {cost:g}"
    alone, conditional = f"random order + {rule}", f"conditional + value {cost:g}"
    differences = [(alone, VANILLA), (chosen, VANILLA), (chosen, alone)]
    differences += [(name, alone) for name in (*(f"{a} + {rule}" for a in WITHOUT_TREES), conditional)]
    differences += [(conditional, f"{a} + {rule}") for a in WITHOUT_TREES]
    differences += [(f"conditional + fixed {k}", f"nearest + fixed {k}") for k in (1, 2, 3, 4)]
    differences += [(f"{STORED} + fixed {k}", f"nearest + fixed {k}") for k in (1, 2, 3, 4)]
    differences += [(f"llm + fixed {k}", f"vote + fixed {k}") for k in (1, 2, 3, 4)]
    differences += [(f"{a} + scale 4", "random order + scale 4") for a in (*WITHOUT_TREES, "llm")]
    differences += [(chosen, other) for other in (*STATIC_SETS, BEST_STATIC_ALL, BEST_STATIC)]
    pairs = [
        Pair(a, b, "difference", comparison.difference(a, b))
        for a, b in dict.fromkeys(differences)
        if {a, b} <= have and a != b
    ]
    ours = dict.fromkeys((chosen, conditional, cost_name(TOLD, cost)))
    along = [pair for name in ours if name in have for pair in _along_curves(comparison, name)]
    families = curves(comparison)
    if static_name(2) in have and POPULATION in families:
        share = comparison.share_at_equal_questions(static_name(2), families[POPULATION])
        along.append(Pair(static_name(2), POPULATION, "share", share))
    return [*pairs, *along, *_stopping(comparison)]


def curves(comparison: Comparison) -> dict[str, list[str]]:
    """Return {family: methods} of the operating points of each family, with nobody asked as the first."""
    found: dict[str, list[str]] = {}
    for name in comparison.names:
        family = comparison.family(name)
        if family:
            found.setdefault(family, [VANILLA] if VANILLA in comparison.names else []).append(name)
    return found


def _along_curves(comparison: Comparison, chosen: str) -> list[Pair]:
    families = curves(comparison)
    pairs = []
    for family in (
        "random order",
        "random order + value",
        "random order + scale",
        BEST_STATIC_ALL,
        BEST_STATIC,
        POPULATION_ALL,
        POPULATION,
    ):
        if family in families:
            held = comparison.score_at_equal_questions(chosen, families[family])
            pairs.append(Pair(chosen, family, "equal questions", held))
        if family in families and family.startswith(POPULATION):
            share = comparison.share_at_equal_questions(chosen, families[family])
            pairs.append(Pair(chosen, family, "share", share))
    return pairs


def _stopping(comparison: Comparison) -> list[Pair]:
    """Hold stopping by value and by a model against a fixed number, for each acquisition that has both."""
    families, pairs = curves(comparison), []
    for name in comparison.names:
        found = re.fullmatch(r"(.+) \+ fixed (\d+)", name)
        if found is None:
            continue
        for family in (f"{found[1]} + value", f"{found[1]} + scale"):
            if family not in families:
                continue
            saved = comparison.questions_at_equal_score(name, families[family])
            pairs.append(Pair(name, family, "questions saved", saved))
            higher = comparison.score_at_equal_questions(name, families[family])
            pairs.append(Pair(name, family, "equal questions", higher))
    return pairs


def difference_rows(pairs: Sequence[Pair]) -> list[tuple[str, Interval]]:
    """Return (label, interval) of the plain differences, as they are drawn."""
    return [(pair.label, pair.interval) for pair in pairs if pair.kind == "difference"]
