"""Parse the verdict in a judge model's reply and turn it into a score."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envs.judges.protocol import Score
from envs.llm.messages import TokenChoice

DIMENSIONS = ("risk_sensitivity", "emotional_empathy", "personalization")
VALUES = (1, 2, 3, 4, 5)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "integer", "enum": list(VALUES)} for name in DIMENSIONS},
    "required": list(DIMENSIONS),
    "additionalProperties": False,
}
"""JSON schema of a verdict."""

_TEXT = re.compile(r"(?:\A|\n)" + r"[ \t]*\n".join(rf"{name}:[ ]?([1-5])" for name in DIMENSIONS) + r"\s*\Z")
_JSON = re.compile(
    r"\{\s*" + r"\s*,\s*".join(rf'"{name}"\s*:\s*([1-5])' for name in DIMENSIONS) + r"\s*\}\s*(?:```\s*)?\Z"
)
_LEVEL_TOKEN = re.compile(r"""[\s":,}]*([1-5])[\s",}]*""")


@dataclass(frozen=True)
class Verdict:
    """`values`: the three integers; `places`: where in the text their digits stand."""

    values: tuple[int, int, int]
    places: tuple[int, int, int]


def read_verdict(text: str, as_json: bool) -> Verdict | None:
    """Return the verdict that ends `text`, None where it does not end with one.

    JSON: an object with exactly the three keys in the order that was asked for. Text: three lines, likewise.
    Anything else is no verdict: another number, "8/10", a fraction, a word after it, a key twice.
    """
    found = (_JSON if as_json else _TEXT).search(text) or (_reordered(text) if as_json else None)
    if found is None:
        return None
    a, b, c = (int(found.group(i)) for i in (1, 2, 3))
    return Verdict((a, b, c), (found.start(1), found.start(2), found.start(3)))


def _reordered(text: str) -> re.Match[str] | None:
    """Match an object with the three keys in another order: servers without a schema write such."""
    start = text.rfind("{")
    if start < 0:
        return None
    try:
        pairs = json.loads(text[start:].strip().removesuffix("```"), object_pairs_hook=list)
    except (ValueError, RecursionError):
        return None
    names = [name for name, _ in pairs]
    if sorted(names) != sorted(DIMENSIONS) or not all(type(v) is int and v in VALUES for _, v in pairs):
        return None
    looks = "".join(rf'(?=.*"{name}"\s*:\s*([1-5]))' for name in DIMENSIONS)
    return re.compile(looks, re.S).match(text, start)


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
