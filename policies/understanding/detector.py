"""Detect signs of acute danger in what a person writes, and give the help to show first.

All of it is data: `data/crisis.yaml` says how it reads, lists patterns and resources, and states its limits.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Literal

from pydantic import Field

from envs import UserError
from envs.validation import FileModel, Pattern, read_yaml, validated

CRISIS = Path(__file__).parent / "data" / "crisis.yaml"
_LONGEST = 60
"""Words of a clause that are read together."""
_RUN = re.compile(r"([^\W\d])\1{2,}")
_UNSEEN = ("Cf", "Mn")
"""Categories of characters without a width: joiners, and the marks that NFKC leaves beside their letters."""
_TERM = re.compile(r"\{([a-z]+)\}")
_CLAUSE = re.compile(r"[.!?;:,\n()\[\]]+|\bbut\b|\bhowever\b|\balthough\b|(?<!\w)-+(?!\w)")


@dataclass(frozen=True)
class Resource:
    """Whom to turn to: `where` (a country or region), `name`, `contact` (a number or an address)."""

    where: str
    name: str
    contact: str


@dataclass(frozen=True)
class Danger:
    """A sign of danger: the `signal` found (its name; never the text), what to say, whom to turn to."""

    signal: str
    kind: str
    message: str
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Signal:
    """Patterns of one sign; see `data/crisis.yaml`."""

    name: str
    kind: str
    patterns: tuple[re.Pattern[str], ...]
    unless: tuple[re.Pattern[str], ...]
    past_cancels: bool
    asked: tuple[str, ...]


class _ResourceRow(FileModel):
    where: str
    name: str
    contact: str
    kinds: list[str] = Field(alias="for")
    source: str = ""


class _SignalRow(FileModel):
    name: str
    kind: str
    patterns: list[str]
    unless: list[str] = Field(default=[])
    past: Literal["counts", "cancels"] = "counts"
    asked: list[str] = Field(default=[])


class _CrisisFile(FileModel):
    checked: str = ""
    negations: frozenset[str] = Field(strict=False)
    negation_reach: int = Field(ge=0)
    negation_stops: list[Pattern] = Field(default=[])
    near: list[str] = Field(default=[])
    spellings: dict[str, str] = Field(default={})
    terms: dict[str, str] = Field(default={})
    no_negation: list[str]
    past: list[Pattern]
    present: list[Pattern]
    messages: dict[str, str]
    signals: list[_SignalRow] = Field(min_length=1)
    resources: list[_ResourceRow]


class Detector:
    """Reads clause by clause; see `data/crisis.yaml` for the rules and for what it cannot see."""

    def __init__(self, table: Mapping[str, Any], place: str) -> None:
        """Take the content of a YAML file; `place` names it in messages of `UserError`."""
        self._file: _CrisisFile = validated(table, _CrisisFile, place)
        self._spellings = {slip: word for word in self._file.near for slip in slips(word)}
        self._spellings |= self._file.spellings
        self._no_negation = _alternatives(self._file.no_negation)
        self.messages = self._file.messages
        self.signals = tuple(
            self._signal(row, f"{place}: signals[{i}]") for i, row in enumerate(self._file.signals)
        )
        self._resources = [
            (Resource(row.where, row.name, row.contact), frozenset(row.kinds)) for row in self._file.resources
        ]

    @classmethod
    def load(cls, path: str | Path | None = None) -> Detector:
        """Read a file like `data/crisis.yaml` (the default).

        Raises
        ------
        UserError
            one line: file, place, what was found and expected.
        """
        path = CRISIS if path is None else Path(path)
        return cls(read_yaml(path, dict[str, Any], "signals and resources"), str(path))

    def check(self, text: str, attribute: str | None = None) -> Danger | None:
        """Return the sign of danger in `text` that comes first in the file, None where there is none.

        `attribute`: the one that was asked, if `text` is a reply.
        """
        found = [self._spelt(clause) for clause in clauses(text)]
        for signal in self.signals:
            if signal.asked and attribute not in signal.asked:
                continue
            if any(self._holds(signal, clause) for clause in found):
                return self.danger(signal)
        return None

    def danger(self, signal: Signal) -> Danger:
        """Return what belongs to `signal`: message and resources."""
        resources = tuple(resource for resource, kinds in self._resources if signal.kind in kinds)
        return Danger(signal.name, signal.kind, self.messages[signal.kind], resources)

    def by_name(self, name: str) -> Danger:
        """Return what belongs to the signal called `name`.

        A name that this detector does not have (a conversation from before its list was edited) brings the
        message of the first signal and everybody to turn to: help is never withheld for a name.
        """
        for signal in self.signals:
            if signal.name == name:
                return self.danger(signal)
        first = self.signals[0]
        everybody = tuple(resource for resource, _ in self._resources)
        return Danger("other", first.kind, self.messages[first.kind], everybody)

    def _holds(self, signal: Signal, clause: str) -> bool:
        found = any(
            not self._negated(clause[: match.start()])
            for pattern in signal.patterns
            for match in pattern.finditer(clause)
        )
        if not found or _any(signal.unless, clause):
            return False
        past = signal.past_cancels and _any(self._file.past, clause)
        return not past or _any(self._file.present, clause)

    def _spelt(self, clause: str) -> str:
        words = (_RUN.sub(r"\1", word) for word in clause.split())
        return " ".join(self._spellings.get(word, word) for word in words)

    def _negated(self, before: str) -> bool:
        plain = self._no_negation.sub(" ", before).rstrip()
        stops = self._file.negation_stops
        start = max((m.end() for stop in stops for m in stop.finditer(plain)), default=0)
        reach = self._file.negation_reach
        return not self._file.negations.isdisjoint(plain[start:].split()[-reach:] if reach else [])

    def _patterns(self, patterns: list[str], place: str) -> tuple[re.Pattern[str], ...]:
        """Return `patterns` compiled, with the terms in their places."""

        def put(match: re.Match[str]) -> str:
            if match[1] not in self._file.terms:
                raise UserError(f"{place}: {match[0]}: no such term, expected one of `terms`")
            return f"(?:{self._file.terms[match[1]]})"

        return tuple(validated([_TERM.sub(put, text) for text in patterns], list[Pattern], place))

    def _signal(self, row: _SignalRow, place: str) -> Signal:
        if row.kind not in self.messages:
            raise UserError(f"{place}.kind: found {row.kind!r}, expected one of {', '.join(self.messages)}")
        patterns = self._patterns(row.patterns, f"{place}.patterns")
        unless = self._patterns(row.unless, f"{place}.unless")
        return Signal(row.name, row.kind, patterns, unless, row.past == "cancels", tuple(row.asked))


def clauses(text: str) -> list[str]:
    """Return the clauses of `text`: lower case, apostrophes dropped, words parted by one space.

    A clause of more than 60 words comes in overlapping pieces of 60, so that no text takes long to read.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
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


def _any(patterns: Iterable[re.Pattern[str]], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _alternatives(phrases: list[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b" if phrases else r"(?!)")


@functools.cache
def default_detector() -> Detector:
    """Return the detector of the file that ships with the package; read once."""
    return Detector.load()
