"""Fit the classifier of levels: what a reply means of an attribute, whatever patterns say of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from envs import penguin_schema
from envs.schema.attribute import Attribute
from experiments.understanding.fitting import Example, FitOptions, fit_classifier
from experiments.understanding.written_replies import WrittenReply
from policies.understanding.readers.facts import facts
from policies.understanding.readers.levels import OPEN, LevelClassifier, class_of, level_cues
from policies.understanding.text_classifier import TextClassifier

OPTIONS = FitOptions(buckets=2**14, inverse_regularisation=(30.0, 10.0), share=0.5)
_WEIGHTS = {"direct": 1.0, "correct": 1.0, "partial": 0.7, "evasive": 0.4, "off_topic": 0.2}
"""Of the kinds of replies it is trained on; all but the first two leave the level open."""


def level_examples(replies: Sequence[WrittenReply], name: str) -> list[Example]:
    """Return the replies about an attribute that surely name a level of it, and those that leave it open."""
    schema = penguin_schema()
    attribute = schema.attributes[schema.index(name)]
    return [
        Example(
            r.text,
            class_of(name, r.level or OPEN),
            cues=level_cues(r.text, attribute, said(r.text, attribute)),
            weight=_WEIGHTS[r.kind],
        )
        for r in replies
        if r.attribute == name and (r.level or (r.kind in _WEIGHTS and _WEIGHTS[r.kind] < 1))
    ]


def said(text: str, attribute: Attribute) -> str | None:
    """Return the level that the schema's patterns read in a reply about `attribute`."""
    found = facts(text, penguin_schema(), attribute.name).get(attribute.name)
    return found.level if found else None


def level_classifier(replies: Sequence[WrittenReply]) -> TextClassifier:
    """Return one classifier with the classes of all attributes, each attribute by itself."""
    fitted = [fit_classifier(level_examples(replies, name), OPTIONS) for name in penguin_schema().names]
    return TextClassifier(
        classes=tuple(name for one in fitted for name in one.classes),
        subjects=(),
        table=np.concatenate([one.table for one in fitted], axis=1),
        dense=np.concatenate([one.dense for one in fitted], axis=2),
        intercept=np.concatenate([one.intercept for one in fitted], axis=1),
    )


def leave_one_out(replies: Sequence[WrittenReply]) -> Iterator[str]:
    """Yield, for each author left out, the shares of replies whose level is right and wrong."""
    schema = penguin_schema()
    for author in sorted({reply.author for reply in replies if reply.level}):
        others = [reply for reply in replies if reply.author != author]
        levels = LevelClassifier(level_classifier(others))
        counts = {"sure": [0, 0, 0], "open": [0, 0, 0]}
        for reply in replies:
            if (
                reply.author != author
                or reply.attribute is None
                or not (reply.level or reply.kind == "partial")
            ):
                continue
            attribute = schema.attributes[schema.index(reply.attribute)]
            found = levels.level(reply.text, attribute, said(reply.text, attribute))
            count = counts["sure" if reply.level else "open"]
            count[0] += 1
            count[1] += found is not None and found == reply.level
            count[2] += found is not None and found != reply.level
        yield f"levels {author}: " + ", ".join(
            f"{kind} right {right / max(n, 1):.3f} wrong {wrong / max(n, 1):.3f}"
            for kind, (n, right, wrong) in counts.items()
        )
