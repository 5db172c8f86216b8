"""Parse the verdict in a judge model's reply and turn it into a score."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from envs.checking.json_values import object_schema
from envs.judges.protocol import Score
from envs.judges.verdicts.verdict_context import is_of_something_else, without_suppositions
from envs.judges.verdicts.verdict_lists import given, in_columns, in_rows
from envs.judges.verdicts.verdict_markup import flattened
from envs.judges.verdicts.verdict_words import (
    DIMENSIONS,
    LEVEL_WORD,
    NAME,
    NUMBERS,
    OR,
    SOMETHING_ELSE,
    STARS,
    level_at,
)
from envs.llm.messages import TokenChoice

VALUES = (1, 2, 3, 4, 5)

SCHEMA: dict[str, Any] = object_schema(
    **{name: {"type": "integer", "enum": list(VALUES)} for name in DIMENSIONS}
)
"""JSON schema of a verdict."""

JUSTIFIED_SCHEMA: dict[str, Any] = object_schema(**SCHEMA["properties"], rationale={"type": "string"})
"""The same with the reasons, behind the numbers, which so do not depend on them."""

Parse = Literal["clear", "strict"]

_LINES = re.compile(r"\s*" + r"[ \t]*\r?\n".join(rf"{name}:[ ]?([1-5])" for name in DIMENSIONS) + r"\s*")
_OBJECT = re.compile(
    r"\s*(?:```(?:json)?\s*)?\{\s*"
    + r"\s*,\s*".join(rf'"{name}"\s*:\s*([1-5])' for name in DIMENSIONS)
    + r"\s*\}\s*(?:```\s*)?"
)
_QUOTES = r"[\"'`*_\\ \t]"  # what is struck out by ~~ is no level
_STARS = r"(?:[\u2605\u2606\u2b50]{1,5}[ \t]*\(?)?"  # beside a number they only repeat it
_ANCHOR = r"(?:[=:\u2013\u2014-]|means\b|\()"
_TWO_ANCHORS = rf"[1-5] ?{_ANCHOR}[^\n]*\b[1-5] ?{_ANCHOR}"  # of the rubric: they say nothing of this answer
_STATED = (
    rf"(?!{_TWO_ANCHORS})(?:[-+]?[\d.]|(?:none|n/?a|nan|true|false|six)\b(?!-)"
    rf"|(?:{'|'.join(NUMBERS[0])})(?![\w-])|{LEVEL_WORD}|{STARS})"
)
_NEXT_LINE = (  # where a level stands alone
    rf"{_QUOTES}*:?[*_`]*[ \t]*\r?\n\s*[*_`]*(?=[1-5](?:\.0+)?(?: ?/ ?5)?[*_`]*[ \t]*(?:\r?\n|$))"
)
_SCALE = rf"1 ?(?:-|\u2013|~|{OR}) ?5|1 ?[=:][^()\n]*[,;][^()\n]*\b5 ?[=:]"
_ELSE = rf"\W*(?:if|with|{SOMETHING_ELSE})\b"
_RANGE = rf"(?:{_QUOTES}*\((?!{_ELSE})(?:[^()\n\d]*(?:{_SCALE})[^()\n\d]*|[^()\n\d]*)\))?"
_GIVES = r"is|was|gets|scores|earns|receives|deserves|merits|rates|comes (?:in|out) at|stands at|sits at"
_AT_ONCE = re.compile(
    rf"{_RANGE}[)\]]?{_QUOTES}*(?:(?:score|rating|level|value){_QUOTES}*)?"
    rf"(?:(?:=>|[:=]\s*|\.{{2,}}|\|\|?|[>(\u2192]|-+>?|\u2013|\u2014|\b(?:{_GIVES})\b(?: an?\b)?)"
    rf"{_QUOTES}*(?:\[\[?|level )?{_STARS}"
    rf"|[ \t]+\[?(?=(?:[1-5](?: ?/ ?5)?|{STARS})\]?[ \t]*(?:\r?\n|$)))"
    rf"(?={_STATED})"
    rf"|{_NEXT_LINE}"
    rf"|[^.;,:{{}}\n\d]{{0,40}}?\bat (?:an? [a-z]+ )?(?=[1-5] ?(?:/|out of) ?5)",
    re.I,
)
_SCORE = re.compile(
    rf"(?<![a-z])(?:score|rating|level|value|points|grade){_QUOTES}*(?:[:=|>]|\bis\b|\bof\b){_QUOTES}*"
    rf"(?={_STATED})",
    re.I,
)
_TWO_CELLS = re.compile(
    rf"{_QUOTES}*\|{_QUOTES}*([1-5]){_QUOTES}*\|{_QUOTES}*(?!\1)[1-5]{_QUOTES}*(?:\||\r?$)", re.M
)
_FLAT = re.compile(r"\{[^{}]*\}")
_BRACE = re.compile(r"\s*(?:```(?:json)?\s*)?\{")
_KEY = re.compile(rf'(?<!\\)"({"|".join(DIMENSIONS)})"\s*:\s*"?')
_MARKUP = re.compile(r"[\s>*#_\-\u2022|\d.()\"'`]*")
_BELOW = re.compile(
    rf"[*_:\s]*\n\s*[*\-]*{_QUOTES}*(?:score|rating|mark){_QUOTES}*:{_QUOTES}*(?={_STATED})", re.I
)
_TOTAL = re.compile(rf"^{_QUOTES}*total[^\d\n]*(\d+)", re.I | re.M)
_MARK, _LONE = re.compile(r"[1-5]/5\b"), re.compile(r"[1-5](?![\d./])")
_LEVEL_TOKEN = re.compile(r"""[\s":,}]*([1-5])[\s",}]*""")


@dataclass(frozen=True)
class Verdict:
    """`values`: the three integers; `places`: where in the text their digits stand."""

    values: tuple[int, int, int]
    places: tuple[int, int, int]


@functools.lru_cache(maxsize=64)  # a reply is read when it comes, and again when it is scored
def read_verdict(text: str, parse: Parse = "clear") -> Verdict | None:
    """Return the one verdict in `text`, None where there is none, or more than one.

    `clear`: each dimension is named and followed by a level, in any of the ways models write it: lines, JSON,
    nested, in a table, CSV, LaTeX; `4`, "4", 4.0, 4/5, 4 out of 5, with words around. All that names a
    dimension counts, wherever it stands: two different levels for one, or one that was not offered (0, 4.5,
    8/10, null), are no verdict. `strict`: nothing but what was asked for, the object or the three lines.
    """
    found = _strict(text)
    if parse == "strict" or found is not None:
        return found
    text = flattened(text)
    rows, rest = in_rows(without_suppositions(text))
    found = _agreed(text, [*rows, *_statements(rest), *in_columns(rest), *given(text)])
    return None if found is None or is_of_something_else(text, found.places) else found


@functools.lru_cache(maxsize=64)
def read_justified(text: str, parse: Parse = "clear", marks: bool = False) -> Verdict | None:
    """Return the one verdict in `text` that gives reasons beside its levels, None where there is none.

    Only what stands where a verdict does counts: a name that begins a line, or a key of an object; what the
    reasons say of a dimension is no second verdict. `strict`: each level is written as was asked for (with
    `marks` X/5, else a digit), and a total, where there is one, is their sum.
    """
    text = flattened(text)
    found = _agreed(text, _keys(text) if _BRACE.match(text) else _line_beginnings(text) or in_columns(text))
    if found is None or parse == "clear":
        return found
    total = _TOTAL.search(text)
    adds_up = total is None or int(total[1]) == sum(found.values)
    form = _MARK if marks else _LONE
    return found if adds_up and all(form.match(text, place) for place in found.places) else None


def _keys(text: str) -> list[tuple[str, int | None]]:
    """Return (dimension, where its value begins) of each key of an object that names one."""
    return [(key[1], key.end()) for key in _KEY.finditer(text)]


def _line_beginnings(text: str) -> list[tuple[str, int | None]]:
    """Return (dimension, where its level begins) of each line that begins with one and states a level.

    The level may also stand at the beginning of the next line, as `score: ...`.
    """
    found: list[tuple[str, int | None]] = []
    for name in NAME.finditer(text):
        before = text[text.rfind("\n", 0, name.start()) + 1 : name.start()]
        if _MARKUP.fullmatch(before):
            stated = _AT_ONCE.match(text, name.end()) or _BELOW.match(text, name.end())
            if stated:
                place = None if _TWO_CELLS.match(text, name.end()) else stated.end()
                found.append((DIMENSIONS[(name.lastindex or 1) - 1], place))
    return found


def _agreed(text: str, statements: Sequence[tuple[str, int | None]]) -> Verdict | None:
    """Return what `statements`, (dimension, where its level begins), say together; None: no one verdict."""
    found: dict[str, tuple[int, int]] = {}
    for name, value in statements:
        level = None if value is None else level_at(text, value)
        if level is None or value is None or found.get(name, (level, 0))[0] != level:
            return None
        found.setdefault(name, (level, value))
    if found.keys() != set(DIMENSIONS):
        return None
    (a, p), (b, q), (c, r) = (found[name] for name in DIMENSIONS)
    return Verdict((a, b, c), (p, q, r))


def _strict(text: str) -> Verdict | None:
    found = _OBJECT.fullmatch(text) or _LINES.fullmatch(text)
    if found is None:
        return None
    a, b, c = (int(found.group(i)) for i in (1, 2, 3))
    return Verdict((a, b, c), (found.start(1), found.start(2), found.start(3)))


def _statements(text: str) -> list[tuple[str, int | None]]:
    """Return (dimension, where what is said of its level begins, None = it is unclear what) of each mention.

    A level follows the name at once, or as `score: ...` before the next name; in a flat object that holds one
    name and one score it may stand before the name. A mention without either says nothing.
    """
    names = list(NAME.finditer(text))
    inside = {}
    for flat in _FLAT.finditer(text):
        own = [m.start() for m in names if flat.start() < m.start() < flat.end()]
        scores = list(_SCORE.finditer(text, flat.start(), flat.end()))
        if len(own) == len(scores) == 1:
            inside[own[0]] = scores[0].end()
    found: list[tuple[str, int | None]] = []
    for name, following in zip(names, [*names[1:], None], strict=False):
        dimension = DIMENSIONS[(name.lastindex or 1) - 1]
        end = len(text) if following is None else following.start()
        at_once = _AT_ONCE.match(text, name.end(), end)
        if at_once:
            # Levels of two answers, or a weight beside the level: which one is it?
            of_two = _TWO_CELLS.match(text, name.end(), end)
            found.append((dimension, None if of_two else at_once.end()))
        elif name.start() in inside:
            found.append((dimension, inside[name.start()]))
        elif score := _SCORE.search(text, name.end(), end):
            # Of objects that put the score first, the next one's would be taken for this one's.
            crossed = "}" in text[name.end() : score.start()]
            found.append((dimension, None if crossed else score.end()))
    return found


def plain_score(verdict: Verdict) -> Score:
    """Return the verdict's integers as a `Score`."""
    risk, empathy, personal = map(float, verdict.values)
    return Score(risk, empathy, personal)


def expected_score(
    verdict: Verdict, text: str, tokens: Sequence[TokenChoice], min_mass: float
) -> tuple[Score, float]:
    """Return the probability-weighted means over 1 to 5, and the least probability mass on them.

    For each dimension, with p(v) the probability of the tokens that say v where the digit stands,
    score = sum_v v p(v) / mass, mass = sum_v p(v). A mass below `min_mass` in any dimension is unscored
    (`low_mass`): then most of what the model could have said was no verdict. Tokens that do not
    spell the text are unscored as `logprobs`.
    """
    ends = _token_ends(text, tokens)
    if ends is None:
        return Score(reason="logprobs"), math.nan
    means, masses = [], []
    for place in verdict.places:
        index = next(i for i, end in enumerate(ends) if end > place)
        weights = dict.fromkeys(VALUES, 0.0)
        for alternative, logprob in tokens[index].top:
            level = _LEVEL_TOKEN.fullmatch(alternative)
            if level is not None and logprob <= 1e-6:  # a log probability above 0 is none
                weights[int(level[1])] += math.exp(logprob)
        mass = sum(weights.values())
        masses.append(mass)
        means.append(sum(v * p for v, p in weights.items()) / mass if mass > 0 else math.nan)
    least = min(masses)
    if not least >= min_mass:
        return Score(reason="low_mass"), least
    risk, empathy, personal = (min(5.0, max(1.0, mean)) for mean in means)
    return Score(risk, empathy, personal), least


def _token_ends(text: str, tokens: Sequence[TokenChoice]) -> list[int] | None:
    """Return where in `text` each token ends, None where the tokens do not spell it."""
    spelled = "".join(token.text for token in tokens)
    start = spelled.rfind(text)  # the last: thoughts before it may hold drafts
    if start < 0:
        return None
    ends, place = [], -start
    for token in tokens:
        place += len(token.text)
        ends.append(place)
    return ends
