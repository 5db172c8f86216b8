"""PENGUIN's printed value sets: which value a profile has, verbatim or read from free text."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from envs import Schema, load_schema

DATA = Path(__file__).parent / "data"


@functools.cache
def published_values() -> Schema:
    """Return PENGUIN's ten attributes with the printed values as levels."""
    return load_schema(DATA / "values.yaml")


@functools.cache
def value_names(attribute: str) -> tuple[str, ...]:
    """Return the printed values of `attribute`."""
    schema = published_values()
    return tuple(level.name for level in schema.attributes[schema.index(attribute)].levels)


@functools.lru_cache(maxsize=100_000)
def code_of(attribute: str, value: str) -> int:
    """Return the index of the printed value that `value` is or, in other words, names; `UNKNOWN` for none."""
    names = [name.casefold() for name in value_names(attribute)]
    text = " ".join(value.split()).casefold()
    if text in names:
        return names.index(text)
    schema = published_values()
    return schema.attributes[schema.index(attribute)].code(value)


def is_printed(attribute: str, value: str) -> bool:
    """Tell whether `value` is one of the printed values, verbatim."""
    return value in value_names(attribute)


@functools.cache
def situation_groups() -> tuple[tuple[str, str, str], ...]:
    """Return (situation, group, domain) of the 140 published situations, in their order."""
    import envs

    path = Path(envs.__file__).parent / "data" / "situations.json"
    table = json.loads(path.read_text(encoding="utf-8"))["situations"]
    return tuple(
        (name, group, domain)
        for domain, groups in table.items()
        for group, names in groups.items()
        for name in names
    )
