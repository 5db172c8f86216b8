"""The replies that were written to train on, and the examples that classifiers of intents make of them."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from envs import Schema, penguin_schema
from experiments.understanding.fitting import Example, tabbed_lines
from policies.understanding.readers.facts import facts
from policies.understanding.readers.intents import cues
from policies.understanding.text_classifier import DATA

REPLIES = DATA / "replies.tsv"
"""Author, kind, attribute (* = any), level that it names for sure or nothing, reply; parted by tabs."""
KINDS = {
    "direct": "answer",
    "partial": "answer",
    "evasive": "decline",
    "declines": "decline",
    "why": "why",
    "unclear": "unclear",
    "stop": "stop",
    "correct": "correct",
    "new_query": "new_query",
    "off_topic": "off_topic",
}
"""Kind of a written reply -> intent."""
_NEAR = (
    ("Emotional State", "Mental Health Status", "Past Self-Harm History"),
    ("Emotional State", "Mental Health Status", "Health Status"),
    ("Profession", "Education Level", "Age"),
    ("Profession", "Economic Status"),
    ("Gender", "Marital Status"),
)
"""Attributes of which one answer often tells; an answer about any other attribute tells nothing."""
_ASKS_WHY = re.compile(
    r"^(?:and |so |but |ok |okay |um |sorry,? )*(?:why|what for|how come)\b"
    r"|\bwhat(?:'?s| has| does| is) .{0,40}\b(?:to do with|matter|for)\b"
    r"|\bhow (?:is|does|would|will) .{0,40}\b(?:relevant|help|matter)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class WrittenReply:
    """A reply, its author's letter, its kind, the attribute it replies to (None: to any), and its level."""

    author: str
    kind: str
    attribute: str | None
    text: str
    level: str | None = None


def written_replies(path: Path = REPLIES) -> list[WrittenReply]:
    """Return the replies of a file.

    Raises
    ------
    UserError
        a line without five fields, with another kind, or with a level that is none; its number.
    """
    levels = {a.name: {"", *(level.name for level in a.levels)} for a in penguin_schema().attributes}
    lines = tabbed_lines(
        path,
        lambda f: len(f) == 5 and f[1] in KINDS and f[3] in levels.get(f[2], {""}),
        "author, kind, attribute, level and reply, tabs between",
    )
    return [
        WrittenReply(author, kind, None if attribute == "*" else attribute, text, level or None)
        for author, kind, attribute, level, text in lines
    ]


def tells_examples(replies: Iterable[WrittenReply], seed: int = 0) -> list[Example]:
    """Return what each reply tells of the attribute that was asked: labels `yes` and `no`.

    An answer about one attribute is also a reply that tells nothing of three others, drawn among those it is
    not near and of which it holds no fact; so is talk past one question, of three other ones. A reply to
    anything is one to eight attributes. Each example comes twice, with and without its attribute, so that the
    features alone can speak for attributes that were never trained.
    """
    rng = np.random.default_rng(seed)
    schema = penguin_schema()
    found: list[Example] = []
    for reply in replies:
        found += [
            replace(example, about=about, weight=example.weight * share)
            for example in _of_attributes(reply, schema, rng)
            for about, share in ((example.about, 1.0), (None, 0.5))
        ]
    return found


def _of_attributes(reply: WrittenReply, schema: Schema, rng: np.random.Generator) -> Iterator[Example]:
    def example(name: str, label: str, weight: float = 1.0) -> Example:
        attribute = schema.attributes[schema.index(name)]
        seen = cues(reply.text, attribute, facts(reply.text, schema, name))
        return Example(reply.text, label, name, seen, weight)

    def elsewhere(names: Sequence[str], weight: float) -> Iterator[Example]:
        others = (example(str(name), "no", weight) for name in rng.permutation(names))
        return itertools.islice((other for other in others if "a fact" not in other.cues), 3)

    if reply.kind == "correct":
        return
    if reply.attribute is None:
        for name in rng.permutation(schema.names)[:8]:
            yield example(str(name), "no", 3 / 8)
    elif KINDS[reply.kind] == "answer":
        yield example(reply.attribute, "yes")
        yield from elsewhere([name for name in schema.names if not are_near(name, reply.attribute)], 0.5)
    else:
        yield example(reply.attribute, "no")
        if reply.kind in ("off_topic", "evasive"):
            yield from elsewhere([name for name in schema.names if name != reply.attribute], 0.4)


def are_near(one: str, other: str) -> bool:
    """Tell whether an answer about one attribute often tells of the other."""
    return any(one in group and other in group for group in _NEAR)


def kinds_examples(replies: Sequence[WrittenReply]) -> list[Example]:
    """Return the intent of each reply, whatever was asked; rare ones weigh more.

    An evasive reply that asks what the question is for is `why`.
    """
    labels = [_intent_of(reply) for reply in replies]
    counts = Counter(labels)
    return [
        Example(reply.text, label, None, cues(reply.text), (len(labels) / counts[label]) ** 0.5)
        for reply, label in zip(replies, labels, strict=True)
    ]


def _intent_of(reply: WrittenReply) -> str:
    asks = reply.kind == "evasive" and "?" in reply.text and _ASKS_WHY.search(reply.text)
    return "why" if asks else KINDS[reply.kind]
