"""Which patterns can match a sentence at all: those of which it holds a key word.

Every match of `(?:my|our) (?:divorce|separation)` holds "divorce" or "separation". Such literals are found in
the patterns themselves, and all those of a schema are looked up in one pass over a sentence's characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_GRAM = 3
"""Characters by which literals are looked up."""
_TOKEN = re.compile(
    r"\((?:\?(?:[:=!]|<[=!]))?|\)|\||\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|(?:[*+?]|\{\d*,?\d*\})\??|[^\\]", re.S
)
_PLAIN = re.compile(r"\\[^\w]|[^\\.^$()\[\]{}|*+?]")

_Keys = frozenset[str] | None
"""Literals one of which is in every match; None where none is sure."""


class KeyWords:
    """The key words of many patterns.

    Patterns without any are candidates of every sentence.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._always: list[int] = []
        self._needs: list[tuple[int, ...]] = []  # of each pattern the further sets that a match needs
        self._firsts: dict[int, list[int]] = {}  # of a pattern's rarest set: the patterns
        self._sets_of: dict[str, list[int]] = {}  # of each literal: the sets that hold it
        numbers: dict[frozenset[str], int] = {}
        for i, pattern in enumerate(patterns):
            sets = [numbers.setdefault(keys, len(numbers)) for keys in key_words(pattern)]
            self._needs.append(tuple(sets[1:]))
            if sets:
                self._firsts.setdefault(sets[0], []).append(i)
            else:
                self._always.append(i)
        for keys, number in numbers.items():
            for key in keys:
                self._sets_of.setdefault(key, []).append(number)
        self._short = [key for key in self._sets_of if len(key) < _GRAM]
        self._long: dict[str, list[tuple[frozenset[str], str]]] = {}  # by first gram: all grams, the literal
        for key in self._sets_of:
            if grams := _grams(key):
                self._long.setdefault(key[:_GRAM], []).append((frozenset(grams), key))

    def candidates(self, sentences: Sequence[str]) -> list[set[int]]:
        """Return the indices of the patterns that may match in each of `sentences`."""
        text = "\n".join(sentences)
        grams = _grams(text)
        rows = (row for gram in grams & self._long.keys() for row in self._long[gram])
        here = [key for own, key in rows if own <= grams]
        here += [key for key in self._short if key in text]
        return [self._of([key for key in here if key in sentence]) for sentence in sentences]

    def _of(self, keys: Sequence[str]) -> set[int]:
        sets = {number for key in keys for number in self._sets_of[key]}
        found = set(self._always)
        for number in sets & self._firsts.keys():
            found.update(i for i in self._firsts[number] if sets.issuperset(self._needs[i]))
        return found


def _grams(text: str) -> set[str]:
    return set(map("".join, zip(*(text[i:] for i in range(_GRAM)), strict=False)))


def key_words(pattern: str) -> list[frozenset[str]]:
    """Return sets of literals, the rarest first: every match of `pattern` holds one of each set.

    What is not understood (flags, named groups, back references) has none, and is tried on every sentence.
    """
    tokens = _TOKEN.findall(pattern)
    if re.search(r"\(\?(?![:=!]|<[=!])|(?<!\\)(?:\\\\)*\\[1-9AZ]", pattern) or "".join(tokens) != pattern:
        return []
    found, place = _sequence(tokens, 0)
    if place < len(tokens):  # several alternatives
        keys, _ = _alternatives(tokens, 0)
        return [keys] if keys else []
    found.sort(key=_frequency)
    return found[:1] + [keys for keys in found[1:] if min(map(len, keys)) >= _GRAM]


def _alternatives(tokens: list[str], place: int) -> tuple[_Keys, int]:
    """Return the keys of what stands at `place` up to a closing bracket, and the place behind that."""
    keys: _Keys = frozenset()
    while True:
        sets, place = _sequence(tokens, place)
        own = min(sets, key=_frequency, default=None)
        keys = None if keys is None or own is None else keys | own
        if place >= len(tokens) or tokens[place] == ")":
            return keys, place + 1
        place += 1


def _sequence(tokens: list[str], place: int) -> tuple[list[frozenset[str]], int]:
    """Return the sets of keys of one alternative, and where it ends."""
    found: list[_Keys] = []
    run = ""
    while place < len(tokens) and tokens[place] not in (")", "|"):
        token = tokens[place]
        place += 1
        own: _Keys = None
        if token[0] == "(":
            own, place = _alternatives(tokens, place)
            own = own if token in ("(", "(?:") else None
        times = tokens[place] if place < len(tokens) and _repeats(tokens[place]) else ""
        place += bool(times)
        literal = token[-1] if _PLAIN.fullmatch(token) else ""
        if times or not literal:
            sure = not times or times[0] == "+"
            found.append(frozenset([run + literal * sure]))
            run = literal if times[:1] == "+" else ""
            found.append(own if sure else None)
        else:
            run += literal
    found.append(frozenset([run]))
    return [keys for keys in found if keys and all(keys)], place


def _repeats(token: str) -> bool:
    return token[0] in "*+?" or (token[0] == "{" and len(token) > 1)


def _frequency(keys: frozenset[str]) -> float:
    """Return about how often a text holds one of `keys`: long ones are rare."""
    return sum(20.0 ** -len(key) for key in keys)
