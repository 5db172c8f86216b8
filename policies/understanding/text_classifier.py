"""A small text classifier: hashed n-grams and a static embedding, both crossed with what the text is about.

Multinomial logistic regression whose coefficients are arrays in an .npz file (no pickle); the forward pass is
numpy alone. `experiments.train_understanding` makes the files.

The logits are the mean of two models: one of word and character n-grams, one of the embedding. Each sees its
features twice: for themselves, and together with the subject (`about`, such as the attribute that was asked),
so that "married" can mean one thing after one question and another after the next. For a subject that was
never trained only the first half speaks. `cues` are further words that the caller has found out by rules.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs import UserError
from envs.checking.damaged import ARCHIVE_DAMAGE
from policies.embeddings import static_embedding
from policies.understanding.reading import LONGEST

DATA = Path(__file__).parent / "data"
"""The coefficients, the rules and the sentences that ship with the package."""
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]")
_CHARS = (2, 3, 4, 5)
_PRIME = np.uint64(0x100000001B3)
_LAST = 16
"""Texts whose features are kept: reader, detector and gate look at a message one after another."""


@dataclass(frozen=True)
class TextClassifier:
    """Coefficients over K classes.

    Attributes
    ----------
    classes : the K names
    subjects : the A subjects that were trained
    table : float16[buckets, K], coefficients of n-grams; the number of buckets is a power of two
    dense : float16[1 + A, D, K], coefficients of the embedding, without a subject first; D = 0: no embedding
    intercept : float32[1 + A, K], likewise
    """

    classes: tuple[str, ...]
    subjects: tuple[str, ...]
    table: np.ndarray
    dense: np.ndarray
    intercept: np.ndarray

    def logits(self, text: str, about: str | None = None, cues: Sequence[str] = ()) -> np.ndarray:
        """Return float64[K]."""
        buckets, weights = ngrams(text, about, cues, len(self.table))
        rows = np.take(self.table, buckets, axis=0).astype(np.float64)
        found: np.ndarray = np.einsum(
            "m,mk->k", weights, rows
        )  # no BLAS: its threads cost more than they give
        subject = self._subject(about)
        owners = [0] if subject is None else [0, 1 + subject]
        found += self.intercept[owners].sum(0, dtype=np.float64)
        if self.dense.shape[1]:
            dense = self.dense[owners].sum(0, dtype=np.float64)
            found += np.einsum("d,dk->k", _vector(text), dense)
        return found

    def probabilities(
        self, text: str, about: str | None = None, cues: Sequence[str] = ()
    ) -> dict[str, float]:
        """Return {class: probability}, in the order of `classes`."""
        logits = self.logits(text, about, cues)
        odds = np.exp(logits - logits.max())
        return dict(zip(self.classes, (odds / odds.sum()).tolist(), strict=True))

    def _subject(self, about: str | None) -> int | None:
        return self.subjects.index(about) if about in self.subjects else None

    def save(self, path: str | Path) -> None:
        """Write the arrays; the same classifier gives the same bytes."""
        np.savez_compressed(
            path,
            classes=np.array(self.classes, dtype=np.str_),
            subjects=np.array(self.subjects, dtype=np.str_),
            table=self.table,
            dense=self.dense,
            intercept=self.intercept,
        )

    @classmethod
    def load(cls, path: str | Path) -> TextClassifier:
        """Read a file of `save`.

        Raises
        ------
        UserError
            the file is missing or no such file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                classes, subjects = (tuple(map(str, file[name])) for name in ("classes", "subjects"))
                return cls(classes, subjects, file["table"], file["dense"], file["intercept"])
        except ARCHIVE_DAMAGE as error:
            raise UserError(
                f"{path}: {type(error).__name__}, expected what experiments.train_understanding wrote"
            ) from None


def ngrams(text: str, about: str | None, cues: Sequence[str], buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (buckets int64[M], weights float64[M]) of a text's n-grams, alone and crossed with `about`.

    Words one and two at a time with the ends of the text, characters two to five at a time, digits all alike.
    Each of the kinds (words, characters, cues) has length 1 in each half.
    """
    kinds = [*_hashes(text)]
    if cues:
        kinds.append(_unique(hashed([f"@{cue}" for cue in cues])))
    weights = np.concatenate([np.full(len(kind), 1 / np.sqrt(len(kind))) for kind in kinds])
    found = np.concatenate(kinds)
    if about is not None:
        crossed = mixed(found + hashed([about]) * _PRIME)
        found, weights = np.concatenate([found, crossed]), np.concatenate([weights, weights])
    return (found & np.uint64(buckets - 1)).astype(np.int64), weights


@functools.lru_cache(maxsize=_LAST)
def _hashes(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (uint64[W], uint64[C]), the distinct hashes of a text's words and of its characters."""
    plain = re.sub(r"\d", "0", folded(text))
    words = hashed(["<", *WORD.findall(plain), ">"])
    chars = np.frombuffer(f" {plain} ".encode("utf-32-le"), "<u4").astype(np.uint64)
    return (
        _unique(np.concatenate([words[1:-1], words[:-1] * _PRIME + words[1:]])),
        _unique(np.concatenate([rolled(chars, n) for n in _CHARS])),
    )


@functools.lru_cache(maxsize=_LAST)
def _vector(text: str) -> np.ndarray:
    """Return float64[256], the embedding of one text."""
    found: np.ndarray = embedded([text])[0]
    return found


def embedded(texts: Sequence[str]) -> np.ndarray:
    """Return float64[len(texts), 256]: static embeddings of length 1, all zero for a text without a token."""
    vectors = static_embedding().embed([folded(text) for text in texts]).astype(np.float64)
    length = np.sqrt((vectors * vectors).sum(1, keepdims=True))
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def folded(text: str) -> str:
    """Return the first part of `text` without what changes no meaning: case, kinds of apostrophes, spaces."""
    valid = text[:LONGEST].encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no character
    return " ".join(straight(valid).casefold()[:LONGEST].split())


def straight(text: str) -> str:
    """Return `text` in compatibility form (NFKC), its apostrophes all of one kind."""
    return re.sub("[\u2018\u2019\u02bc`]", "'", unicodedata.normalize("NFKC", text))


def hashed(words: Sequence[str]) -> np.ndarray:
    """Return uint64[len(words)], a hash of each."""
    return np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], np.uint64)


def rolled(chars: np.ndarray, n: int) -> np.ndarray:
    """Return uint64[len(chars) - n + 1], a hash of each n characters in turn."""
    if len(chars) < n:
        return np.zeros(0, np.uint64)
    found = np.full(len(chars) - n + 1, n, np.uint64)
    for start in range(n):
        found = found * _PRIME + chars[start : start + len(found)]
    return found


def _unique(hashes: np.ndarray) -> np.ndarray:
    """Return the distinct hashes, mixed, in order; faster here than `numpy.unique`."""
    found = np.sort(mixed(hashes))
    return found[np.concatenate([[True], found[1:] != found[:-1]])] if len(found) else found


def mixed(hashes: np.ndarray) -> np.ndarray:
    """Return the hashes with every bit depending on every bit (the finaliser of SplitMix64)."""
    mixed = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
