"""The six published consistency rules of profiles, as counts on the printed values.

Four speak of one profile each and are counted as violations; where a rule says "likelier", two
shares are compared.
"About never" is held to be never.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.penguin.published_values import published_values, value_names

_LISTED = 20
POSITIVE = ("happiness", "satisfaction", "excitement")
"""Emotions that go with good situations only; none of the 140 published situations is one."""


class RuleCount(NamedTuple):
    """A rule about single profiles: `violations` of `n` profiles whose `attributes` are known.

    `who`: the first of those who violate it, by their place.
    """

    rule: str
    violations: int
    n: int
    attributes: tuple[str, ...] = ()
    who: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Tell whether nobody violates it."""
        return self.violations == 0

    @property
    def shown(self) -> str:
        """The count in words."""
        share = f" ({self.violations / self.n:.1%})" if self.n else ""
        return f"{self.violations:,} of {self.n:,}{share}"


class RuleComparison(NamedTuple):
    """A rule that something is likelier here than there: hits and people of both.

    `attributes`, `domain`: what a schema has to have for the rule to say anything.
    """

    rule: str
    hits: int
    n: int
    other_hits: int
    other_n: int
    factor: float
    attributes: tuple[str, ...] = ()
    domain: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether the first share is over `factor` times the second; False where one is of nobody."""
        if not self.n or not self.other_n:
            return False
        return self.hits * self.other_n > self.factor * self.other_hits * self.n

    @property
    def shown(self) -> str:
        """Both shares in words."""
        parts = ((self.hits, self.n), (self.other_hits, self.other_n))
        return " against ".join(f"{hits / n:.1%} of {n:,}" if n else "nobody" for hits, n in parts)


class _People:
    def __init__(self, codes: np.ndarray) -> None:
        self._codes, self._names = codes, published_values().names

    def of(self, attribute: str, *values: str) -> np.ndarray:
        """Return bool[n]: who has one of `values`."""
        names = value_names(attribute)
        column = self._codes[:, self._names.index(attribute)]
        return np.isin(column, [names.index(value) for value in values])

    def known(self, *attributes: str) -> np.ndarray:
        columns = [self._names.index(a) for a in attributes]
        return np.asarray((self._codes[:, columns] >= 0).all(axis=1))

    def never(self, rule: str, bad: np.ndarray, *attributes: str) -> RuleCount:
        """Count `bad`, bool[n], among those of whom all `attributes` are known."""
        there = self.known(*attributes)
        who = np.flatnonzero(bad & there)
        return RuleCount(rule, len(who), int(there.sum()), attributes, tuple(who[:_LISTED].tolist()))


def check_rules(codes: np.ndarray, domains: np.ndarray) -> list[RuleCount | RuleComparison]:
    """Return what the six rules come to among the people of int8[n, 10] `codes` and str[n] `domains`."""
    people = _People(codes)
    of, mental, emotion = people.of, "Mental Health Status", "Emotional State"
    young = of("Age", "18-24") & of("Education Level", "PhD")
    despair = of(emotion, "despair") & ~of(mental, "Severe Depression")
    severe = of("Economic Status", "Severe Difficulty") & of("Profession", "financial", "legal")
    positive = of(emotion, *POSITIVE)
    return [
        people.never("1 no PhD at 18-24", young, "Age", "Education Level"),
        *_likelier(people, (domains == "relationship") & people.known("Marital Status")),
        people.never("5a despair only with severe depression", despair, emotion, mental),
        people.never("5b positive emotions only in good situations", positive, emotion),
        people.never(
            "6 no severe difficulty for financial and legal practitioners",
            severe,
            "Economic Status",
            "Profession",
        ),
    ]


def _likelier(people: _People, crisis: np.ndarray) -> list[RuleComparison]:
    """Return the rules that compare; `crisis`: bool[n], who is in a relationship crisis."""
    of, health, harm = people.of, people.known("Health Status"), people.known("Past Self-Harm History")
    pairs, single = of("Marital Status", "Married", "Divorced"), of("Marital Status", "Single")
    grave = of("Mental Health Status", "Severe Depression", "Anxiety")
    return [
        _compared(
            "2 serious illness likelier at 55+ than below 35",
            of("Health Status", "Serious Illness"),
            of("Age", "55+") & health,
            of("Age", "18-24", "25-34") & health,
            1.0,
            ("Health Status", "Age"),
        ),
        _far_likelier(
            "3 married or divorced far likelier than single in a relationship crisis",
            int((pairs & crisis).sum()),
            int((single & crisis).sum()),
            int(crisis.sum()),
        ),
        _compared(
            "4 self-harm far likelier under severe depression or anxiety than under none",
            of("Past Self-Harm History", "Yes"),
            grave & harm,
            of("Mental Health Status", "None") & harm,
            2.0,
            ("Mental Health Status", "Past Self-Harm History"),
        ),
    ]


def _compared(
    rule: str, hit: np.ndarray, here: np.ndarray, there: np.ndarray, factor: float, names: tuple[str, ...]
) -> RuleComparison:
    hits, others = int((hit & here).sum()), int((hit & there).sum())
    return RuleComparison(rule, hits, int(here.sum()), others, int(there.sum()), factor, names)


def _far_likelier(rule: str, hits: int, others: int, n: int) -> RuleComparison:
    return RuleComparison(rule, hits, n, others, n, 2.0, ("Marital Status",), "relationship")
