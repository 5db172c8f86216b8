"""Which field or attribute a key of a file means: loosely by its letters, or as a mapping file says."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs.checking.json_values import ABSENT, JsonObject, RecordError, decode, from_python
from envs.errors import UserError
from envs.schema import Schema, penguin_schema

FIELDS = {
    "id": ("id", "scenarioid"),
    "domain": ("domain", "expertdomain"),
    "query": ("query", "hardquery", "userquery", "question", "prompt", "queryid"),
    "scenario": ("scenario", "situation"),
    "profile": ("profile", "userprofile", "attributes"),
    "queries": ("queries",),
    "metadata": ("metadata",),
}
"""Field -> its spellings in published files, without case, spaces and marks; the first one counts.

An attribute may stand beside the query with the profile's name before it: `User_Profile.Age`.
"""
_STRUCTURED = ("profile", "queries", "metadata")


def squash(name: str) -> str:
    """Letters and digits alone, so that spacing, case and the kind of apostrophe do not matter."""
    return re.sub(r"[\W_]+", "", name.casefold())


def listing(names: tuple[str, ...]) -> str:
    """Return the first ten of `names`, and how many more there are."""
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} or {len(names) - 10} more"


class Fields:
    """The fields of one record, whatever they are called there, and `others`: its further keys."""

    def __init__(self, found: dict[str, tuple[str, Any]], others: dict[str, Any]) -> None:
        self._found, self.others = found, others

    def has(self, field: str) -> bool:
        """Tell whether the record has `field`."""
        return field in self._found

    def get(self, field: str) -> Any:
        """Return the value, `ABSENT` where there is none."""
        return self._found.get(field, ("", ABSENT))[1]

    def name(self, field: str) -> str:
        """Return what the file calls `field`."""
        return self._found.get(field, (field, None))[0]


class Keys:
    """How the keys of a file are read.

    `schema`: whose attributes they may mean. `mapping`: key of the file -> attribute or field, None: ignored.
    Two attributes that differ in spacing or case alone are told apart by their exact names only.

    Raises
    ------
    UserError
        the mapping names something that is neither.
    """

    def __init__(self, schema: Schema, mapping: Mapping[str, str | None] | None = None) -> None:
        self.schema = schema
        self.mapping = dict(mapping or {})
        for key, target in self.mapping.items():
            if target is not None and target not in FIELDS and target not in schema.names:
                expected = f"one of {', '.join(FIELDS)}, an attribute, or null"
                raise UserError(f"scenarios.mapping: {key}: found {target!r}, expected {expected}")
        self._mapped = {squash(key): target for key, target in self.mapping.items()} | self.mapping
        loose: dict[str, str | None] = {}
        for name in schema.names:
            loose[squash(name)] = None if squash(name) in loose else name
        beside = {prefix + key: name for key, name in loose.items() for prefix in FIELDS["profile"]}
        self._attributes = beside | loose | {name: name for name in schema.names}
        self._fields = {spelling: field for field, spellings in FIELDS.items() for spelling in spellings}

    def attribute(self, key: str) -> str | None:
        """Return the attribute that `key` means, None for none."""
        mapped, target = self._target(key)
        if mapped:
            return target if target in self.schema.names else None
        return self._attributes[key] if key in self._attributes else self._attributes.get(squash(key))

    def _target(self, key: str) -> tuple[bool, str | None]:
        """Return whether the mapping has `key`, exactly or loosely, and what it means there."""
        for spelling in (key, squash(key)) if self._mapped else ():
            if spelling in self._mapped:
                return True, self._mapped[spelling]
        return False, None

    def fields(self, record: JsonObject) -> Fields:
        """Return the fields of `record`; text that holds JSON, as a table's cell does, is decoded."""
        found: dict[str, tuple[str, Any]] = {}
        ranks: dict[str, int] = {}
        others: dict[str, Any] = {}
        for key, value in record.items():
            spelling = squash(key)
            mapped, field = self._target(key)
            field = field if mapped else self._fields.get(spelling)
            if field not in FIELDS:
                if not mapped or field is not None:
                    others[key] = value
                continue
            rank = FIELDS[field].index(spelling) if spelling in FIELDS[field] else -1
            if field in found and rank >= ranks[field]:
                others[key] = value
                continue
            if field in found:
                others[found[field][0]] = found[field][1]
            found[field], ranks[field] = (key, _structure(field, key, value)), rank
        return Fields(found, others)

    def question(self, value: Any) -> Any:
        """Return the query that `value` is or has under a key: `{"query_id": text}`, or as text of that."""
        found = value
        if isinstance(value, str) and value.lstrip()[:1] == "{":
            try:
                found = _decoded(value, "a query")
            except RecordError:
                return value
        fields = self.fields(found) if isinstance(found, JsonObject) else None
        return fields.get("query") if fields is not None and fields.has("query") else value

    def near(self, key: str, record: Mapping[str, Any]) -> str | None:
        """Return the attribute that is not in `record` and that `key` may be a misspelling of."""
        if self._target(key)[0]:
            return None
        present = {self.attribute(own) for own in record}
        free = {squash(n): n for n in self.schema.names if n not in present}
        close = difflib.get_close_matches(squash(key)[:100], free, n=1)
        return free[close[0]] if close else None

    def refuse(self, key: str, position: int, record: Mapping[str, Any], name: str) -> None:
        """Refuse a key the schema does not have: dropping a misspelt attribute would plan without it.

        A schema may leave out some of PENGUIN's attributes on purpose; those are no misspellings, and what
        the mapping ignores is none either.
        """
        if self._target(key)[0] or squash(key) in {squash(own) for own in penguin_schema().names}:
            return
        near = self.near(key, record)
        if near is not None:
            raise RecordError(f"{name}: unknown attribute {key[:60]!r}, did you mean {near!r}")
        # A key that resembles no attribute may be a value in the wrong place: not repeated.
        raise RecordError(
            f"{name}: key {position}, of {len(key):,} characters, is no attribute, expected {self.expected()}"
        )

    def expected(self) -> str:
        """Return the attributes of the schema, and where others come from if nobody gave a file of them."""
        others = "; scenarios.attributes=FILE brings others" if self.schema == penguin_schema() else ""
        return f"{listing(self.schema.names)}{others}"


def read_mapping(path: str | Path) -> dict[str, str | None]:
    """Return the mapping in the YAML file `path`: key of the scenario file -> field, attribute or null.

    Raises
    ------
    UserError
        the file cannot be read, or holds something else.
    """
    from envs.checking.validation import read_yaml  # pydantic, which loading does without

    found: dict[str, str | None] = read_yaml(path, dict[str, str | None], "keys and what they mean")
    return found


def _structure(field: str, key: str, value: Any) -> Any:
    if field in _STRUCTURED and isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return _decoded(value, f"JSON in the column {key[:60]!r}")
    return value


def _decoded(text: str, expected: str) -> Any:
    """Return what JSON text stands for, or a Python literal, as pandas writes what is nested into CSV."""
    try:
        return decode(text.encode("utf-8", "surrogateescape"), expected)
    except RecordError:
        try:
            found = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            found = None
        if not isinstance(found, (dict, list)):
            raise
        return from_python(found)
