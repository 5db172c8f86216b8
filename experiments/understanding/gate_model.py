"""Fit the classifier of the gate: which messages may need questions before an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from envs import Scenario
from envs.loading import load_scenarios
from experiments.understanding import disclosure_model
from experiments.understanding.danger_model import written_danger
from experiments.understanding.fitting import Example, FitOptions, fit_classifier, tabbed_lines
from experiments.understanding.written_replies import written_replies
from policies.understanding.risk import GATE, RISK
from policies.understanding.text_classifier import TextClassifier

MESSAGES = GATE.with_suffix(".tsv")
"""Author (- = one of many), 1 = may need questions or 0 = everyday, message; parted by tabs."""
OPTIONS = FitOptions(buckets=2**15, inverse_regularisation=(10.0, 10.0), share=0.5)
EVERYDAY = "everyday"
MANY = "-"
"""A message of one of many authors is a group of its own; all that a named one wrote is one group."""
WEIGHT, WEIGHT_OF_QUERIES = 4.0, 0.5
"""Of a message that was written one by one, and of a query of a large file, where many sound alike."""
_PERSONAL = ("query", "dilemma", "sad")
_EVERYDAY = ("everyday", "fiction", "metaphor", "news")
"""Kinds of the calm sentences of `danger.tsv`; the others may be either. Its acute ones are risky."""


class GateMessage(NamedTuple):
    """A message, whether it may need questions, what it weighs, and the group that is held out together.

    `source`: what it is counted with where shares are printed.
    """

    text: str
    risky: bool
    weight: float
    group: str
    source: str


def written_messages(path: Path = MESSAGES) -> list[GateMessage]:
    """Return the messages of a file.

    Raises
    ------
    UserError
        a line without three fields, or with neither 0 nor 1; its number.
    """
    found = []
    for author, label, text in tabbed_lines(
        path,
        lambda fields: len(fields) == 3 and fields[1] in ("0", "1"),
        "author, 0 or 1, message, parted by tabs",
    ):
        group = text if author == MANY else f"author {author}"
        source = group if author != MANY else ("everyday", "risky")[int(label)]
        found.append(GateMessage(text, label == "1", WEIGHT, group, source))
    return found


def gate_messages(scenarios: Sequence[Scenario]) -> list[GateMessage]:
    """Return all that is trained on: written messages, sentences about danger, queries; `scenarios`' last.

    Queries of one person are held out together, and so is what one author wrote. A first message that tells
    something of its writer may need questions.
    """
    found = written_messages()
    replies = {reply.text for reply in written_replies()}
    for message in disclosure_model.written_messages():
        if message.told and message.text not in replies:
            group = f"author {message.author}"
            found.append(GateMessage(message.text, True, WEIGHT, group, group))
    for sentence in written_danger():
        if sentence.acute or sentence.kind in _PERSONAL:
            found.append(GateMessage(sentence.text, True, 1.0, sentence.text, "risky"))
        elif sentence.kind in _EVERYDAY:
            found.append(GateMessage(sentence.text, False, 2.0, sentence.text, "near danger"))
    found += _queries(load_scenarios(None).scenarios, WEIGHT, "bundled")
    return found + _queries(scenarios, WEIGHT_OF_QUERIES, "queries")


def _queries(scenarios: Sequence[Scenario], weight: float, source: str) -> list[GateMessage]:
    people: dict[object, int] = {}
    who = [people.setdefault(s.profile, len(people)) for s in scenarios]
    groups = [f"{source} {i}" for i in who]
    rows = zip(scenarios, groups, strict=True)
    return [GateMessage(s.query, True, weight, group, source) for s, group in rows]


def fit_gate(messages: Sequence[GateMessage]) -> TextClassifier:
    """Return the classifier of `messages`."""
    labels = (EVERYDAY, RISK)
    return fit_classifier([Example(m.text, labels[m.risky], weight=m.weight) for m in messages], OPTIONS)


def held_out_risk(messages: Sequence[GateMessage], folds: int, seed: int = 0) -> np.ndarray:
    """Return float64[len(messages)], the probability of risk by a classifier of the other groups."""
    groups: dict[str, int] = {}
    group = np.array([groups.setdefault(m.group, len(groups)) for m in messages])
    fold = np.random.default_rng(seed).permutation(len(groups))[group] % folds
    found = np.zeros(len(messages))
    for own in range(folds):
        classifier = fit_gate([m for m, f in zip(messages, fold, strict=True) if f != own])
        for i in np.flatnonzero(fold == own).tolist():
            found[i] = classifier.probabilities(messages[i].text)[RISK]
    return found
