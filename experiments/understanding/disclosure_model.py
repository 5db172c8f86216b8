"""Fit the classifier of what first messages tell of, and what it reads of authors it never met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from envs import penguin_schema
from experiments.understanding.fitting import tabbed_lines
from experiments.understanding.written_replies import WrittenReply, are_near
from policies.understanding.readers.disclosures import DisclosureClassifier, features
from policies.understanding.readers.facts import facts, sentences
from policies.understanding.readers.levels import default_levels
from policies.understanding.text_classifier import DATA, TextClassifier

MESSAGES = DATA / "messages.tsv"
"""Author, what it tells of its writer (`Age=adult; Gender=`: a level or none), message; parted by tabs."""
_BUCKETS = 2**15
_INVERSE_REGULARISATION = 30.0
_REPLY, _OTHER_REPLIES = 0.1, 0.25
"""Weight of a reply that no pattern reads unasked; share of the replies about other attributes."""


@dataclass(frozen=True)
class WrittenMessage:
    """A first message, its author's letter, and what it tells: {attribute: level or None}."""

    author: str
    text: str
    told: Mapping[str, str | None]


def written_messages(path: Path = MESSAGES) -> list[WrittenMessage]:
    """Return the messages of a file.

    Raises
    ------
    UserError
        a line without three fields, or that names another attribute or level; its number.
    """
    levels = {a.name: {None, *(level.name for level in a.levels)} for a in penguin_schema().attributes}
    lines = tabbed_lines(
        path,
        lambda f: len(f) == 3 and all(v in levels.get(k, ()) for k, v in _told(f[1]).items()),
        "author, attributes with a level or none, and message, tabs between",
    )
    return [WrittenMessage(author, text, _told(told)) for author, told, text in lines]


def _told(field: str) -> dict[str, str | None]:
    pairs = (part.partition("=") for part in field.split("; ") if part)
    return {name: level or None for name, _, level in pairs}


def disclosure_classifier(
    messages: Sequence[WrittenMessage], replies: Sequence[WrittenReply]
) -> TextClassifier:
    """Return a regression for each attribute over the sentences of `messages`, and over `replies`.

    Of a message that tells of an attribute one sentence is taken to do it: that in which a pattern finds it,
    else the likeliest by a first fit in which all share. An answer tells of what was asked, and weighs
    little where no pattern would read that unasked; of attributes that are not near it, and of which no
    pattern finds anything, it tells nothing. What a reply tells of other attributes stands in `messages`.
    """
    schema = penguin_schema()
    parts = [sentences(message.text) for message in messages]
    owner = np.repeat(np.arange(len(messages)), [len(own) for own in parts])
    said = [part for own in parts for part in own]
    found = [facts(message.text, schema) for message in messages]
    told_elsewhere = {message.text for message in messages}
    replies = [r for r in replies if r.kind != "correct" and r.text not in told_elsewhere]
    in_replies = [facts(reply.text, schema) for reply in replies]
    rows, reply_rows = _rows(said), _rows([reply.text for reply in replies])
    rng = np.random.default_rng(0)
    columns = []
    for name in schema.names:
        label = np.array([name in messages[i].told for i in owner.tolist()])
        words = [found[i][name].words if name in found[i] else None for i in owner.tolist()]
        hit = label & np.array(
            [own is not None and own in part for own, part in zip(words, said, strict=True)]
        )
        answers = np.array([_answers(r, name, f) for r, f in zip(replies, in_replies, strict=True)])
        kept = np.flatnonzero((answers > 0) | ((answers == 0) & (rng.random(len(replies)) < _OTHER_REPLIES)))
        matrix = _stacked([rows, reply_rows[kept]])
        labels = np.concatenate([label, answers[kept] > 0])
        plain = np.array([name in own for own in in_replies])[kept]
        of_replies = np.where(answers[kept] == 0, 1.0, answers[kept]) * np.where(plain, 1.0, _REPLY)
        columns.append(_fit(matrix, labels, of_replies, label, hit, owner))
    return TextClassifier(
        classes=schema.names,
        subjects=(),
        table=np.stack([table for table, _ in columns], axis=1).astype(np.float16),
        dense=np.zeros((1, 0, len(schema)), np.float16),
        intercept=np.array([[intercept for _, intercept in columns]], np.float32),
    )


def _fit(
    matrix: scipy.sparse.csr_array,
    labels: np.ndarray,
    of_replies: np.ndarray,
    label: np.ndarray,
    hit: np.ndarray,
    owner: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Return (float64[buckets], intercept): all sentences of a message share it first, then the likeliest."""
    model = LogisticRegression(
        C=_INVERSE_REGULARISATION, solver="liblinear", dual=True, max_iter=500, random_state=0
    )
    model.fit(matrix, labels, np.concatenate([_shares(label, hit, owner), of_replies]))
    weights = _likeliest(label, hit, owner, model.decision_function(matrix)[: len(owner)])
    model.fit(matrix, labels, np.concatenate([weights, of_replies]))
    return model.coef_[0], model.intercept_[0]


def _answers(reply: WrittenReply, name: str, found: Mapping[str, object]) -> float:
    """Return how surely `reply` tells of the attribute: 1, or .5 without a level; 0 nothing; -1 not known."""
    if reply.attribute == name and reply.kind in ("direct", "partial"):
        return 1.0 if reply.level or reply.kind == "direct" else 0.5
    near = reply.attribute is not None and are_near(name, reply.attribute)
    return -1.0 if near or name in found else 0.0


def _shares(label: np.ndarray, hit: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Return float64[sentences], weights before it is known which sentence of a message tells of it."""
    has_hit = np.isin(owner, owner[hit])
    return np.where(~label | hit, 1.0, np.where(has_hit, 0.0, 1 / np.bincount(owner)[owner]))


def _likeliest(label: np.ndarray, hit: np.ndarray, owner: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return float64[sentences]: 1 where nothing is told, for a hit, else for the likeliest of a message."""
    weights = np.where(label & ~hit, 0.0, 1.0)
    for message in np.unique(owner[label & ~np.isin(owner, owner[hit])]):
        own = np.flatnonzero(owner == message)
        weights[own[logits[own].argmax()]] = 1.0
    return weights


def _rows(texts: Sequence[str]) -> scipy.sparse.csr_array:
    buckets, weights, ends = features(texts, _BUCKETS)
    matrix = scipy.sparse.csr_array(
        (weights, buckets, np.concatenate([[0], ends])), shape=(len(texts), _BUCKETS)
    )
    matrix.sum_duplicates()
    return matrix


def _stacked(parts: Sequence[scipy.sparse.csr_array]) -> scipy.sparse.csr_array:
    """Return the rows of all `parts`; with the narrow indices that liblinear asks for."""
    matrix = scipy.sparse.csr_array(scipy.sparse.vstack(parts))
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def leave_one_out(messages: Sequence[WrittenMessage], replies: Sequence[WrittenReply]) -> Iterator[str]:
    """Yield, for each author left out, what patterns read, and what they read with the classifier.

    Of the facts told the share that is read; of what is read the share that nobody told.
    """
    schema = penguin_schema()
    for author in sorted({message.author for message in messages}):
        others = [message for message in messages if message.author != author]
        classifier = DisclosureClassifier(disclosure_classifier(others, replies))
        told, right, spurious = 0, np.zeros(2), np.zeros(2)
        for message in messages:
            if message.author == author:
                found = facts(message.text, schema)
                both = classifier.weighed(message.text, schema, found, default_levels())
                told += len(message.told)
                right += [len(values.keys() & message.told.keys()) for values in (found, both)]
                spurious += [len(values.keys() - message.told.keys()) for values in (found, both)]
        shares = zip(right / max(told, 1), spurious / np.maximum(right + spurious, 1), strict=True)
        alone, together = (f"read {read:.3f} spurious {wrong:.3f}" for read, wrong in shares)
        yield f"messages {author}: patterns {alone}, with the classifier {together}"
