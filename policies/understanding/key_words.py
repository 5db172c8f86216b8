"""Which patterns can match a sentence at all: those of which it holds a key word.

Every match of `(?:my|our) (?:divorce|separation)` holds "divorce" or "separation". Such literals are found in
the patterns themselves, and all those of a schema are looked up in one pass over a sentence's characters.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

_LONG = 3
"""Characters of a literal that a match may need beside the rarest."""
_TOKEN = re.compile(
    r"\((?:\?(?:[:=!]|<[=!]))?|\)|\||\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|(?:[*+?]|\{\d*,?\d*\})\??|[^\\]", re.S
)
_PLAIN = re.compile(r"\\[^\w]|[^\\.^$()\[\]{}|*+?]")

_Keys = frozenset[str] | None
"""Literals one of which is in every match; None where none is sure."""


def longest_of(keys: Sequence[str], place: int = 0) -> str:
    """Return a pattern of the longest of `keys`, sorted ones, that a text goes on with; equal up to `place`.

    Alternatives begin with different characters, so that a text is compared once, however many there are.
    """
    ends = len(keys[0]) == place
    groups = itertools.groupby(keys[ends:], key=lambda key: key[place])
    ways = [re.escape(first) + longest_of(list(own), place + 1) for first, own in groups]
    if not ways:
        return ""
    return f"(?:{'|'.join(ways)})" + "?" * ends if ends or len(ways) > 1 else ways[0]


class KeyWords:
    """The key words of many patterns.

    Patterns without any are candidates of every sentence.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._always: list[int] = []
        self._first_of: dict[int, list[tuple[int, frozenset[int]]]] = {}
        """Of a set of literals the patterns whose rarest it is, and the other sets that these need."""
        numbers: dict[frozenset[str], int] = {}
        for i, pattern in enumerate(patterns):
            sets = [numbers.setdefault(keys, len(numbers)) for keys in key_words(pattern)]
            if sets:
                self._first_of.setdefault(sets[0], []).append((i, frozenset(sets[1:])))
            else:
                self._always.append(i)
        own: dict[str, set[int]] = {}
        for keys, number in numbers.items():
            for key in keys:
                own.setdefault(key, set()).add(number)
        self._sets_of = {
            key: frozenset().union(*(own.get(key[:n], ()) for n in range(1, len(key) + 1))) for key in own
        }
        """Of a literal the sets that hold it, or a shorter one that it begins with."""
        self._longest_at = re.compile(f"(?=({longest_of(sorted(own))}))" if own else "(?!)")

    def candidates(self, sentences: Sequence[str]) -> list[set[int]]:
        """Return the indices of the patterns that may match in each of `sentences`."""
        return [self._of(set(self._longest_at.findall(sentence))) for sentence in sentences]

    def _of(self, keys: Iterable[str]) -> set[int]:
        sets = frozenset().union(*(self._sets_of[key] for key in keys))
        found = set(self._always)
        for number in sets & self._first_of.keys():
            found.update(i for i, further in self._first_of[number] if further <= sets)
        return found


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
    return found[:1] + [keys for keys in found[1:] if min(map(len, keys)) >= _LONG]


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
