"""Users who answer in sentences: in other words, in part, evasively, past the question, or not at all."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np

from envs.checking.validation import FileModel, read_yaml
from envs.errors import UserError
from envs.scenario import Scenario
from envs.schema.attribute import UNKNOWN, Attribute
from envs.users.user import DECLINED, Reply, scenario_of

PHRASES = Path(__file__).parent.parent / "data" / "phrases.yaml"
MANNERS = ("paraphrased", "partial", "evasive", "off_topic", "declining")
"""Ways to answer in sentences, in the order of `SpokenUser`'s shares."""


class _Paraphrased(FileModel):
    generic: list[str]
    attributes: dict[str, dict[str, list[str]]]


class _Narrowing(FileModel):
    levels: list[str]
    says: list[str]


class _Partial(FileModel):
    generic: list[str]
    attributes: dict[str, list[_Narrowing]]


class _PhrasesFile(FileModel):
    paraphrased: _Paraphrased
    partial: _Partial
    evasive: list[str]
    off_topic: list[str]
    declining: list[str]
    small_numbers: list[str]
    tens: list[str]


@functools.cache
def _phrases() -> _PhrasesFile:
    found: _PhrasesFile = read_yaml(PHRASES, _PhrasesFile, "what users say")
    return found


def sentences() -> list[str]:
    """Return every sentence of the file, places for values as they are."""
    file = _phrases()
    own = [s for levels in file.paraphrased.attributes.values() for said in levels.values() for s in said]
    own += [s for rows in file.partial.attributes.values() for row in rows for s in row.says]
    generic = (file.paraphrased.generic, file.partial.generic, file.evasive, file.off_topic, file.declining)
    return [*own, *(s for said in generic for s in said)]


class SpokenUser:
    """Says in sentences of `data/phrases.yaml` what the profile holds, part of it, or nothing.

    `paraphrased`, `partial`, `evasive`, `off_topic`, `declining`: shares of the questions answered so, the
    rest with the profile's value as it is; a share of 1 leaves nothing to the others. What is paraphrased
    tells the level (without one, the words) of the value, what is partial narrows it down, the others tell
    nothing; what the profile lacks is declined. Manner and sentence follow from (seed, scenario id,
    attribute), so neither the order of questions nor anything else matters.

    Raises
    ------
    UserError
        a share outside [0, 1], or shares that add up to more than 1.
    """

    def __init__(
        self,
        paraphrased: float = 0.0,
        partial: float = 0.0,
        evasive: float = 0.0,
        off_topic: float = 0.0,
        declining: float = 0.0,
        seed: int = 0,
    ) -> None:
        shares = dict(zip(MANNERS, (paraphrased, partial, evasive, off_topic, declining), strict=True))
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise UserError(f"users.{name}: found {share}, expected a share of the questions, 0 to 1")
        if 1 in shares.values():
            shares = {name: float(share == 1) for name, share in shares.items()}
        if sum(shares.values()) > 1 + 1e-9:
            raise UserError(f"users: the shares add up to {sum(shares.values()):g}, expected at most 1")
        self.shares = shares
        self.seed = int(seed)

    def answer(self, scenario: Scenario | None, attribute: str, question: str) -> Reply:
        """Return the reply drawn for this question; declines what is missing in the profile."""
        scenario = scenario_of(scenario, "spoken")
        value = scenario.profile.get(attribute)
        if scenario.schema.is_missing(value):
            return DECLINED
        digest = hashlib.sha256(f"{self.seed}\0{scenario.id}\0{attribute}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
        draw, upto = rng.random(), np.cumsum(list(self.shares.values()))
        k = int(np.searchsorted(upto, draw, side="right"))
        if k == len(MANNERS):
            return Reply(str(value))
        kind = scenario.schema.attributes[scenario.schema.index(attribute)]
        return _spoken(MANNERS[k], kind, str(value), rng)


def _spoken(manner: str, kind: Attribute, value: str, rng: np.random.Generator) -> Reply:
    code, phrases = kind.code(value), _phrases()
    level = None if code == UNKNOWN else kind.levels[code].name
    if manner == "paraphrased":
        levels = phrases.paraphrased.attributes.get(kind.name, {})
        own = levels.get(level or "", phrases.paraphrased.generic)
        text = str(rng.choice(own)).format(value=value, spelt=_spelt(value))
        return Reply(text[:1].upper() + text[1:])
    if manner == "partial":
        rows = phrases.partial.attributes.get(kind.name, [])
        own = [s for row in rows if level in row.levels for s in row.says] or phrases.partial.generic
        return Reply(str(rng.choice(own)).format(part=_part(kind, code, value, rng)), "part")
    return Reply(str(rng.choice(getattr(phrases, manner))), "nothing")


def _part(kind: Attribute, code: int, value: str, rng: np.random.Generator) -> str:
    """Return two levels, the true one and a neighbour, or without levels the first half of the words."""
    if code != UNKNOWN and len(kind.levels) > 1:
        other = code + 1 if code + 1 < len(kind.levels) else code - 1
        first, second = rng.permutation([code, other]).tolist()
        return f"{kind.levels[first].name} or {kind.levels[second].name}"
    words = value.split()
    return " ".join(words[: max(1, len(words) // 2)])


def _spelt(value: str) -> str:
    """Return a whole number from 1 to 99 in words, anything else as it is."""
    if not value.isdecimal() or not 0 < int(value) < 100:
        return value
    tens, ones = divmod(int(value), 10)
    small = _phrases().small_numbers
    if tens < 2:
        return small[int(value)]
    return _phrases().tens[tens - 2] + (f"-{small[ones]}" if ones else "")
