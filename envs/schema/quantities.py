"""Read numbers as people write them: signs, separators, words, ranges, bounds and units.

Not a library: quantulum3, the kept one, unpickles a classifier that other versions of scikit-learn cannot
load, reads "under 30" as 30 and "1.200,50" as two numbers, and takes 2 s to import.

What is ambiguous is no number: "1.200" may be 1.2 or 1,200, and a number is never cut. All is linear in the
text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_ONES)} | {w: 10 * i for i, w in enumerate(_TENS, 2)}
_WORDS |= {"fourty": 40, "fivty": 50, "ninty": 90}
_DECADES = {"teens": 10} | {word[:-1] + "ies": value for word, value in _WORDS.items() if word in _TENS}
_SCALES = {"hundred": 100.0, "thousand": 1e3, "grand": 1e3, "k": 1e3, "million": 1e6, "mio": 1e6, "m": 1e6}

_WORD = "|".join(sorted((*_WORDS, *_DECADES), key=len, reverse=True))
_TOKEN = re.compile(
    r"(?P<digits>(?<![\w.,])(?:[-\u2212+](?=[.\d]))?"
    r"(?:\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?![\d.,]*\d)|\d[\d.,']*|\.\d+))"
    r"(?:(?P<decade>'?s)\b|\s?(?P<scale>k|m|thousand|grand|hundred|million)\b)?"
    rf"|(?<![\w-])(?P<words>(?:an?\s+)?(?:{_WORD}|hundred|thousand|million)"
    rf"(?:(?:[ -]|\s+and\s+)(?:{_WORD}|hundred|thousand|grand|million|a half))*)\b",
    re.I,
)
_SEPARATED = re.compile(r"\d{1,3}([., '\u00a0\u202f])\d{3}(?:\1\d{3})*(?:(?!\1)[.,]\d+)?")
_UNIT = re.compile(r"[ \t-]?([^\W\d_]+(?:/[^\W\d_]+)?|[%\u00b0\u20ac$\u00a3])(?![\w/])")
_MONEY = re.compile(r"[$\u20ac\u00a3]\s?$")
_RANGE = re.compile(r"\s*(?:-|\u2013|\u2014|to|until|till|and|or|/)\s*", re.I)
_BELOW = re.compile(
    r"\b(?:under|below|less than|younger than|not yet|fewer than|at most|up to|no more than|just under|"
    r"shy of)\s+$",
    re.I,
)
_NEARLY = re.compile(
    r"\b(?:almost|nearly|nearing|pushing|coming up (?:to|on)|close to|approaching)\s+$", re.I
)
_ABOVE = re.compile(
    r"\b(?:over|above|more than|older than|at least|past|upwards of|north of|no less than|well into my)\s+$",
    re.I,
)
_PART = re.compile(r"\b(early|mid|middle|late|high|low)(?:[- ]to[- ](mid|late))?[- ]?(?:my |the )?$", re.I)
_PARTS = {"early": (0, 3), "low": (0, 3), "mid": (3, 7), "middle": (3, 7), "late": (7, 9), "high": (7, 9)}
_REACH = 40
"""Characters before a number in which a word that bounds it is sought."""

_UNITS = {
    "years": frozenset(("years", "year", "yrs", "yr", "y", "yo", "m", "f", "male", "female", "old")),
    "%": {"%", "percent", "per"},
}
_FUNCTION = frozenset(
    re.findall(
        r"\S+",
        "and but or so i i'm im in on at by for with to of the a an is was am are as now today here this "
        "next last since because if when though still already just who he she they it my we you not no yes "
        "yeah lol btw tbh haha going soon come from about around turning roughly ish something odd",
    )
)
"""What may follow a number without being its unit."""


class Quantity(NamedTuple):
    """A number, or a range of them, in a text.

    `low`, `high`: equal for one number; infinite on the open side of a bound. `start`, `end`: the characters
    that tell it, its bound and unit not among them. `unit`: the word or sign that follows it, or the sign
    before, in lower case, "" for none.
    """

    low: float
    high: float
    start: int
    end: int
    unit: str = ""

    @property
    def number(self) -> float | None:
        """The number, None of a range."""
        return self.low if self.low == self.high else None


def quantities(text: str) -> list[Quantity]:
    """Return the quantities in `text`, in order; what is ambiguous is left out, and never read in part."""
    found = list(_singles(text))
    merged: list[Quantity] = []
    i = 0
    while i < len(found):
        one, joined = found[i], None
        if i + 1 < len(found) and one is not None:
            joined = _joined(text, one, found[i + 1])
        if joined is not None:
            merged.append(joined)
            i += 2
            continue
        if one is not None:
            merged.append(_bounded(text, one))
        i += 1
    return merged


def fits(quantity: Quantity, unit: str) -> bool:
    """Tell whether `quantity` may be in `unit` ("" for none): it has that one, or none of its own."""
    unit = unit.lower()
    found = quantity.unit
    return (
        not found
        or found in _FUNCTION
        or found == unit
        or (len(unit) > 3 and found + "s" == unit)  # "1 month" of months
        or found in _UNITS.get(unit, ())
        or found in unit.split("/")
    )


def parse_number(digits: str) -> float | None:
    """Return the number that `digits` spells with any separators, None where it may be two or is none.

    One separator before three digits is a thousands' where it is a comma or a space ("45,000"), and ambiguous
    where it is a point ("1.200"); of two kinds the last one is the decimal's ("1.200,50", "1,200.50").
    """
    sign = -1.0 if digits[:1] in "-\u2212" and digits else 1.0
    body = digits.lstrip("-\u2212+").rstrip(".,'")
    if not body or len(body) > 30 or not any(char.isdigit() for char in body):
        return None
    marks = [char for char in body if not char.isdigit()]
    if not marks:
        return sign * float(body)
    kinds = set(marks)
    if len(marks) == 1 and marks[0] in ".,":
        before, _, after = body.partition(marks[0])
        thousands = len(after) == 3 and 1 <= len(before) <= 3 and before.strip("0")
        if thousands and marks[0] == ".":
            return None
        return sign * float(before + after if thousands else f"{before or 0}.{after or 0}")
    if not _SEPARATED.fullmatch(body) or len(kinds) > 2:
        return None
    if len(kinds) == 1:
        return sign * float("".join(char for char in body if char.isdigit()))
    whole, _, decimals = body.rpartition(marks[-1])
    return sign * float("".join(char for char in whole if char.isdigit()) + "." + decimals)


def _singles(text: str) -> Iterator[Quantity | None]:
    """Yield each number of `text`, None for one that cannot be read."""
    for match in _TOKEN.finditer(text):
        if match["words"]:
            yield _spelt(match, text)
            continue
        value = parse_number(match["digits"])
        after = text[match.end() : match.end() + 1]
        if (
            value is None
            or not math.isfinite(value)
            or (after.isalpha() and not _attached(text, match.end()))
        ):
            yield None
            continue
        end = match.end("digits") - (len(match["digits"]) - len(match["digits"].rstrip(".,'")))
        if match["decade"]:
            end = match.end()
            if value % 10 or not 10 <= value <= 90:
                yield None
            else:
                yield _decade(text, value, match.start(), end)
            continue
        if match["scale"]:
            scale = match["scale"].lower()
            if scale == "m" and text[match.end("digits") : match.start("scale")]:
                scale = ""  # "34 m" is a man, "3m" are millions or metres
            elif scale == "m":  # "34m" is a man of 34; 3m may be millions or metres
                yield Quantity(value, value, match.start(), end, "m") if 10 <= value < 100 else None
                continue
            value, end = value * _SCALES.get(scale, 1.0), match.end() if scale else end
        yield Quantity(value, value, match.start(), end, _unit(text, match.start(), end))


def _attached(text: str, place: int) -> bool:
    """Tell whether the letters that follow a number at once are a unit (5mg, 34f), and no ordinal or code."""
    letters = re.compile(r"[^\W\d_]{1,6}(?![\w])").match(text, place)
    return letters is not None and letters[0].lower() not in ("st", "nd", "rd", "th")


def _spelt(match: re.Match[str], text: str) -> Quantity | None:
    words = re.findall(r"[a-z]+", match["words"].lower())
    if len(words) > 12:
        return None
    if words[-1] in _DECADES and len(words) == 1:
        return _decade(text, float(_DECADES[words[0]]), match.start(), match.end())
    value = _value(words)
    if value is None:
        return None
    return Quantity(value, value, match.start(), match.end(), _unit(text, match.start(), match.end()))


def _value(words: list[str]) -> float | None:
    """Return the number that `words` spell, None where they spell two ("nineteen forty") or none."""
    total, part, last = 0.0, None, 100.0
    for position, word in enumerate(words):
        if word in ("a", "an"):
            if position + 1 < len(words) and words[position + 1] == "half":
                total, part = total + (part or 0) + 0.5, None
                return total
            part = 1.0
        elif word in _DECADES:
            return None
        elif word in _WORDS:
            value = float(_WORDS[word])
            if part is not None and not ((last >= 20 and value < 10) or (last == 100 and value < 100)):
                return None
            part = (part or 0) + value
            last = value if value >= 20 else 0.0
        elif word == "hundred":
            part, last = (part or 1.0) * 100, 100.0
        elif word in _SCALES:
            total, part, last = total + (part or 1.0) * _SCALES[word], None, 100.0
    return total + (part or 0.0)


def _decade(text: str, value: float, start: int, end: int) -> Quantity:
    part = _PART.search(text[max(0, start - _REACH) : start])
    if part is None:
        low = 13.0 if value == 10 else value
        return Quantity(low, value + 9, start, end)
    first = _PARTS[part[1].lower()]
    last = _PARTS[part[2].lower()] if part[2] else first
    return Quantity(value + first[0], value + last[1], start - len(part[0]), end)


def _unit(text: str, start: int, end: int) -> str:
    after = _UNIT.match(text, end)
    if after:
        return after[1].lower()
    before = _MONEY.search(text[max(0, start - 2) : start])
    return before[0].strip() if before else ""


def _joined(text: str, one: Quantity, other: Quantity | None) -> Quantity | None:
    """Return the range from `one` to `other` where nothing but a dash or the like stands between them."""
    if other is None or not one.low <= other.low or not _RANGE.fullmatch(text[one.end : other.start]):
        return None
    between = text[one.end : other.start].strip().lower()
    before = text[max(0, one.start - _REACH) : one.start].lower().rstrip()
    if between == "and" and not before.endswith("between"):
        return None
    if between == "/" and one.low != other.low - 1:
        return None  # "24/7", "120/80"
    return Quantity(one.low, other.high, one.start, other.end, other.unit)


def _bounded(text: str, one: Quantity) -> Quantity:
    before = text[max(0, one.start - _REACH) : one.start]
    if one.low != one.high:
        return one
    if below := _BELOW.search(before):
        inclusive = below[0].strip().lower() in ("at most", "up to", "no more than")
        return one._replace(
            low=-math.inf, high=one.high if inclusive else math.nextafter(one.high, -math.inf)
        )
    if _NEARLY.search(before):
        width = max(1.0, abs(one.high) * 0.05)
        return one._replace(low=one.high - width, high=math.nextafter(one.high, -math.inf))
    if above := _ABOVE.search(before):
        inclusive = above[0].strip().lower() in ("at least", "no less than", "upwards of")
        return one._replace(low=one.low if inclusive else math.nextafter(one.low, math.inf), high=math.inf)
    return one
