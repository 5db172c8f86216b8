"""One record of a scenario file: JSON text to `Scenario`, or the reason why not.

A reason names the field, what was found as a type or a length, and what was expected. It never holds a
value: the files are about people.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.scenario import DOMAINS, Profile, Scenario
from envs.schema import Schema, is_missing, penguin_schema

MAX_ID = 200
"""Characters of an id."""
MAX_QUERY = 8_000
"""Characters of a query."""
MAX_VALUE = 4_000
"""Characters of an attribute's value."""

_JSONL_SHAPE = "an object with id, domain, query and profile"
_PENGUIN_SHAPE = "an object with Scenario, User_Profile and Queries"


@dataclass(frozen=True)
class BadRecord:
    """A record that gives no scenario.

    `place`: `line 7` (JSONL, from 1), `index 3` or `index 3 query 4` (PENGUIN layout, both from 0).
    `scenario_id`: its id where it has a usable one. `reason`: field, what was found, what was expected.
    """

    place: str
    scenario_id: str | None
    reason: str


class RecordError(ValueError):
    """Why a record cannot be used, in one line without values."""


class _Object(dict[str, Any]):
    """A JSON object that remembers a key which occurred twice."""

    twice: str | None = None


class _Number(str):
    """A JSON number as the file spells it (`34` stays `34`, whatever its length)."""

    __slots__ = ()


class _NotFinite:
    """NaN or Infinity, which JSON does not have but Python's parser reads."""


_ABSENT = object()


def _pairs(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        made.twice = next(key for key in keys if keys.count(key) > 1)
    return made


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=_Number,
    parse_float=_Number,
    parse_constant=lambda _: _NotFinite(),
)


def decode(data: bytes, expected: str, *, one_line: bool = True) -> Any:
    """Return the JSON value of `data`; RecordError tells where it stops being UTF-8 or JSON."""
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        problem = f"not UTF-8 at {'' if one_line else f'line {line} '}byte {column}"
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if one_line else f"line {error.lineno} column {error.colno}"
        problem = f"not valid JSON at {where}"
    except RecursionError:
        problem = "JSON nested too deeply"
    raise RecordError(f"{problem}, expected {expected}")


def jsonl_scenario(data: bytes, place: str, schema: Schema) -> Scenario | BadRecord:
    """Return the scenario of one line `{"id", "domain", "query", "profile"}`, or what is wrong with it."""
    scenario_id = None
    try:
        record = _object(decode(data, "one complete object on each line"), "", _JSONL_SHAPE)
        scenario_id = _identifier(record.get("id", _ABSENT))
        domain = record.get("domain", _ABSENT)
        if type(domain) is not str or domain not in DOMAINS:
            raise RecordError(f"field domain: found {_kind(domain)}, expected one of {', '.join(DOMAINS)}")
        query = _text(record.get("query", _ABSENT), "field query", MAX_QUERY)
        profile = _profile(record.get("profile", _ABSENT), "field profile", schema)
    except RecordError as error:
        return BadRecord(place, scenario_id, str(error))
    return Scenario(scenario_id, domain, query, profile, schema)


def penguin_scenarios(record: Any, index: int, schema: Schema) -> Iterator[Scenario | BadRecord]:
    """Yield a scenario, or what is wrong with it, for each query of one record of the PENGUIN layout.

    A bad profile spoils every query of the record, a bad query only itself.
    """
    place, queries = f"index {index}", None
    try:
        record = _object(record, "", _PENGUIN_SHAPE)
        queries = record.get("Queries", _ABSENT)
        if not isinstance(queries, list) or not queries:
            found, queries = _kind(queries), None
            raise RecordError(f"field Queries: found {found}, expected a list of one or more questions")
        domain = _domain(record.get("Scenario"))
        profile = _profile(record.get("User_Profile", _ABSENT), "field User_Profile", schema, {"Scenario"})
    except RecordError as error:
        ids = [None] if queries is None else [f"{index:05d}-{i:02d}" for i in range(len(queries))]
        yield from (BadRecord(place, scenario_id, str(error)) for scenario_id in ids)
        return
    for i, query in enumerate(queries):
        scenario_id = f"{index:05d}-{i:02d}"
        try:
            query = _text(query, f"field Queries[{i}]", MAX_QUERY)
        except RecordError as error:
            yield BadRecord(f"{place} query {i}", scenario_id, str(error))
        else:
            yield Scenario(scenario_id, domain, query, profile, schema)


@functools.cache
def situations() -> dict[str, str]:
    """Return the domain of each of the 140 situation names of PENGUIN (`data/situations.json`)."""
    table = json.loads((Path(__file__).parent / "data" / "situations.json").read_text(encoding="utf-8"))
    return {
        name: domain
        for domain, groups in table["situations"].items()
        for names in groups.values()
        for name in names
    }


@functools.cache
def _domain_by_key() -> dict[str, str]:
    return {_squash(name): domain for name, domain in situations().items()}


def _squash(name: str) -> str:
    """Letters and digits alone, so that spacing, case and the kind of apostrophe do not matter."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _domain(name: Any) -> str:
    if name is None:
        return "other"
    if type(name) is not str:
        raise RecordError(f"field Scenario: found {_kind(name)}, expected the name of a situation")
    return _domain_by_key().get(_squash(name), "other")


def _object(value: Any, name: str, expected: str) -> _Object:
    prefix = f"{name}: " if name else ""
    if not isinstance(value, _Object):
        raise RecordError(f"{prefix}found {_kind(value)}, expected {expected}")
    if value.twice is not None:
        position = list(value).index(value.twice) + 1
        raise RecordError(f"{prefix}found key {position} twice in one object, expected distinct keys")
    return value


def _identifier(value: Any) -> str:
    text = _text(value, "field id", MAX_ID)
    if not text.isprintable():
        raise RecordError("field id: found control characters, expected printable text")
    return text


def _text(value: Any, name: str, longest: int) -> str:
    if type(value) is not str or not value.strip():
        raise RecordError(f"{name}: found {_kind(value)}, expected text that is not blank")
    if len(value) > longest:
        raise RecordError(f"{name}: found {_kind(value)}, expected at most {longest}")
    if not value.isascii() and re.search("[\ud800-\udfff]", value):
        raise RecordError(f"{name}: found half of a surrogate pair, expected text that UTF-8 can hold")
    return value


def _profile(
    value: Any, name: str, schema: Schema, ignored: frozenset[str] | set[str] = frozenset()
) -> Profile:
    """Return the values that exist, in schema order; numbers as their text."""
    profile = _object(value, name, "an object of attributes and values")
    known = set(schema.names)
    for position, key in enumerate(profile, 1):
        if key not in known and key not in ignored:
            _check_foreign(key, position, profile, name, schema)
    present = [attribute for attribute in schema.names if attribute in profile]
    if not present:
        raise RecordError(
            f"{name}: found no attribute of the schema, expected some of {_listing(schema.names)}"
        )
    values = {attribute: _value(profile[attribute], f"{name}.{attribute}") for attribute in present}
    return Profile({attribute: text for attribute, text in values.items() if text is not None})


def _value(value: Any, name: str) -> str | None:
    if is_missing(value):
        return None
    if isinstance(value, _Number):
        if not math.isfinite(float(value)) or len(value) > MAX_VALUE:
            raise RecordError(f"{name}: found a number out of range, expected text, a number or null")
        return str(value)
    if not isinstance(value, str):
        raise RecordError(f"{name}: found {_kind(value)}, expected text, a number or null")
    return _text(value, name, MAX_VALUE)


def _check_foreign(key: str, position: int, profile: _Object, name: str, schema: Schema) -> None:
    """Refuse a key the schema does not have: dropping a misspelt attribute would plan without it.

    A schema may leave out some of PENGUIN's attributes on purpose; those are no misspellings.
    """
    free = {_squash(n): n for n in schema.names if n not in profile}
    if key in penguin_schema().names and _squash(key) not in free:
        return
    close = difflib.get_close_matches(_squash(key)[:100], free, n=1)
    if close:
        raise RecordError(f"{name}: unknown attribute {key[:60]!r}, did you mean {free[close[0]]!r}")
    # A key that resembles no attribute may be a value in the wrong place: not repeated.
    raise RecordError(f"{name}: key {position} is no attribute, expected {_listing(schema.names)}")


def _listing(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} or {len(names) - 10} more"


def _kind(value: Any) -> str:
    """Tell what a JSON value is, without telling it."""
    if value is _ABSENT:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, _Number):
        return "a number"
    if isinstance(value, str):
        return f"text of {len(value)} characters" if value.strip() else "blank text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"an object of {len(value)} keys" if isinstance(value, dict) else "NaN or Infinity"
