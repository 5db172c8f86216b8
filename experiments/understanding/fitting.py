"""Fit a text classifier. It needs scikit-learn (the extra `train`); what it returns needs numpy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from envs import UserError
from policies.understanding.text_classifier import TextClassifier, embedded, ngrams


@dataclass(frozen=True)
class Example:
    """A sentence and its label; `about`: its subject (None: any); `cues`: what rules find in it."""

    text: str
    label: str
    about: str | None = None
    cues: tuple[str, ...] = ()
    weight: float = field(default=1.0)


@dataclass(frozen=True)
class FitOptions:
    """`inverse_regularisation`: of n-grams, of the embedding; `share`: of the n-grams in the mean."""

    buckets: int = 2**17
    inverse_regularisation: tuple[float, float] = (10.0, 10.0)
    share: float = 0.7
    seed: int = 0


def fit_classifier(examples: Sequence[Example], options: FitOptions | None = None) -> TextClassifier:
    """Return the classifier of `examples`, whose classes are their labels in alphabetical order.

    The same examples and options give the same classifier: the solver takes no chance.
    """
    options = options or FitOptions()
    classes = tuple(sorted({example.label for example in examples}))
    subjects = tuple(sorted({example.about for example in examples if example.about is not None}))
    labels = np.array([classes.index(example.label) for example in examples])
    weights = np.array([example.weight for example in examples])
    c_ngrams, c_dense = options.inverse_regularisation
    table, first = _coefficients(ngram_rows(examples, options.buckets), labels, weights, c_ngrams)
    crossed, vectors = _dense_rows(examples, subjects)
    dense, second = _coefficients(crossed, labels, weights, c_dense)
    share = options.share if options.share < 1 else 1.0
    intercept = np.zeros((1 + len(subjects), len(classes)), np.float32)
    dense = dense.reshape(1 + len(subjects), vectors + 1, len(classes)) * (1 - share)
    intercept[:] = dense[:, vectors]
    intercept[0] += share * first + (1 - share) * second
    return TextClassifier(
        classes,
        subjects,
        (share * table).astype(np.float16),
        dense[:, : vectors if share < 1 else 0].astype(np.float16),
        intercept,
    )


def ngram_rows(examples: Sequence[Example], buckets: int) -> scipy.sparse.csr_array:
    """Return float64[N, buckets], what `ngrams` says of each example."""
    rows = [ngrams(e.text, e.about, e.cues, buckets) for e in examples]
    ends = np.cumsum([0, *(len(found) for found, _ in rows)])
    columns, values = (np.concatenate(part) for part in zip(*rows, strict=True))
    matrix = scipy.sparse.csr_array((values, columns, ends), shape=(len(rows), buckets))
    matrix.sum_duplicates()
    return matrix


def _dense_rows(examples: Sequence[Example], subjects: tuple[str, ...]) -> tuple[scipy.sparse.csr_array, int]:
    """Return the embeddings alone, then crossed with each subject (and 1, a subject's intercept), and D."""
    vectors = embedded([example.text for example in examples])
    block = np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)
    owner = np.array([-1 if e.about is None else subjects.index(e.about) for e in examples])
    alone = np.concatenate([vectors, np.zeros((len(vectors), 1))], axis=1)
    parts = [alone, *(block * (owner == i)[:, None] for i in range(len(subjects)))]
    return scipy.sparse.csr_array(
        scipy.sparse.hstack([scipy.sparse.csr_array(p) for p in parts])
    ), vectors.shape[1]


def _coefficients(
    rows: scipy.sparse.csr_array, labels: np.ndarray, weights: np.ndarray, c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (float64[columns, K], float64[K]) of a regression; of two classes the first has zeros."""
    model = LogisticRegression(C=c, max_iter=2000)
    model.fit(rows, labels, sample_weight=weights)
    coefficients, intercept = model.coef_.T, model.intercept_
    if coefficients.shape[1] == 1:
        zeros = np.zeros_like(coefficients)
        return np.concatenate([zeros, coefficients], axis=1), np.concatenate([[0.0], intercept])
    return coefficients, intercept


def tabbed_lines(path: Path, is_right: Callable[[list[str]], bool], expected: str) -> Iterator[list[str]]:
    """Yield the fields of each line of a file of sentences.

    Raises
    ------
    UserError
        a line that is not `is_right`; its number, and what was `expected`.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("\t")
        if not is_right(fields):
            raise UserError(f"{path}: line {number}: expected {expected}")
        yield fields
