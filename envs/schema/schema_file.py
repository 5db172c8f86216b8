"""Read, check and write a YAML file of attributes."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from envs.checking.validation import FileModel, as_yaml, read_yaml, validated
from envs.errors import UserError
from envs.schema.attribute import Attribute, Level
from envs.schema.schema import DOMAINS, MISSING, Schema

MAX_LEVELS = 127
"""Codes of levels are int8."""
YES_NO = {"no": ("no", "false", "never"), "yes": ("yes", "true")}
"""Levels of a boolean attribute without levels of its own, and their phrases."""


def yes_or_no(value: object) -> object:
    """Return YAML's and JSON's true and false as the words yes and no, anything else as it is."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


Words = Annotated[str, BeforeValidator(yes_or_no)]


_End = Annotated[float, Field(allow_inf_nan=True)]


class _Range(FileModel):
    min: _End = -math.inf
    max: _End = math.inf
    phrases: tuple[Words, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _ordered(self) -> _Range:
        if not self.model_fields_set & {"min", "max"}:
            raise ValueError("found neither min nor max, expected one of them or both")
        if not self.min <= self.max:
            raise ValueError(f"found min {self.min:g} above max {self.max:g}, expected min <= max")
        return self


def _named_levels(value: object) -> object:
    """Return a list of names as a mapping, each name its own phrase."""
    if isinstance(value, list) and all(isinstance(yes_or_no(name), str) for name in value):
        return {yes_or_no(name): [name] for name in value}
    if value is not None and not isinstance(value, dict):
        raise ValueError("expected a list of names, or a mapping of names to phrases or {min, max}")
    return {yes_or_no(name): rule for name, rule in (value or {}).items()}


_Rule = Annotated[
    Annotated[_Range, Tag("range")] | Annotated[list[Words], Tag("phrases")],
    Discriminator(
        lambda rule: {dict: "range", list: "phrases"}.get(type(rule)),
        custom_error_type="rule",
        custom_error_message="a list of phrases or {min, max}",
    ),
]


_TERMS = {
    "{am}": r"\b(?:i'?m|i am|iam|i've been|i have been|am|being|as|(?<!had )(?<!has )been|we'?re both|"
    r"we are both)(?: (?:just|now|still|only|currently|"
    r"already|also|really|very|so|pretty|quite|actually|basically|officially|recently|newly|freshly|happily|"
    r"a bit|kinda|honestly|technically))*",
    "{my}": r"\b(?:my|our)",
}
"""What stands for itself in patterns of `reads`: how people begin to speak of themselves."""
_DENIALS = (
    "not|no|never|cant|can't|cannot|dont|don't|didn't|isn't|wasn't|hardly|ain't|without|nor|than|of|to|if|that|"
    "like|afraid|scared|worried|my|your|his|her|their|our|who|whose|because|with|for|by|from|about|seeing|dating|"
    "marrying|raising|missing|visiting|meeting|calling|near|against"
)


def expanded(pattern: str, phrases: Sequence[str] = ()) -> str:
    """Return `pattern` with {am}, {my} and {phrases} in their places.

    `phrases`: those of its level. Any word in the pattern is any but a denial, or one that begins to speak of
    somebody else.
    """
    named = "|".join(re.escape(phrase).replace(r"\*", r"\w*") for phrase in phrases)
    for term, own in {**_TERMS, "{phrases}": f"(?:{named})"}.items():
        pattern = pattern.replace(term, own)
    filler = rf"(?:(?!(?:{_DENIALS})\b)[\w#'-]+ )"
    return pattern.replace(r"(?:\w+ )", filler).replace(r"(?:[\w-]+ )", filler)


class _AttributeRow(FileModel):
    name: str = Field(pattern=r"\S")
    question: str = ""
    reworded: str = ""
    why: str = ""
    cost: float = Field(default=1.0, ge=0)
    sensitivity: int = Field(default=1, ge=1, le=5)
    unit: str = ""
    type: Literal["boolean"] | None = None
    past: bool = False
    reads: dict[Words, list[str]] = Field(default={})
    levels: Annotated[dict[str, _Rule], BeforeValidator(_named_levels)] = Field(
        default={}, max_length=MAX_LEVELS
    )

    def attribute(self) -> Attribute:
        levels = tuple(_level(name, rule) for name, rule in self.levels.items())
        if self.type == "boolean" and not levels:
            levels = tuple(Level(name, phrases) for name, phrases in YES_NO.items())
        own = {name: getattr(self, name) for name in type(self).model_fields}
        del own["type"]
        named = {level.name: level.phrases for level in levels}
        reads = tuple(
            (level, tuple(expanded(pattern, named.get(level, ())) for pattern in patterns))
            for level, patterns in self.reads.items()
        )
        return Attribute(**{**own, "levels": levels, "reads": reads})

    @model_validator(mode="after")
    def _reads_levels(self) -> _AttributeRow:
        names = self.levels or (YES_NO if self.type else {})
        for level, patterns in self.reads.items():
            if level not in (*names, "number"):
                raise ValueError(f"reads: found {level!r}, expected number or one of {', '.join(names)}")
            for pattern in patterns:
                if fault := _fault(expanded(pattern.removeprefix("?"))):
                    raise ValueError(f"reads.{level}: a pattern {fault}")
        return self


@functools.cache
def _fault(pattern: str) -> str | None:
    """Say what is wrong with a regular expression; some commands read a schema of hundreds again."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        try:
            re.compile(pattern)
        except re.error:
            return "is no regular expression"
        except FutureWarning:
            return (
                "has within [...] a [, or two of - & ~ |, which later versions of Python may read otherwise: "
                "put \\ before them"
            )
    return None


def _level(name: str, rule: _Range | list[str]) -> Level:
    if isinstance(rule, list):
        return Level(name, phrases=tuple(rule))
    return Level(name, rule.phrases, rule.min, rule.max)


class _File(FileModel):
    attributes: list[Any]
    domains: list[str] | None = None
    missing: list[str] | None = None


def read_schema(path: str | Path) -> Schema:
    """Return the schema in the file; see `envs.schema.load_schema`."""
    content = read_yaml(path, Any, "a list of attributes")
    if not isinstance(content, dict) or "attributes" not in content:
        content = {"attributes": validated(content, list[Any], str(path))}
    file = validated(content, _File, str(path))
    rows = [
        validated(row, _AttributeRow, _place(path, i, row)).attribute()
        for i, row in enumerate(file.attributes)
    ]
    domains = DOMAINS if file.domains is None else file.domains
    missing = MISSING if file.missing is None else file.missing
    try:
        return Schema(rows, domains, missing)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _place(path: str | Path, i: int, row: Any) -> str:
    name = row.get("name") if isinstance(row, dict) else None
    words = " ".join(name.split()) if isinstance(name, str) else ""
    return f"{path}: attribute {i}" + (f" ({words})" if words else "")


def write_schema(path: str | Path, schema: Schema) -> None:
    """Write `schema` as a file that reads as the very same schema; of a part, its whole is written."""
    whole = schema.whole
    content = {
        "domains": list(whole.domains),
        "missing": sorted(whole.missing),
        "attributes": [_row(attribute) for attribute in whole.attributes],
    }
    Path(path).write_text(as_yaml(content), encoding="utf-8")


def _row(attribute: Attribute) -> dict[str, Any]:
    """Return the keys of an attribute in a file; what is as by default is left out."""
    found = {
        field.name: _plain(value)
        for field in dataclasses.fields(attribute)
        if field.name != "levels" and (value := getattr(attribute, field.name)) != field.default
    }
    levels = {level.name: _rule(level) for level in attribute.levels}
    return {**found, "levels": levels} if levels else found


def _plain(value: Any) -> Any:
    """Return a field as YAML has it: pairs of a name and what belongs to it become a mapping."""
    if isinstance(value, tuple):
        return {name: list(rest) for name, rest in value}
    return float(value) if isinstance(value, float) else value


def _rule(level: Level) -> list[str] | Mapping[str, Any]:
    if level.low > level.high:
        return list(level.phrases)
    ends = {"min": float(level.low), "max": float(level.high)}
    found = {name: end for name, end in ends.items() if math.isfinite(end)} or ends
    return {**found, "phrases": list(level.phrases)} if level.phrases else found
