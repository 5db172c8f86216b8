"""Attributes: what may be asked of a person, what asking costs, and how answers are read.

A `Schema` is an ordered list of at most 64 attributes. The order matters: it breaks ties, it
numbers the bits of every set, and it is the order in which known attributes are listed.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from envs.errors import UserError

MAX_ATTRIBUTES = 64
UNKNOWN = -1
"""Code of a value that is missing, or whose words no level names."""

_MISSING = frozenset({"", "unknown", "not specified"})
_NEGATIONS = frozenset({"no", "not", "never", "without", "denies", "denied", "nor", "non"})
_NEGATION_REACH = 2  # words, fillers not counted: "no known history of self-harm" has none
_FILLERS = frozenset({"history", "of", "any", "known"})


def is_missing(value: object) -> bool:
    """Tell what counts as absent: null, blank, `unknown`, `not specified`. `None` as text is a value."""
    return value is None or (isinstance(value, str) and value.strip().casefold() in _MISSING)


def _words(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'").replace("'", "")
    return re.findall(r"[^\W_]+", text)


@dataclass(frozen=True)
class Level:
    """One coarse reading of an attribute's value.

    `phrases`: word sequences that name it (`word*` matches a prefix). `low`, `high`: an inclusive
    range for numeric values instead; an empty one (inf, -inf) for a level of words.
    """

    name: str
    phrases: tuple[str, ...] = ()
    low: float = math.inf
    high: float = -math.inf


@dataclass(frozen=True)
class Attribute:
    """One thing that can be asked.

    `cost`: burden of answering, in units of `cost_weight`. `sensitivity`: 1 (small talk) to 5.
    """

    name: str
    question: str
    why: str = ""
    cost: float = 1.0
    sensitivity: int = 1
    levels: tuple[Level, ...] = ()

    def code(self, value: object) -> int:
        """Return the index of the level that `value` (free text) names, or `UNKNOWN`.

        Phrases are sought from left to right, the longest first, and do not overlap; one that follows a
        negation within two words ("history", "of", "any", "known" not counted) does not count; of the levels
        named the one listed last wins. Numbers are read as `28`, `28 years`, `35-44` (its middle) or `30s`.
        """
        if is_missing(value):
            return UNKNOWN
        text = str(value)
        found = UNKNOWN
        regex, level_of = self._phrases
        words = " ".join(_words(text))
        for match in regex.finditer(words):
            before = [w for w in words[: match.start()].split() if w not in _FILLERS][-_NEGATION_REACH:]
            if match.lastindex and not _NEGATIONS.intersection(before):
                found = max(found, level_of[match.lastindex - 1])
        number = _number(text)
        for i, level in enumerate(self.levels):
            if number is not None and level.low <= number <= level.high:
                found = max(found, i)
        return found

    @functools.cached_property
    def _phrases(self) -> tuple[re.Pattern[str], list[int]]:
        """All phrases as one alternation, longest first, a group each; and the level of each group."""
        rows = [(phrase, i) for i, level in enumerate(self.levels) for phrase in level.phrases]
        rows.sort(key=lambda row: (-len(row[0].split()), -len(row[0]), row[1]))
        groups = [f"({_phrase_pattern(phrase)})" for phrase, _ in rows]
        return re.compile(rf"\b(?:{'|'.join(groups)})(?!\w)"), [level for _, level in rows]


def _phrase_pattern(phrase: str) -> str:
    parts = [" ".join(_words(part)) + (r"\w*" if part.endswith("*") else "") for part in phrase.split()]
    return " ".join(parts)


def _number(text: str) -> float | None:
    band = re.search(r"(\d+)\s*(?:-|\u2013|\u2014|to)\s*(\d+)", text)
    if band:
        return float((int(band[1]) + int(band[2])) // 2)
    one = re.search(r"(\d+)(s?)", text)
    return None if one is None else float(one[1]) + (5.0 if one[2] else 0.0)


class Schema:
    """An ordered set of attributes, with the arithmetic of sets as bitmasks.

    Attributes
    ----------
    attributes : tuple[Attribute, ...], at most 64
    names : tuple[str, ...]
    costs : float64[n], in units of `cost_weight`
    n_levels : int64[n], number of levels of each attribute
    """

    def __init__(self, attributes: Iterable[Attribute]) -> None:
        self.attributes = tuple(attributes)
        self.names = tuple(a.name for a in self.attributes)
        if not 1 <= len(self.names) <= MAX_ATTRIBUTES:
            raise UserError(f"attributes: found {len(self.names)}, expected 1 to {MAX_ATTRIBUTES}")
        self._index = {name: i for i, name in enumerate(self.names)}
        if len(self._index) != len(self.names):
            twice = next(n for n in self.names if self.names.count(n) > 1)
            raise UserError(f"attributes: the name {twice!r} occurs twice, expected distinct names")
        self.costs = np.array([a.cost for a in self.attributes], dtype=np.float64)
        self.n_levels = np.array([len(a.levels) for a in self.attributes], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.attributes == other.attributes

    def __hash__(self) -> int:
        return hash(self.attributes)

    def index(self, name: str) -> int:
        """Return the position of `name`; KeyError names what was looked for."""
        return self._index[name]

    def mask(self, names: Iterable[str]) -> int:
        """Return the bitmask of `names` (bit i = attribute i)."""
        return sum(1 << self._index[name] for name in set(names))

    def names_of(self, mask: int) -> tuple[str, ...]:
        """Return the names in `mask`, in schema order."""
        return tuple(name for i, name in enumerate(self.names) if int(mask) >> i & 1)

    def codes(self, profile: Mapping[str, object]) -> np.ndarray:
        """Return int8[n]: the level of each attribute's value in `profile`, `UNKNOWN` where none."""
        return np.array([a.code(profile.get(a.name)) for a in self.attributes], dtype=np.int8)

    def askable(self, profile: Mapping[str, object]) -> int:
        """Return the bitmask of the attributes whose value exists in `profile`."""
        return self.mask(n for n in self.names if not is_missing(profile.get(n)))


def load_schema(path: str | Path) -> Schema:
    """Read a YAML list of `name, question, why, cost, sensitivity, levels`.

    `levels` is a list of names, or a mapping of a name to its phrases or to `{min, max}`.

    Raises
    ------
    UserError
        one line: file, position in the list, field, what was found and expected.
    """
    from envs.schema_file import read_attributes  # pydantic, which `import envs` does without

    attributes = read_attributes(path)
    try:
        return Schema(attributes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


@functools.cache
def penguin_schema() -> Schema:
    """Return the ten attributes of PENGUIN, in their published order."""
    return load_schema(Path(__file__).parent / "data" / "attributes.yaml")
