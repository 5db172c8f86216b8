"""What an audit asks a judge: each answer by itself, and what shows repeats, order and position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from envs import Judge, Scenario, Score
from envs.judges.asking import rated, scored
from envs.judges.protocol import Capabilities, describe
from experiments.evaluation.at_once import at_once
from experiments.judging.auditing.audit_answers import changed, plain, reordered, with_injected_query

REPEATS = 3
"""Looks at the plain answer."""
BATCH = 4
"""Answers of a batch in which the position is looked at."""
COMPARED = ("plain", "harmful", "cold", "fitted")
"""Answers that protocols are compared on: as different as they should be to any of them."""


class Related(NamedTuple):
    """The same judge in other ways. `protocols`: by name, this one included; `modes`: response and direct."""

    protocols: Mapping[str, Judge] = {}
    modes: Mapping[str, Judge] = {}


@dataclass(frozen=True)
class AuditScores:
    """What was said, over N scenarios.

    Attributes
    ----------
    people : int[N], whom each scenario is about: what is said of one person is not independent
    answers : name of a change -> float64[N]; NaN = unscored, here and below
    repeats : float64[N, REPEATS], of the plain answer
    reordered, injected_query : float64[N], the plain answer with the attributes turned round, and under a
        query that tries to set the rating
    forward, backward : float64[N, BATCH], a batch of answers, and the same in the opposite order, set right
    protocols : name -> float64[N, len(COMPARED)], the answers under each protocol
    modes : response and direct -> float64[N, 3], contexts of nothing, half and everything known
    reasons : N rows of why each answer that the judge was asked about is unscored; None = it is scored
    """

    people: np.ndarray
    answers: Mapping[str, np.ndarray]
    repeats: np.ndarray
    reordered: np.ndarray
    injected_query: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    protocols: Mapping[str, np.ndarray]
    modes: Mapping[str, np.ndarray]
    reasons: Sequence[Sequence[str | None]]


def ask(judge: Judge, scenarios: Sequence[Scenario], related: Related) -> AuditScores:
    """Return what `judge` says of the audit's answers, those of several scenarios at once."""
    calls = [partial(_asked, judge, scenario, i, related) for i, scenario in enumerate(scenarios)]
    rows = list(at_once(calls, describe(judge).concurrent_plans))

    def column(name: str) -> np.ndarray:
        return np.array([[score.value for score in row[name]] for row in rows])

    names = list(changed(scenarios[0], 0, ""))
    answers, numbers = column("answers"), dict[object, int]()
    return AuditScores(
        people=np.array([numbers.setdefault(s.profile, len(numbers)) for s in scenarios]),
        answers={name: answers[:, k] for k, name in enumerate(names)},
        repeats=column("repeats"),
        reordered=column("reordered")[:, 0],
        injected_query=column("injected query")[:, 0],
        forward=column("forward"),
        backward=column("backward")[:, ::-1],
        protocols={name: column(f"protocol {name}") for name in related.protocols},
        modes={name: column(f"mode {name}") for name in related.modes},
        reasons=[[score.reason for kind in _OF_THE_JUDGE for score in row[kind]] for row in rows],
    )


_OF_THE_JUDGE = ("answers", "repeats", "reordered", "injected query", "forward", "backward")


def _asked(judge: Judge, scenario: Scenario, i: int, related: Related) -> dict[str, list[Score]]:
    told = describe(judge)
    texts = changed(scenario, i, own_name(told))
    batch = [plain(i + k) for k in range(BATCH)]
    one = partial(_one, judge, told)
    found = {
        "answers": [one(scenario, text) for text in texts.values()],
        "repeats": [one(scenario, texts["plain"], look) for look in range(REPEATS)],
        "reordered": [one(reordered(scenario), texts["plain"])],
        "injected query": [one(with_injected_query(scenario, i), texts["plain"])],
        "forward": rated(judge, told, scenario, batch),
        "backward": rated(judge, told, scenario, batch[::-1]),
    }
    for name, other in related.protocols.items():
        found[f"protocol {name}"] = [_one(other, describe(other), scenario, texts[c]) for c in COMPARED]
    for name, other in related.modes.items():
        contexts = _contexts(scenario)
        found[f"mode {name}"] = scored(other, describe(other), scenario, contexts, [0] * len(contexts))
    return found


def _one(judge: Any, told: Capabilities, scenario: Scenario, answer: str, look: int = 0) -> Score:
    """Return the score of one answer by a call of its own, so that no neighbour in a batch counts."""
    return rated(judge, told, scenario, [answer], [look])[0]


def _contexts(scenario: Scenario) -> list[tuple[str, ...]]:
    names = scenario.schema.names_of(scenario.askable)
    return [(), names[: len(names) // 2], names]


def own_name(told: Capabilities) -> str:
    """Return what the judge's model is called."""
    return told.name.partition(":")[2].partition(" (")[0] or told.name


def n_requests(judge: Judge, scenarios: Sequence[Scenario], related: Related) -> tuple[int, list[Any]]:
    """Return how many requests an audit takes at most, and their costs, sending nothing.

    What a judge has not declared costs nothing; what repeats a request (the batches of one that rates each
    answer apart) is free, and is not counted.
    """
    told, costs = describe(judge), list[Any]()
    for i, scenario in enumerate(scenarios):
        texts = changed(scenario, i, own_name(told))
        rated_texts = [*texts.values(), *([plain(i)] * (REPEATS - 1 if told.stochastic else 0))]
        rated_texts += [plain(i), plain(i), *(plain(i + k) for k in range(1, BATCH))]
        if told.rate_costs is not None:
            costs += [cost for text in rated_texts for cost in told.rate_costs(scenario, text)]
        for other in (describe(j) for j in related.protocols.values() if j is not judge):
            if other.rate_costs is not None:
                costs += [cost for c in COMPARED for cost in other.rate_costs(scenario, texts[c])]
        for other in (describe(j) for j in related.modes.values()):
            if other.request_costs is not None:
                costs += [c for names in _contexts(scenario) for c in other.request_costs(scenario, names)]
    return len(costs), costs
