"""An attribute: what may be asked of a person, what asking costs, and how values are read as levels."""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from envs.schema.quantities import fits, quantities

UNKNOWN = -1
"""Code of a value that is missing, or whose words no level names."""

_NEGATIONS = frozenset({"no", "not", "never", "without", "denies", "denied", "nor", "non"})
_NEGATION_REACH = 2  # words, fillers not counted: "no known history of self-harm" has none
_FILLERS = frozenset({"history", "of", "any", "known"})
_HEAD = 3
"""Characters by which the first words of phrases are looked up."""
_PLAIN_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.ASCII | re.I)
"""How files spell a number; people write "1.200" for 1.2 and for 1,200."""


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

    `question`: blank, the name makes one. `reworded`: the question in other words, for somebody who did not
    understand it. `cost`: burden of answering, in units of `cost_weight`. `sensitivity`: 1 (small talk) to 5.
    `reads`: how people tell it, (level, patterns) in the order in which they count; level `number`: patterns
    around a number, whose characters are # there; one behind a `?` counts only in a reply to its question,
    one behind a `^` only where a part of such a reply begins. `unit`: of the ranges of levels. `past`: what
    is over tells it too.
    """

    name: str
    question: str = ""
    why: str = ""
    cost: float = 1.0
    sensitivity: int = 1
    levels: tuple[Level, ...] = ()
    reworded: str = ""
    reads: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unit: str = ""
    past: bool = False

    def __post_init__(self) -> None:
        if not self.question.strip():
            object.__setattr__(self, "question", f"Could you tell me about your {self.name.lower()}?")

    def code(self, value: object) -> int:
        """Return the index of the level that `value` (free text) names, or `UNKNOWN`.

        Phrases are sought from left to right, the longest first, and do not overlap; one that follows a
        negation within two words ("history", "of", "any", "known" not counted) does not count; of the levels
        named the one listed last wins. Numbers are read by `envs.schema.quantities`: a range counts by its
        middle (`35-44`, `30s`), a bound (`under 18`) where all it allows is one level; of two none counts.
        A value that is a plain decimal number by itself, as data has them (`37.125`), is that number. Where
        levels are ranges a value that is a level's name ("none") is of that level.
        """
        if value is None:
            return UNKNOWN
        text = str(value)
        found = UNKNOWN
        (regex, level_of), heads = self._phrases, self.heads
        words = _words(text)
        joined, start, end = " ".join(words), 0, 0
        for n, word in enumerate(words):
            # Few words begin a phrase: the pattern is tried there alone.
            if start >= end and (word[:1] in heads or word[:2] in heads or word[:_HEAD] in heads):
                match = regex.match(joined, start)
                if match is not None and match.lastindex:
                    end = match.end()
                    before = [w for w in words[:n] if w not in _FILLERS][-_NEGATION_REACH:]
                    if not _NEGATIONS.intersection(before):
                        found = max(found, level_of[match.lastindex - 1])
            start += len(word) + 1
        if self.numeric:
            found = max(found, self._number_code(text))
            if found == UNKNOWN:  # "none", the name of a range up to 0
                return self.level_code(
                    next((own.name for own in self.levels if own.name == text.strip()), None)
                )
        return found

    def _number_code(self, text: str) -> int:
        """Return the level of the one number or range in `text`; a closed range counts by its middle."""
        if _PLAIN_NUMBER.fullmatch(text.strip()):
            number = float(text)
            return self.level_code(self.level_within(number, number) if math.isfinite(number) else None)
        fitting = {(q.low, q.high): q for q in quantities(text) if not self.unit or fits(q, self.unit)}
        if len(fitting) != 1:
            return UNKNOWN
        ((low, high),) = fitting
        if math.isfinite(low) and math.isfinite(high) and low != high:
            decade = any(text[q.end - 1] == "s" for q in fitting.values())
            low = high = (low + high + decade) / 2  # the 20s end where the 30s begin
        return self.level_code(self.level_within(low, high))

    @property
    def numeric(self) -> bool:
        """Tell whether a level is a range of numbers."""
        return any(level.low <= level.high for level in self.levels)

    def level_within(self, low: float, high: float) -> str | None:
        """Return the name of the level that holds all of `low` to `high`, None where several do, or none."""
        if low == -math.inf:  # an open side reaches as far as the levels do
            low = min(level.low for level in self.levels)
        elif high == math.inf:
            high = max(level.high for level in self.levels)
        within = (
            own.name
            for own in self.levels
            if own.low <= low and (high < _end(own, self) or high == own.high)  # both may be infinite
        )
        return next(within, None)

    def level_code(self, level: str | None) -> int:
        """Return the index of the level called `level`, `UNKNOWN` for None."""
        return UNKNOWN if level is None else [own.name for own in self.levels].index(level)

    @functools.cached_property
    def _phrases(self) -> tuple[re.Pattern[str], list[int]]:
        """All phrases as one alternation, a group each; and the level of each group."""
        return _alternation(self._rows)

    @functools.cached_property
    def _rows(self) -> list[tuple[str, int]]:
        """The phrases and the indices of their levels, the longest first."""
        rows = [(phrase, i) for i, level in enumerate(self.levels) for phrase in level.phrases]
        return sorted(rows, key=lambda row: (-len(row[0].split()), -len(row[0]), row[1]))

    @functools.cached_property
    def heads(self) -> frozenset[str]:
        """How the first words of phrases begin, three characters at most."""
        return frozenset(words[0][:_HEAD] for phrase, _ in self._rows if (words := _words(phrase)))

    def phrases_from(self, head: str) -> tuple[re.Pattern[str], list[str]] | None:
        """Return a pattern of the phrases that may begin at a word that begins with `head`, None for none.

        `head`: three characters at most, of a text in lower case with its spaces and marks. Each group of the
        pattern is a phrase; the list has its level.
        """
        starts = {head[:n] for n in range(1, _HEAD + 1)}
        words = ((row, _words(row[0])) for row in self._rows)
        rows = [row for row, own in words if own and own[0][:_HEAD] in starts]
        if not rows:
            return None
        regex, level_of = _alternation(rows)
        spaced = re.sub(r"(?<=[a-z])s(?= |\))", "'?s", regex.pattern).replace(" ", r"[\s'-]{1,3}")
        return re.compile(spaced), [self.levels[i].name for i in level_of]


def _end(level: Level, attribute: Attribute) -> float:
    """Return where the range of `level` ends: at the next one's begin where these are whole numbers apart."""
    following = min((own.low for own in attribute.levels if own.low > level.high), default=math.inf)
    return following if following <= level.high + 1 else math.nextafter(level.high, math.inf)


def _alternation(rows: Sequence[tuple[str, int]]) -> tuple[re.Pattern[str], list[int]]:
    groups = [f"({_phrase_pattern(phrase)})" for phrase, _ in rows]
    return re.compile(rf"\b(?:{'|'.join(groups)})(?!\w)"), [level for _, level in rows]


def _phrase_pattern(phrase: str) -> str:
    parts = [" ".join(_words(part)) + (r"\w*" if part.endswith("*") else "") for part in phrase.split()]
    return " ".join(parts)
