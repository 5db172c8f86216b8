"""Detect signs of acute danger in what a person writes, and give the help to show first.

Two stages. Patterns find clear signs, which are certain. Where they find none and a classifier suspects
danger, or where they find one that the classifier holds for unlikely, the person is asked whether they are
safe. An answer to a sensitive question that the classifier holds for grave is certain too.
`data/crisis.yaml` says how patterns are read, lists them, the question and whom to turn to, and states the
limits; `experiments.train_understanding` makes the classifier.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from envs import UserError
from envs.checking.validation import FileModel, Pattern, read_yaml, validated
from policies.understanding.detectors.plain_text import clauses, slips
from policies.understanding.key_words import KeyWords
from policies.understanding.reading import Danger, Dialogue, Resource
from policies.understanding.text_classifier import DATA, TextClassifier

CRISIS, CLASSIFIER = DATA / "crisis.yaml", DATA / "danger.npz"
ACUTE = "acute"
"""The class of the classifier whose probability is compared with the file's thresholds."""
SENSITIVE = "a sensitive question"
"""What an answer to one of the file's sensitive questions is about, for the classifier."""
_RUN = re.compile(r"([^\W\d])\1{2,}")
_TERM = re.compile(r"\{([a-z]+)\}")


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


class _Suspicion(FileModel):
    name: str
    kind: str
    message: float = Field(gt=0, le=1)
    reply: float = Field(gt=0, le=1)
    sensitive: frozenset[str] = Field(default=frozenset(), strict=False)
    sensitive_reply: float = Field(default=1.0, gt=0, le=1)
    grave: float = Field(default=1.0, gt=0, le=1)
    doubt: float = Field(ge=0, lt=1)
    question: str


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
    suspicion: _Suspicion | None = None
    resources: list[_ResourceRow]


class RulesDetector:
    """Reads clause by clause; see `data/crisis.yaml` for the rules and for what it cannot see."""

    def __init__(
        self,
        table: Mapping[str, Any] | None = None,
        place: str = str(CRISIS),
        classifier: TextClassifier | None = None,
    ) -> None:
        """Take the content of a YAML file; `place` names it in messages of `UserError`.

        Without a `table` the file `place` is read. A table without a `classifier` finds only clear signs.
        """
        if table is None:
            table = read_yaml(Path(place), dict[str, Any], "signals and resources")
            classifier = classifier or TextClassifier.load(CLASSIFIER)
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
        self._key_words = KeyWords([p.pattern for signal in self.signals for p in signal.patterns])
        self._classifier = classifier
        suspicion = self._file.suspicion
        if suspicion is not None and suspicion.kind not in self.messages:
            raise UserError(f"{place}: suspicion.kind: {self._no_kind(suspicion.kind)}")

    @classmethod
    def load(cls, path: str | Path | None = None) -> RulesDetector:
        """Read a file like `data/crisis.yaml` (the default).

        Raises
        ------
        UserError
            one line: file, place, what was found and expected.
        """
        return cls(place=str(CRISIS if path is None else path))

    @property
    def sensitive(self) -> frozenset[str]:
        """The attributes whose answers the classifier may escalate."""
        return frozenset() if self._file.suspicion is None else self._file.suspicion.sensitive

    def with_classifier(self, classifier: TextClassifier) -> RulesDetector:
        """Return a detector of the same file whose suspicions come from another classifier."""
        other = copy.copy(self)
        other._classifier = classifier
        return other

    def check(self, text: str, asked: str | None = None, dialogue: Dialogue | None = None) -> Danger | None:
        """Return the sign of danger in `text` that comes first in the file, None where there is none.

        `asked`: the attribute that was asked, if `text` is a reply. No sign that is sought in answers to one
        question alone is doubted.
        """
        signal, called_off = self._found(text, asked)
        suspicion = self._file.suspicion
        if suspicion is None or self._classifier is None:
            return None if signal is None else self.danger(signal)
        sensitive = asked in suspicion.sensitive
        probability = self._classifier.probabilities(text, SENSITIVE if sensitive else None)[ACUTE]
        if signal is not None and (signal.asked or probability >= suspicion.doubt):
            return self.danger(signal)
        reply = suspicion.sensitive_reply if sensitive else suspicion.reply
        likely = suspicion.message if asked is None else reply
        if signal is None and (called_off or probability < likely):
            return None
        grave = sensitive and probability >= suspicion.grave
        return self.help_for(suspicion.name, suspicion.kind, certain=grave)

    def _found(self, text: str, asked: str | None) -> tuple[Signal | None, bool]:
        """Return (the first sign that holds, whether none does but one is negated, past or an exception)."""
        found = [self._spelt(clause) for clause in clauses(text)]
        candidates = self._key_words.candidates(found)
        called_off, first = False, 0
        for signal in self.signals:
            own = range(first, first := first + len(signal.patterns))
            if signal.asked and asked not in signal.asked:
                continue
            states = {
                self._state(signal, clause)
                for clause, some in zip(found, candidates, strict=True)
                if not some.isdisjoint(own)
            }
            if "holds" in states:
                return signal, False
            called_off = called_off or "called off" in states
        return None, called_off

    def danger(self, signal: Signal) -> Danger:
        """Return what belongs to `signal`: message and resources."""
        return Danger(signal.name, signal.kind, self.messages[signal.kind], self._resources_of(signal.kind))

    def help_for(self, name: str, kind: str, certain: bool = True) -> Danger:
        """Return what belongs to `kind` of a sign that another detector found and calls `name`.

        A suspicion brings the check question; where the file has none, help at once.
        """
        if certain or self._file.suspicion is None:
            return Danger(name, kind, self.messages[kind], self._resources_of(kind) or self._everybody())
        return Danger(name, kind, self._file.suspicion.question, self._everybody(), certain=False)

    def by_name(self, name: str) -> Danger:
        """Return what belongs to the signal called `name`; to a suspicion, once it has proved right.

        A name that this detector does not have (a conversation from before its list was edited) brings a
        message and everybody to turn to: help is never withheld for a name.
        """
        for signal in self.signals:
            if signal.name == name:
                return self.danger(signal)
        suspicion = self._file.suspicion
        kind = self.signals[0].kind if suspicion is None else suspicion.kind
        known = suspicion is not None and suspicion.name == name
        return Danger(name if known else "other", kind, self.messages[kind], self._everybody())

    def _resources_of(self, kind: str) -> tuple[Resource, ...]:
        return tuple(resource for resource, kinds in self._resources if kind in kinds)

    def _everybody(self) -> tuple[Resource, ...]:
        return tuple(resource for resource, _ in self._resources)

    def _no_kind(self, found: str) -> str:
        return f"found {found!r}, expected one of {', '.join(self.messages)}"

    def _state(self, signal: Signal, clause: str) -> Literal["absent", "called off", "holds"]:
        found = [match.start() for pattern in signal.patterns for match in pattern.finditer(clause)]
        if not found:
            return "absent"
        if all(self._negated(clause[:start]) for start in found) or _any(signal.unless, clause):
            return "called off"
        past = signal.past_cancels and _any(self._file.past, clause)
        return "called off" if past and not _any(self._file.present, clause) else "holds"

    def _spelt(self, clause: str) -> str:
        return " ".join(self._spellings.get(word, word) for word in _RUN.sub(r"\1", clause).split())

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
            raise UserError(f"{place}.kind: {self._no_kind(row.kind)}")
        patterns = self._patterns(row.patterns, f"{place}.patterns")
        unless = self._patterns(row.unless, f"{place}.unless")
        return Signal(row.name, row.kind, patterns, unless, row.past == "cancels", tuple(row.asked))


def _any(patterns: Iterable[re.Pattern[str]], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


def _alternatives(phrases: list[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b" if phrases else r"(?!)")


@functools.cache
def default_detector() -> RulesDetector:
    """Return the detector of the file that ships with the package; read once."""
    return RulesDetector.load()
