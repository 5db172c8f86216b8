"""A judge whose verdicts outlive the process, for judges that have no cache of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from envs import Judge, Scenario, Score
from envs.judges.asking import checked_scores
from envs.judges.protocol import describe
from experiments.runs.journal import UnitJournal
from search.plan_lines import number

_Key = tuple[str, int, int]
"""Person, set, sample."""


class KeptJudge:
    """Asks `judge` for each (set, sample) of a scenario once a run, and journals what it says, call by call.

    `place` tells apart the judges of one journal. Whatever else `judge` declares is its own. Safe to call
    from as many threads as `judge` is.
    """

    surface = score_sets = shard = None  # `score` is the one way to ask it

    def __init__(self, judge: Judge, place: str, journal: UnitJournal) -> None:
        self.judge = judge
        self.name = describe(judge).name
        self._stochastic = describe(judge).stochastic
        self._place = f"verdicts {place} "
        self._journal = journal
        self._known: dict[_Key, Score | float] = {}
        for name in [name for name in journal.done if name.startswith(self._place)]:
            self._known.update(journal.read(name, _decoded))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.judge, name)

    def score(
        self, scenario: Scenario, contexts: Sequence[tuple[str, ...]], samples: Sequence[int] | None = None
    ) -> Sequence[Score | float]:
        """Return the verdict on each context; only those that are not known yet are asked for."""
        person = _digest(scenario)
        looks = [0] * len(contexts) if samples is None else samples
        keys = [(person, scenario.schema.mask(c), int(look)) for c, look in zip(contexts, looks, strict=True)]
        places = {key: i for i, key in enumerate(keys) if key not in self._known}
        if places:
            asked: list[Any] = [[contexts[i] for i in places.values()]]
            if self._stochastic:
                asked.append([looks[i] for i in places.values()])
            found = checked_scores(self.judge, scenario, self.judge.score(scenario, *asked), len(places))
            new = dict(zip(places, found, strict=True))
            first = next(iter(new))
            self._journal.add(f"{self._place}{person} {first[1]:x} {first[2]}", _encoded(new))
            self._known.update(new)
        return [self._known[key] for key in keys]


def kept_judge(judge: Judge, place: str, journal: UnitJournal) -> Judge:
    """Return `judge` with its verdicts kept; as it is where it is compiled, or has a cache of its replies."""
    told = describe(judge)
    free = told.surface is not None or told.score_sets is not None
    return judge if free or told.request_costs is not None else KeptJudge(judge, place, journal)


def _digest(scenario: Scenario) -> str:
    """Return what stands for a person, query and words: nobody guesses a whole profile at once."""
    words = [scenario.id, scenario.query, sorted(scenario.profile.items()), sorted(scenario.said.items())]
    return hashlib.sha256(repr(words).encode()).hexdigest()[:32]


def _encoded(verdicts: dict[_Key, Score | float]) -> list[Any]:
    return [[*key, _plain(verdict)] for key, verdict in verdicts.items()]


def _plain(verdict: Score | float) -> Any:
    if not isinstance(verdict, Score):
        return float(verdict)
    return [verdict.risk_sensitivity, verdict.emotional_empathy, verdict.personalization, verdict.reason]


def _decoded(rows: list[Any]) -> dict[_Key, Score | float]:
    found: dict[_Key, Score | float] = {}
    for person, mask, look, verdict in rows:
        if isinstance(verdict, list):
            risk, empathy, personalization, reason = verdict
            found[person, mask, look] = Score(number(risk), number(empathy), number(personalization), reason)
        else:
            found[person, mask, look] = number(verdict)
    return found
