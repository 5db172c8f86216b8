"""What a reply to a question for a number tells, where the attribute has no patterns of its own.

"none" is 0 where a level holds it. An amount in words ("a few"), of another unit ("14 beers" where glasses
are asked) or of another period ("2 a day" where weeks are) is kept as its words, without number or level.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from envs.schema.attribute import Attribute
from envs.schema.quantities import Quantity, fits, quantities
from policies.understanding.readers.clauses import THIRD
from policies.understanding.reading import Value
from policies.understanding.text_classifier import straight

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_LONGEST = 80
"""Characters of a reply that may be an amount and nothing else."""
_FILLERS = frozenset(
    _WORD.findall(
        "well oh um uh so honestly actually usually normally mostly maybe perhaps probably about around "
        "roughly approximately like only just almost nearly over under at least most up to more less than "
        "between i i'm i've think guess suppose have had got do did get take would i'd say it's it is that's "
        "some a an any of or and in total all now right really these days lately ever far anymore single with"
    )
)
_NOTHING = frozenset(
    _WORD.findall("none nil null nothing never zero no not don't dont doesn't didn't haven't drop nope")
)
_VAGUE = frozenset(
    _WORD.findall(
        "lot lots loads tons plenty many much few little couple some several handful dozen dozens hundreds "
        "hardly barely enough bit"
    )
)
_PERIOD = re.compile(
    r"(?:\b(?:an?|per|each|every)|/)\s?(hour|day|night|evening|week|weekend|month|year)\b"
    r"|\b(hour|dai|night|week|month|year)ly\b"
)
_SUM = re.compile(r"\s*[\w'/]*\s*(?:,|\+|&|and|plus)\s*")
_COUNTED = re.compile(r"\bhow (?:many|much|often)\b")


def amount(text: str, attribute: Attribute, said: Value | None) -> Value | None:
    """Return what `text`, a reply to the question for `attribute`, tells as an amount.

    None: it is none, or what was read of it otherwise (`said`) is right as it is.
    """
    plain = straight(text).casefold()
    if not attribute.numeric or attribute.reads or len(plain) > _LONGEST or THIRD.search(plain):
        return None
    question = f"{attribute.name} {attribute.question} {attribute.unit}".casefold()
    asked = {_singular(word) for word in _WORD.findall(question)}
    found, told = quantities(plain), Value(text.strip(" .,!\n"))
    if not found:
        return _in_words(told, _WORD.findall(plain), attribute, asked)
    others = [one for one in found if not _fits(one, attribute, asked)]
    if said is not None and said.number is not None:
        summed = len(found) > 1 and others and _SUM.fullmatch(plain[found[0].end : found[1].start])
        return told if summed or not _period_asked(plain, asked) else None
    before = _WORD.findall(plain[: found[0].start])
    if len(found) > 1 or not all(word in _FILLERS or _singular(word) in asked for word in before):
        return None
    if others or not _period_asked(plain, asked):
        return told
    (one,) = found
    held = any(own.low <= one.high and one.low <= own.high for own in attribute.levels)
    return replace(told, level=attribute.level_within(one.low, one.high), number=one.number) if held else None


def _in_words(told: Value, words: list[str], attribute: Attribute, asked: set[str]) -> Value | None:
    """Return what a reply without a number tells, where it is nothing but an amount."""
    own = [word for word in words if word not in _FILLERS]
    if not all(word in _VAGUE or word in _NOTHING or _singular(word) in asked for word in own):
        return None
    if not _VAGUE.isdisjoint(own):
        return told
    if _NOTHING.isdisjoint(own) or own in (["no"], ["nope"], ["not"]):
        return None
    counted = bool(_COUNTED.search(attribute.question.casefold()))
    if attribute.unit.casefold() == "years" and not counted:
        return None  # nobody is 0 years old who is asked for an age
    ranges = [(level.low, level.high) for level in attribute.levels]
    if any(low <= 0 <= high and (math.isfinite(low) or high == 0) for low, high in ranges):
        return replace(told, level=attribute.level_within(0.0, 0.0), number=0.0)
    return told if counted else None


def _fits(one: Quantity, attribute: Attribute, asked: set[str]) -> bool:
    """Tell whether `one` may be what was asked; without a unit what the question counts is one."""
    return fits(one, attribute.unit) or _singular(one.unit) in asked


def _singular(word: str) -> str:
    """Return what "glass" and "glasses" have in common."""
    return word.rstrip("es") or word


def _period_asked(plain: str, asked: set[str]) -> bool:
    """Tell whether each period that a reply names ("a day", "weekly") is one that the question names."""
    named = [one or other for one, other in _PERIOD.findall(plain)]
    return all(any(word.startswith(period[:3]) for word in asked) for period in named)
