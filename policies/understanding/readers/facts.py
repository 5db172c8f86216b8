"""Find what a message tells of its writer: {attribute: words, level, number}.

How each attribute is read belongs to the schema: patterns (`Attribute.reads`), levels and their phrases,
ranges of numbers. What belongs to the language is here: who a clause is about, what is denied, supposed or
asked, what is over. What is not sure has no level, rather than a wrong one. All is linear in the text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from envs import Schema
from envs.schema.attribute import Attribute
from envs.schema.quantities import Quantity, fits, quantities
from policies.understanding.key_words import KeyWords, longest_of
from policies.understanding.readers.clauses import DENIED, PART, SELF, SUPPOSED, THIRD, about_writer
from policies.understanding.reading import LONGEST, Value

_BEFORE = 120
"""Characters before a phrase that may deny or suppose it."""
_SENTENCE = re.compile(r"[^.!?;\n\u2026]+(?:\.(?=\w)[^.!?;\n\u2026]+)*")


class Fact(NamedTuple):
    """A match: where its words stand, the level they name, the quantity; `several`: more than one word."""

    start: int
    end: int
    level: str | None
    quantity: Quantity | None = None
    several: bool = False


def facts(text: str, schema: Schema, asked: str | None = None) -> dict[str, Value]:
    """Return what `text` tells of each attribute, in schema order; `asked`: that of the open question.

    The attribute that was asked is among them where words or a number tell it for sure; whether a reply
    without such words answers the question is not decided here.
    """
    text = text[:LONGEST]
    plain = _plain(text)
    found = quantities(plain)
    masked = list(plain)
    for quantity in found:
        masked[quantity.start : quantity.end] = "#" * (quantity.end - quantity.start)
    whole = _Text("".join(masked), found, schema)
    values = {}
    for attribute in schema.attributes:
        fact = _of(attribute, whole, attribute.name == asked)
        if fact is not None:
            number = None if fact.quantity is None else fact.quantity.number
            words = text[fact.start : fact.end].strip(" ,:-")
            if words:
                values[attribute.name] = Value(words, fact.level, number, 0.9)
    return values


class _Pattern(NamedTuple):
    """A pattern of an attribute; an `elliptic` one begins a part of a reply, without "I am".

    `rank`: place of its level among those that the attribute reads. `reply`: it is a sign only where the
    attribute was asked, as an elliptic one is.
    """

    attribute: str
    rank: int
    level: str
    regex: re.Pattern[str]
    elliptic: bool
    reply: bool


class _SchemaWords:
    """All patterns of a schema in order, their key words, and where phrases of its levels may begin."""

    def __init__(self, schema: Schema) -> None:
        self.patterns, plain = [], []
        for attribute in schema.attributes:
            for rank, (level, texts) in enumerate(attribute.reads):
                for text in texts:
                    plain.append(text.lstrip("^?"))
                    regex, elliptic = re.compile(plain[-1]), text.startswith("^")
                    self.patterns.append(
                        _Pattern(attribute.name, rank, level, regex, elliptic, text[0] in "^?")
                    )
        self.key_words = KeyWords(plain)
        heads = {head for attribute in schema.attributes for head in attribute.heads}
        self._head = re.compile(rf"\b{longest_of(sorted(heads))}") if heads else None
        self._attributes = schema.attributes
        self._phrases: dict[str, list[tuple[str, tuple[re.Pattern[str], list[str]]]]] = {}

    def phrases_in(self, text: str) -> Iterator[tuple[str, re.Match[str], str]]:
        """Yield (attribute, match, level) of the phrases in `text`, those of one attribute side by side."""
        ends: dict[str, int] = {}
        for head in self._head.finditer(text) if self._head else ():
            for name, (regex, levels) in self._phrases_from(head[0]):
                if head.start() >= ends.get(name, 0) and (match := regex.match(text, head.start())):
                    ends[name] = match.end()
                    yield name, match, levels[(match.lastindex or 1) - 1]

    def _phrases_from(self, head: str) -> list[tuple[str, tuple[re.Pattern[str], list[str]]]]:
        """Return, of each attribute with a phrase that may begin with `head`, its name and `phrases_from`."""
        if head not in self._phrases:
            found = ((attribute.name, attribute.phrases_from(head)) for attribute in self._attributes)
            self._phrases[head] = [(name, own) for name, own in found if own is not None]
        return self._phrases[head]


_words_of = functools.lru_cache(maxsize=32)(_SchemaWords)


class _Text:
    """A message in lower case, its numbers replaced by #, its sentences, and what may match them."""

    def __init__(self, masked: str, found: list[Quantity], schema: Schema) -> None:
        self.quantities = {quantity.start: quantity for quantity in found}
        self.sentences = [(m.start(), m[0]) for m in _SENTENCE.finditer(masked) if m[0].strip()]
        self._words = _words_of(schema)
        self._rows: dict[str, list[tuple[int, int, int, str]]] = {}
        candidates = self._words.key_words.candidates([sentence for _, sentence in self.sentences])
        for (start, sentence), found_here in zip(self.sentences, candidates, strict=True):
            for i in found_here:
                pattern = self._words.patterns[i]
                self._rows.setdefault(pattern.attribute, []).append((pattern.rank, start, i, sentence))

    def rows(self, attribute: Attribute) -> Iterator[tuple[_Pattern, int, str]]:
        """Yield the patterns of `attribute` to try, with the sentence and its start.

        They come level by level, then in the order of the text.
        """
        for _, start, i, sentence in sorted(self._rows.get(attribute.name, [])):
            yield self._words.patterns[i], start, sentence

    @functools.cached_property
    def phrases(self) -> dict[str, list[Fact]]:
        """The phrases of levels by attribute, in parts about the writer, none denied or supposed."""
        found: dict[str, list[Fact]] = {}
        for start, sentence in self.sentences:
            for place, part in _parts(sentence):
                if not SELF.search(part) and THIRD.search(part):
                    continue
                for name, match, level in self._words.phrases_in(part):
                    before = part[max(0, match.start() - _BEFORE) : match.start()]
                    if not DENIED.search(before) and not SUPPOSED.search(before):
                        several = re.search(r"\w\W+\w", match[0]) is not None
                        begin = start + place + match.start()
                        fact = Fact(begin, begin + len(match[0]), level, None, several)
                        found.setdefault(name, []).append(fact)
        return found


def _of(attribute: Attribute, text: _Text, asked: bool) -> Fact | None:
    if not attribute.reads:
        fact = _by_name(attribute, text)
    elif (fact := _by_patterns(attribute, text, asked)) is not None and fact.quantity is None:
        fact = fact._replace(level=_agreed(fact, text.phrases.get(attribute.name, [])))
    if fact is None and asked:
        fact = _bare_number(attribute, text) or _only(text.phrases.get(attribute.name, []))
    return fact


def _agreed(fact: Fact, phrases: list[Fact]) -> str | None:
    """Return the level of a pattern's match, unless the schema's phrases say another one.

    Of phrases that stand in the match one of several words decides ("mild anxiety"); where all phrases beside
    the match say another level, it is not clear which.
    """
    inside = [p for p in phrases if p.start < fact.end and fact.start < p.end]
    for phrase in inside:
        if phrase.several:
            return phrase.level
    agree = all(phrase in inside for phrase in phrases) or fact.level in {phrase.level for phrase in phrases}
    return fact.level if agree else None


def _only(phrases: list[Fact]) -> Fact | None:
    """Return the first of `phrases` where all say the same level."""
    return phrases[0] if len({phrase.level for phrase in phrases}) == 1 else None


def _by_patterns(attribute: Attribute, text: _Text, asked: bool) -> Fact | None:
    """Return the first fact that a pattern of the attribute finds, in the order of the schema."""
    for pattern, place, sentence in text.rows(attribute):
        if pattern.reply and not asked:
            continue
        spans = (
            _elliptic(pattern, sentence)
            if pattern.elliptic
            else _anywhere(pattern, sentence, attribute.past, asked)
        )
        for start, end in spans:
            fact = _fact(attribute, text, place + start, place + end, pattern.level)
            if fact is not None:
                return fact
    return None


def _anywhere(pattern: _Pattern, sentence: str, past: bool, asked: bool) -> Iterator[tuple[int, int]]:
    for match in pattern.regex.finditer(sentence):
        if about_writer(sentence, match.start(), match.end(), past, asked):
            yield match.span()


def _elliptic(pattern: _Pattern, sentence: str) -> Iterator[tuple[int, int]]:
    """Yield what a pattern finds where a part of the sentence begins."""
    for place in (0, *(m.end() for m in PART.finditer(sentence))):
        rest = sentence[place:].lstrip(" ,'\"-")
        if match := pattern.regex.match(rest):
            begin = len(sentence) - len(rest)
            yield begin, begin + match.end()


def _fact(attribute: Attribute, text: _Text, start: int, end: int, level: str) -> Fact | None:
    if level != "number":
        return Fact(start, end, level)
    inside = [q for place, q in text.quantities.items() if start <= place < end]
    if len(inside) != 1:
        return None
    return _number_fact(attribute, inside[0])


def _number_fact(attribute: Attribute, quantity: Quantity) -> Fact | None:
    """Return what `quantity` tells; None where it lies outside every level."""
    if not any(level.low <= quantity.high and quantity.low <= level.high for level in attribute.levels):
        return None
    return Fact(quantity.start, quantity.end, attribute.level_within(quantity.low, quantity.high), quantity)


@functools.lru_cache(maxsize=512)
def _name(name: str) -> re.Pattern[str]:
    words = map(re.escape, re.findall(r"\w+", name.lower()))
    return re.compile(r"\b" + r"\W{0,3}".join(words) + r"\b")


def _by_name(attribute: Attribute, text: _Text) -> Fact | None:
    """Return what stands beside the name of an attribute without patterns: "my HbA1c is 8.2"."""
    for start, sentence in text.sentences:
        for match in _name(attribute.name).finditer(sentence):
            near = [q for p, q in text.quantities.items() if 0 <= p - start - match.end() <= 30]
            if attribute.numeric and near:
                return _number_fact(attribute, near[0]) if fits(near[0], attribute.unit) else None
            code = attribute.code(sentence[match.end() :])
            if code >= 0 and not DENIED.search(sentence[: match.start()]):
                return Fact(start + match.start(), start + len(sentence), attribute.levels[code].name)
    return None


def _bare_number(attribute: Attribute, text: _Text) -> Fact | None:
    """Return the number of a reply to a question for one: the only one that can be meant."""
    if not attribute.numeric:
        return None
    fitting = [q for q in text.quantities.values() if fits(q, attribute.unit)]
    if len({(q.low, q.high) for q in fitting}) != 1:
        return None
    return _number_fact(attribute, fitting[0])


def _parts(sentence: str) -> Iterator[tuple[int, str]]:
    place = 0
    for match in PART.finditer(sentence):
        yield place, sentence[place : match.start()]
        place = match.end()
    yield place, sentence[place:]


def _plain(text: str) -> str:
    """Return `text` in lower case with straight apostrophes, character by character."""
    straight = text.translate({0x2018: "'", 0x2019: "'", 0x02BC: "'", 0x60: "'", 0x201C: '"', 0x201D: '"'})
    low = straight.lower()
    return (
        low
        if len(low) == len(straight)
        else "".join(c.lower() if len(c.lower()) == 1 else c for c in straight)
    )
