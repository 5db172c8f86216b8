"""One record of a scenario file: JSON text to `Scenario`, or the reason why not.

A reason names the field, what was found as a type or a length, and what was expected. It never holds a
value: the files are about people.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.checking.json_values import (
    ABSENT,
    JsonNumber,
    JsonObject,
    RecordError,
    as_object,
    as_text,
    kind,
    plain,
)
from envs.loading.keys_of_files import Fields, Keys, squash
from envs.scenario import Profile, Scenario
from envs.schema import Schema

MAX_ID = 200
"""Characters of an id."""
MAX_QUERY = 8_000
"""Characters of a query."""
MAX_VALUE = 4_000
"""Characters of an attribute's value."""

OWN_SHAPE = "an object with id, domain, query and profile"
FLAT_SHAPE = "an object with a query and attributes"
PENGUIN_SHAPE = "an object with Scenario, User_Profile and Queries"


@dataclass(frozen=True)
class BadRecord:
    """A record that gives no scenario.

    `place`: `line 7` (JSONL, from 1), `index 3` or `index 3 query 4` (PENGUIN layout, both from 0).
    `scenario_id`: its id where it has a usable one. `reason`: field, what was found, what was expected.
    """

    place: str
    scenario_id: str | None
    reason: str


def own_scenario(record: JsonObject, place: str, keys: Keys) -> Scenario | BadRecord:
    """Return the scenario of a record `{"id", "domain", "query", "profile"}`, or what is wrong with it.

    `metadata`, any JSON object, may stand beside them.
    """
    schema, scenario_id = keys.schema, None
    try:
        fields = keys.fields(as_object(record, "", OWN_SHAPE))
        scenario_id = _identifier(_numbered(fields.get("id")))
        domain = fields.get("domain")
        if type(domain) is not str or domain not in schema.domains:
            raise _no_domain(fields, schema)
        query = as_text(keys.question(fields.get("query")), "field query", MAX_QUERY)
        profile = _profile(fields.get("profile"), "field profile", keys)
        metadata = _metadata(fields)
    except RecordError as error:
        return BadRecord(place, scenario_id, str(error))
    return Scenario(scenario_id, domain, query, profile, schema, metadata)


def penguin_scenarios(record: Any, place: str, index: int, keys: Keys) -> Iterator[Scenario | BadRecord]:
    """Yield a scenario, or what is wrong with it, for each query of one record of the PENGUIN layout.

    A bad profile spoils every query of the record, a bad query only itself.
    """
    schema, queries = keys.schema, None
    try:
        fields = keys.fields(as_object(record, "", PENGUIN_SHAPE))
        queries = fields.get("queries")
        if isinstance(queries, JsonObject):
            queries = list(queries.values())  # numbered
        if not isinstance(queries, list) or not queries:
            found, queries = kind(queries), None
            raise RecordError(f"field Queries: found {found}, expected a list of one or more questions")
        inner = fields.get("profile")
        if inner is ABSENT:
            inner = _attributes_of(fields.others, keys)[0] or ABSENT
        named = fields.get("scenario")
        if named is ABSENT and isinstance(inner, JsonObject):
            named = next((own for key, own in inner.items() if squash(key) == "scenario"), ABSENT)
        domain = domain_of(None if named is ABSENT else named, schema)
        profile = _profile(inner, "field User_Profile", keys, {"scenario"})
        metadata = _metadata(fields)
    except RecordError as error:
        ids = [None] if queries is None else [f"{index:05d}-{i:02d}" for i in range(len(queries))]
        yield from (BadRecord(place, scenario_id, str(error)) for scenario_id in ids)
        return
    for i, query in enumerate(queries):
        scenario_id = f"{index:05d}-{i:02d}"
        try:
            query = as_text(keys.question(query), f"field Queries[{i}]", MAX_QUERY)
        except RecordError as error:
            yield BadRecord(f"{place} query {i}", scenario_id, str(error))
        else:
            yield Scenario(scenario_id, domain, query, profile, schema, metadata)


def flat_scenario(
    record: Any, place: str, index: int, keys: Keys, folder: str | None
) -> Scenario | BadRecord:
    """Return the scenario of a record whose attributes stand beside its query, or under `attributes` (AIDMS).

    Without an id it is numbered. The domain is that of the field `domain`, else of the situation, else of the
    key over its list or the `folder` that holds the file, as the published real half has it, else `other`.
    What is neither field nor attribute becomes metadata.
    """
    schema, scenario_id = keys.schema, f"{index:05d}"
    try:
        record = as_object(record, "", FLAT_SHAPE)
        fields = keys.fields(record)
        if fields.has("id"):
            scenario_id = _identifier(_numbered(fields.get("id")))
        query = as_text(keys.question(fields.get("query")), f"field {fields.name('query')}", MAX_QUERY)
        inner = fields.get("profile")
        beside = JsonObject(fields.others) if inner is ABSENT else inner
        name = "record" if inner is ABSENT else f"field {fields.name('profile')}"
        own, rest = _attributes_of(beside, keys) if inner is ABSENT else (beside, fields.others)
        profile = _profile(own, name, keys, {"scenario"})
        names = [fields.get("domain"), fields.get("scenario"), record.under, folder]
        given = next((n for n in names if type(n) is str and known_domain(n, schema) is not None), None)
        if given is None and "other" not in schema.domains:
            raise _no_domain(fields, schema)
        metadata = {**_metadata(fields), **_plain_object(rest)}
    except RecordError as error:
        return BadRecord(place, scenario_id, str(error))
    return Scenario(scenario_id, domain_of(given, schema), query, profile, schema, metadata)


def _attributes_of(record: dict[str, Any], keys: Keys) -> tuple[JsonObject, dict[str, Any]]:
    """Part the attributes of a flat record, and what is spelt much like one, from all else."""
    own: JsonObject = JsonObject()
    rest: dict[str, Any] = {}
    for key, value in record.items():
        (own if keys.attribute(key) is not None or keys.near(key, record) else rest)[key] = value
    return own, rest


@functools.cache
def situations() -> dict[str, str]:
    """Return the domain of each of the 140 situation names of PENGUIN (`data/situations.json`)."""
    table = json.loads((Path(__file__).parents[1] / "data" / "situations.json").read_text(encoding="utf-8"))
    return {
        name: domain
        for domain, groups in table["situations"].items()
        for names in groups.values()
        for name in names
    }


@functools.cache
def _domain_by_key() -> dict[str, str]:
    return {squash(name): domain for name, domain in situations().items()}


_DOMAIN_WORDS = {
    "relationship": "relationship",
    "relationships": "relationship",
    "career": "career",
    "job": "career",
    "financial": "financial",
    "finance": "financial",
    "finances": "financial",
    "social": "social",
    "health": "health",
    "healthcare": "health",
    "mental": "health",
    "life": "life",
    "education": "education",
    "academic": "education",
}
"""First words of the names under which published files have the seven domains."""


def known_domain(name: str, schema: Schema) -> str | None:
    """Return the domain that a situation's or a domain's `name` stands for in `schema`, None for none."""
    first = re.split(r"[\W_]+", name.strip().casefold())[0]
    found = (name, _domain_by_key().get(squash(name)), _DOMAIN_WORDS.get(first))
    return next((own for own in found if own in schema.domains), None)


def domain_of(name: Any, schema: Schema) -> str:
    """Return the domain of a situation: its own name where the schema has it, PENGUIN's, or `other`."""
    if name is not None and type(name) is not str:
        raise RecordError(f"field Scenario: found {kind(name)}, expected the name of a situation")
    found = None if name is None else known_domain(name, schema)
    if found is None and "other" in schema.domains:
        return "other"
    if found is None:
        raise RecordError(f"field Scenario: found {kind(name)}, expected one of {_domains(schema)}")
    return found


def _no_domain(fields: Fields, schema: Schema) -> RecordError:
    field = "scenario" if fields.has("scenario") and not fields.has("domain") else "domain"
    found = kind(fields.get(field))
    return RecordError(f"field {fields.name(field)}: found {found}, expected one of {_domains(schema)}")


def _domains(schema: Schema) -> str:
    return ", ".join(schema.domains)


def _numbered(value: Any) -> Any:
    return str(value) if isinstance(value, JsonNumber) else value


def _identifier(value: Any) -> str:
    text = as_text(value, "field id", MAX_ID)
    if not text.isprintable():
        raise RecordError("field id: found control characters, expected printable text")
    return text


def _profile(value: Any, name: str, keys: Keys, ignored: Collection[str] = ()) -> Profile:
    """Return the values that exist, in schema order; numbers as their text."""
    schema, found = keys.schema, dict[str, str]()
    profile = as_object(value, name, "an object of attributes and values")
    for position, key in enumerate(profile, 1):
        attribute = keys.attribute(key)
        if attribute is None:
            if squash(key) not in ignored:
                keys.refuse(key, position, profile, name)
        elif attribute in found:
            raise RecordError(f"{name}: found {attribute} under two keys, expected one")
        else:
            found[attribute] = key
    if not found:
        raise RecordError(f"{name}: found no attribute of the schema, expected some of {keys.expected()}")
    present = (a for a in schema.names if a in found)
    values = {a: _value(profile[found[a]], f"{name}.{a}", schema) for a in present}
    return Profile({attribute: text for attribute, text in values.items() if text is not None})


def _value(value: Any, name: str, schema: Schema) -> str | None:
    if schema.is_missing(value):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, JsonNumber):
        if not math.isfinite(float(value)) or len(value) > MAX_VALUE:
            raise RecordError(f"{name}: found a number out of range, expected text, a number or null")
        return str(value)
    if not isinstance(value, str):
        raise RecordError(f"{name}: found {kind(value)}, expected text, a number, true, false or null")
    return as_text(value, name, MAX_VALUE)


def _metadata(fields: Fields) -> dict[str, Any]:
    """Return the field metadata as plain JSON types; nothing, or null, is none."""
    value = fields.get("metadata")
    if value is None or value is ABSENT:
        return {}
    return _plain_object(as_object(value, "field metadata", "an object, or none"))


def _plain_object(value: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(plain(JsonObject(value), "field metadata"))
    except RecursionError:
        raise RecordError("field metadata: JSON nested too deeply") from None
