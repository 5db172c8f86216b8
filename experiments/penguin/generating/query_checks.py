"""What is wrong with a query: it tells an attribute, it is a near-duplicate, it is no single question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from envs import Schema
from policies.embeddings import Embedding
from policies.understanding.readers.facts import facts
from policies.understanding.reading import Reader

NEAR = 0.95
"""Cosine of two queries' embeddings from which on they are near-duplicates."""
MAX_WORDS = 60
"""Words of a query; a longer one is a story."""
_BLOCK = 1024
_ADDRESSED = tuple(
    (re.compile(rf"\b{words}\b", re.IGNORECASE), first)
    for words, first in (("you are", "I am"), ("you're", "I'm"), ("your", "my"), ("you", "I"))
)


def leaks(query: str, schema: Schema) -> tuple[str, ...]:
    """Return the attributes whose value `query` tells, as the rules of the package read it.

    Small models write to the person in place of for them: "you are 25" is read as "I am 25", too.
    """
    found = set(facts(query, schema))
    own = query
    for addressed, first in _ADDRESSED:
        own = addressed.sub(first, own)
    if own != query:
        found |= set(facts(own, schema))
    return tuple(name for name in schema.names if name in found)


def unit_vectors(queries: Sequence[str], embedding: Embedding) -> np.ndarray:
    """Return float32[n, D] embeddings of length 1 (all zero for a text without any token)."""
    vectors = np.asarray(embedding.embed(queries), dtype=np.float32)
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return vectors / np.where(lengths == 0.0, 1.0, lengths)


def near_duplicates(vectors: np.ndarray) -> np.ndarray:
    """Return bool[n]: which of float32[n, D] unit vectors have a near one before them."""
    found = np.zeros(len(vectors), dtype=bool)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        near = block @ vectors[: start + len(block)].T >= NEAR
        rows = np.arange(len(block))[:, None] + start
        found[start : start + len(block)] = (near & (np.arange(near.shape[1])[None] < rows)).any(axis=1)
    return found


def thrown_out(
    queries: Sequence[str],
    kept: Sequence[str],
    taken: set[str],
    schema: Schema,
    embedding: Embedding,
    reader: Reader | None = None,
) -> tuple[list[str], Counter[str]]:
    """Return those of `queries` that may join a person's `kept` ones, and why the others may not.

    `taken`: queries of other people in lower case, none of which may come again; the good ones are added.
    `reader`: looks for told attributes in what passes all else; None = the rules alone look.
    """
    good, reasons = list(kept), Counter[str]()
    vectors = unit_vectors([*kept, *queries], embedding)
    chosen = list(range(len(kept)))
    for i, query in enumerate(queries, len(kept)):
        if query.casefold() in taken:
            reasons["repeated"] += 1
        elif not 0 < len(query.split()) <= MAX_WORDS:
            reasons["length"] += 1
        elif leaks(query, schema):
            reasons["tells an attribute"] += 1
        elif chosen and float((vectors[chosen] @ vectors[i]).max()) >= NEAR:
            reasons["near-duplicate of the same person's"] += 1
        elif reader is not None and reader.read(query, schema).values:
            reasons["tells an attribute, as the reader reads it"] += 1
        else:
            good.append(query)
            chosen.append(i)
            taken.add(query.casefold())
    return good[len(kept) :], reasons
