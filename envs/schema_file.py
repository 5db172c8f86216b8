"""Read and check a YAML file of attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from envs.schema import Attribute, Level
from envs.validation import FileModel, read_yaml, validated

MAX_LEVELS = 127
"""Codes of levels are int8."""


class _Range(FileModel):
    min: float
    max: float

    @model_validator(mode="after")
    def _ordered(self) -> _Range:
        if self.min > self.max:
            raise ValueError(f"found min {self.min:g} above max {self.max:g}, expected min <= max")
        return self


def _named_levels(value: object) -> object:
    """Return a list of names as a mapping, each name its own phrase."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: [name] for name in value}
    if value is not None and not isinstance(value, dict):
        raise ValueError("expected a list of names, or a mapping of names to phrases or {min, max}")
    return value or {}


_Rule = Annotated[
    Annotated[_Range, Tag("range")] | Annotated[list[str], Tag("phrases")],
    Discriminator(
        lambda rule: {dict: "range", list: "phrases"}.get(type(rule)),
        custom_error_type="rule",
        custom_error_message="a list of phrases or {min, max}",
    ),
]


class _Row(FileModel):
    name: str = Field(pattern=r"\S")
    question: str = ""
    why: str = ""
    cost: float = Field(default=1.0, ge=0)
    sensitivity: int = Field(default=1, ge=1, le=5)
    levels: Annotated[dict[str, _Rule], BeforeValidator(_named_levels)] = Field(
        default={}, max_length=MAX_LEVELS
    )

    def attribute(self) -> Attribute:
        """Return the attribute; without a question its name makes one."""
        question = self.question or f"Could you tell me about your {self.name.lower()}?"
        levels = (
            Level(name, low=rule.min, high=rule.max)
            if isinstance(rule, _Range)
            else Level(name, phrases=tuple(rule))
            for name, rule in self.levels.items()
        )
        return Attribute(self.name, question, self.why, self.cost, self.sensitivity, tuple(levels))


def read_attributes(path: str | Path) -> list[Attribute]:
    """Return the attributes in the file; see `envs.schema.load_schema`."""
    rows = read_yaml(path, list[Any], "a list of attributes")
    return [validated(row, _Row, _place(path, i, row)).attribute() for i, row in enumerate(rows)]


def _place(path: str | Path, i: int, row: Any) -> str:
    name = row.get("name") if isinstance(row, dict) else None
    words = " ".join(name.split()) if isinstance(name, str) else ""
    return f"{path}: attribute {i}" + (f" ({words})" if words else "")
