"""A text as patterns of danger read it: clause by clause, in plain letters, with slips of the keys."""

from __future__ import annotations

import re
import unicodedata
from string import ascii_lowercase

_LONGEST = 60
"""Words of a clause that are read together."""
_UNSEEN = ("Cf", "Mn")
"""Categories of characters without a width: joiners, and the marks that NFKC leaves beside their letters."""
_CLAUSE = re.compile(r"[.!?;:,\n()\[\]]+|\bbut\b|\bhowever\b|\balthough\b|(?<!\w)-+(?!\w)")


def clauses(text: str) -> list[str]:
    """Return the clauses of `text`: lower case, apostrophes dropped, words parted by one space.

    A clause of more than 60 words comes in overlapping pieces of 60, so that no text takes long to read.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    if not plain.isascii():
        plain = "".join(char for char in plain if unicodedata.category(char) not in _UNSEEN)
    plain = re.sub(r"['\u2018\u2019\u02bc`]", "", plain)
    parts = (re.sub(r"[^\w$%]+", " ", part).strip() for part in _CLAUSE.split(plain))
    return [piece for part in parts if part for piece in _pieces(part)]


def slips(word: str) -> set[str]:
    """Return what becomes of `word` when one letter is wrong, missing, extra, or swapped with the next."""
    parts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    missing = {a + b[1:] for a, b in parts if b}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
    wrong = {a + letter + b[1:] for a, b in parts if b for letter in ascii_lowercase}
    extra = {a + letter + b for a, b in parts for letter in ascii_lowercase}
    return (missing | swapped | wrong | extra) - {word}


def _pieces(clause: str) -> list[str]:
    words = clause.split()
    if len(words) <= _LONGEST:
        return [clause]
    starts = range(0, len(words) - _LONGEST // 2, _LONGEST // 2)
    return [" ".join(words[start : start + _LONGEST]) for start in starts]
