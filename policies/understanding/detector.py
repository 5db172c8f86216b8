"""Signs of acute danger in what a person writes, and the help to show first.

All of it is data: `data/crisis.yaml` says how it reads, lists patterns and resources, and states its limits.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from envs import UserError
from policies.understanding.yaml_file import read_mapping

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


class Detector:
    """Reads clause by clause; see `data/crisis.yaml` for the rules and for what it cannot see."""

    def __init__(self, table: Mapping[str, Any], place: str) -> None:
        """Take the content of a YAML file; `place` names it in messages of `UserError`."""
        self._negations = frozenset(_texts(table, "negations", place))
        self._reach = _whole(table, "negation_reach", place)
        stops = _texts(table, "negation_stops", place) if "negation_stops" in table else []
        self._negation_stops = _compiled(stops, f"{place}: negation_stops")
        near = _texts(table, "near", place) if "near" in table else []
        self._spellings = {slip: word for word in near for slip in slips(word)}
        self._spellings |= _mapping(table, "spellings", place)
        self._terms = _mapping(table, "terms", place)
        self._no_negation = _alternatives(_texts(table, "no_negation", place))
        self._past = _compiled(_texts(table, "past", place), f"{place}: past")
        self._present = _compiled(_texts(table, "present", place), f"{place}: present")
        self.messages = {str(k): str(v) for k, v in _get(table, "messages", dict, place).items()}
        self.signals = tuple(
            self._signal(row, f"{place}: signal {i}")
            for i, row in enumerate(_get(table, "signals", list, place), 1)
        )
        if not self.signals:
            raise UserError(f"{place}: signals: found none, expected at least one")
        self._resources = [
            _resource(row, f"{place}: resource {i}")
            for i, row in enumerate(_get(table, "resources", list, place), 1)
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
        return cls(read_mapping(path, "signals and resources", "signals"), str(path))

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
        past = signal.past_cancels and _any(self._past, clause)
        return not past or _any(self._present, clause)

    def _spelt(self, clause: str) -> str:
        words = (_RUN.sub(r"\1", word) for word in clause.split())
        return " ".join(self._spellings.get(word, word) for word in words)

    def _negated(self, before: str) -> bool:
        plain = self._no_negation.sub(" ", before).rstrip()
        start = max((m.end() for stop in self._negation_stops for m in stop.finditer(plain)), default=0)
        words = plain[start:].split()[-self._reach :] if self._reach else []
        return not self._negations.isdisjoint(words)

    def _patterns(self, patterns: list[str], place: str) -> tuple[re.Pattern[str], ...]:
        def put(match: re.Match[str]) -> str:
            if match[1] not in self._terms:
                raise UserError(f"{place}: {match[0]}: no such term, expected one of `terms`")
            return f"(?:{self._terms[match[1]]})"

        return _compiled([_TERM.sub(put, pattern) for pattern in patterns], place)

    def _signal(self, row: Any, place: str) -> Signal:
        kind = _get(row, "kind", str, place)
        if kind not in self.messages:
            raise UserError(f"{place}: kind: found {kind!r}, expected one of {', '.join(self.messages)}")
        past = row.get("past", "counts")
        if past not in ("counts", "cancels"):
            raise UserError(f"{place}: past: found {past!r}, expected counts or cancels")
        return Signal(
            _get(row, "name", str, place),
            kind,
            self._patterns(_texts(row, "patterns", place), f"{place}: patterns"),
            self._patterns(_texts(row, "unless", place) if "unless" in row else [], f"{place}: unless"),
            past == "cancels",
            tuple(_texts(row, "asked", place)) if "asked" in row else (),
        )


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


def _any(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _alternatives(phrases: list[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b" if phrases else r"(?!)")


def _compiled(patterns: list[str], place: str) -> tuple[re.Pattern[str], ...]:
    found = []
    for i, pattern in enumerate(patterns, 1):
        try:
            found.append(re.compile(pattern))
        except re.error as error:
            raise UserError(f"{place}: pattern {i} is no regular expression ({error})") from None
    return tuple(found)


def _resource(row: Any, place: str) -> tuple[Resource, frozenset[str]]:
    where, name, contact = (_get(row, key, str, place) for key in ("where", "name", "contact"))
    return Resource(where, name, contact), frozenset(_texts(row, "for", place))


def _get(row: Any, key: str, kind: type, place: str) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind):
        raise UserError(f"{place}: {key}: found {type(value).__name__}, expected {kind.__name__}")
    return value


def _texts(row: Any, key: str, place: str) -> list[str]:
    found = _get(row, key, list, place)
    if not all(isinstance(text, str) for text in found):
        raise UserError(f"{place}: {key}: expected a list of texts (quote numbers and yes/no)")
    return found


def _mapping(table: Any, key: str, place: str) -> dict[str, str]:
    found = _get(table, key, dict, place) if key in table else {}
    if not all(isinstance(text, str) for pair in found.items() for text in pair):
        raise UserError(f"{place}: {key}: expected texts under texts (quote numbers and yes/no)")
    return found


def _whole(row: Any, key: str, place: str) -> int:
    value = _get(row, key, int, place)
    if isinstance(value, bool) or value < 0:
        raise UserError(f"{place}: {key}: found {value!r}, expected an integer >= 0")
    return int(value)


@functools.cache
def default_detector() -> Detector:
    """Return the detector of the file that ships with the package; read once."""
    return Detector.load()
