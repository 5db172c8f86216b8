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
from policies.understanding.readers.disclosures import PATTERN, DisclosureClassifier, features, logits_of
from policies.understanding.readers.facts import facts, sentences
from policies.understanding.readers.levels import default_levels
from policies.understanding.text_classifier import DATA, TextClassifier

MESSAGES = DATA / "messages.tsv"
"""Author, what it tells of its writer (`Age=adult; Gender=`: a level or none), message; parted by tabs."""
_BUCKETS = 2**15
_INVERSE_REGULARISATION = 30.0
_FOLDS, _CALIBRATION = 4, 10.0
"""Parts of the authors that are held out in turn, and the inverse regularisation of what they tell."""
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
    """Return the log odds that a sentence tells of each attribute, and what a pattern's find adds to them.

    They are those of `_Sentences.fitted`, stretched and moved by a regression on first messages of authors
    who were held out, so that the likeliest sentence of a message gives the probability that it tells.
    """
    sentences_of = _Sentences(messages, replies)
    classifier = sentences_of.fitted(np.ones(len(messages), bool))
    return _calibrated(classifier, *sentences_of.first_messages(sentences_of.held_out(_FOLDS)))


def _calibrated(
    classifier: TextClassifier, logits: np.ndarray, by_pattern: np.ndarray, told: np.ndarray
) -> TextClassifier:
    """Return `classifier` with log odds fitted to `told`; each [messages, K], `logits` of others' fits."""
    size = logits.shape[1]
    each = np.tile(np.eye(size), (len(logits), 1))
    columns = [logits.reshape(-1, 1), each, each * by_pattern.reshape(-1, 1)]
    model = LogisticRegression(C=_CALIBRATION, max_iter=2000, fit_intercept=False)
    model.fit(np.concatenate(columns, axis=1), told.ravel())
    slope, moved, pattern = np.split(model.coef_[0], [1, 1 + size])
    return TextClassifier(
        classes=classifier.classes,
        subjects=(PATTERN,),
        table=(classifier.table * slope).astype(np.float16),
        dense=np.zeros((2, 0, size), np.float16),
        intercept=np.stack([classifier.intercept[0] * slope + moved, pattern]).astype(np.float32),
    )


class _Sentences:
    """Features and labels of all sentences of messages, and of replies.

    Of a message that tells of an attribute one sentence is taken to do it: that in which a pattern finds it,
    else the likeliest by a first fit in which all share. An answer tells of what was asked, and weighs
    little where no pattern would read that unasked; of attributes that are not near it, and of which no
    pattern finds anything, it tells nothing. What a reply tells of other attributes stands in the messages.
    """

    def __init__(self, messages: Sequence[WrittenMessage], replies: Sequence[WrittenReply]) -> None:
        schema = penguin_schema()
        self.names = schema.names
        self.messages = messages
        parts = [sentences(message.text) for message in messages]
        self.owner = np.repeat(np.arange(len(messages)), [len(own) for own in parts])
        self.said = [part for own in parts for part in own]
        self.found = [facts(message.text, schema) for message in messages]
        of_replies = {reply.text for reply in replies}
        self.first = np.array([message.text not in of_replies for message in messages])
        told_elsewhere = {message.text for message in messages}
        self.replies = [r for r in replies if r.kind != "correct" and r.text not in told_elsewhere]
        self.in_replies = [facts(reply.text, schema) for reply in self.replies]
        self.rows, self.reply_rows = _rows(self.said), _rows([reply.text for reply in self.replies])

    def fitted(self, chosen: np.ndarray) -> TextClassifier:
        """Return a regression for each attribute over the messages `chosen`, bool[messages].

        Of replies those of their authors and of authors who wrote no message count.
        """
        left_out = {m.author for m, own in zip(self.messages, chosen, strict=True) if not own}
        mine = np.array([reply.author not in left_out for reply in self.replies])
        own = np.flatnonzero(chosen[self.owner])
        owner = np.unique(self.owner[own], return_inverse=True)[1]
        rng = np.random.default_rng(0)
        columns = []
        for name in self.names:
            label, hit = (each[own] for each in self._labels(name))
            answers = np.array(
                [_answers(r, name, f) for r, f in zip(self.replies, self.in_replies, strict=True)]
            )
            drawn = (answers > 0) | ((answers == 0) & (rng.random(len(answers)) < _OTHER_REPLIES))
            kept = np.flatnonzero(drawn & mine)
            matrix = _stacked([self.rows[own], self.reply_rows[kept]])
            labels = np.concatenate([label, answers[kept] > 0])
            plain = np.array([name in found for found in self.in_replies], bool)[kept]
            weights = np.where(answers[kept] == 0, 1.0, answers[kept]) * np.where(plain, 1.0, _REPLY)
            columns.append(_fit(matrix, labels, weights, label, hit, owner))
        return TextClassifier(
            classes=self.names,
            subjects=(),
            table=np.stack([table for table, _ in columns], axis=1).astype(np.float16),
            dense=np.zeros((1, 0, len(self.names)), np.float16),
            intercept=np.array([[intercept for _, intercept in columns]], np.float32),
        )

    def _labels(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return (bool[sentences], bool[sentences]): its message tells it, and a pattern finds it there."""
        label = np.array([name in self.messages[i].told for i in self.owner.tolist()])
        words = [self.found[i][name].words if name in self.found[i] else None for i in self.owner.tolist()]
        hit = [own is not None and own in part for own, part in zip(words, self.said, strict=True)]
        return label, label & np.array(hit)

    def held_out(self, folds: int) -> np.ndarray:
        """Return float64[messages, K], of each message's likeliest sentence, by fits without its author."""
        authors: dict[str, int] = {}
        fold = np.array([authors.setdefault(m.author, len(authors)) for m in self.messages]) % folds
        found = np.full((len(self.messages), len(self.names)), -np.inf)
        for own in range(folds):
            classifier = self.fitted(fold != own)
            for i in np.flatnonzero(fold == own).tolist():
                said = sentences(self.messages[i].text)
                found[i] = logits_of(said, classifier.table).max(axis=0) + classifier.intercept[0]
        return found

    def first_messages(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return `logits`, what patterns find and what is told, [N, K], of messages that are no replies."""
        by_pattern = np.array([[name in found for name in self.names] for found in self.found])
        told = np.array([[name in message.told for name in self.names] for message in self.messages])
        return logits[self.first], by_pattern[self.first], told[self.first]


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
