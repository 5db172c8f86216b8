"""Raw records to scenarios: which published layout a file has is told by the keys of its first records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from envs.checking.json_values import JsonObject
from envs.errors import UserError
from envs.loading.keys_of_files import Keys, squash
from envs.loading.records import BadRecord, flat_scenario, own_scenario, penguin_scenarios
from envs.loading.streams import Raw
from envs.scenario import Scenario

OWN, PENGUIN, FLAT, AIDMS = "this project's layout", "PENGUIN's layout", "flat records", "AIDMS's layout"
PROFILES, QUERIES = "PENGUIN's profiles without queries", "PENGUIN's queries without profiles"
BESIDE = {PROFILES: "queries_list.json", QUERIES: "user_profiles_list.json"}
"""The file that belongs beside one of the two halves."""
PER_PROFILE = 10
"""Queries of a profile in the two parallel files, in order."""
_QUERY_KEY = "queryid"
_AHEAD = 100
"""Records after a profile without queries that are looked at: with queries, it is one list of both."""
_Placed = tuple[str, Scenario | BadRecord]


class FileSource(NamedTuple):
    """What the rows of one file mean depends on.

    `name` for messages; `keys`: how they are read; `default`: the layout where no row tells it; `folder`:
    name of the folder that holds the file; `beside`: opens another file of that folder by its name.
    """

    name: str
    keys: Keys
    default: str
    folder: str | None
    beside: Callable[[str], Iterator[Raw]]


def layout_of(value: Any, keys: Keys) -> str | None:
    """Return the layout that the record `value` has, None where it does not tell."""
    if not isinstance(value, JsonObject):
        return None
    if [squash(key) for key in value] == [_QUERY_KEY]:
        return QUERIES
    try:
        fields = keys.fields(value)
    except ValueError:
        return None
    attributes = sum(keys.attribute(key) is not None for key in fields.others)
    if fields.has("queries"):
        return PENGUIN
    if squash(fields.name("profile")) == "attributes":
        return AIDMS
    if fields.has("query"):
        if not fields.has("profile"):
            return FLAT if attributes else None
        ours = fields.has("domain") or (fields.has("id") and not fields.has("scenario"))
        return OWN if ours else FLAT  # a person, a situation and one query
    if fields.has("profile"):
        return PROFILES if squash(fields.name("profile")) == "userprofile" else OWN
    if attributes > 2:  # of a person whose query is missing here, or in another file
        return PROFILES if fields.has("scenario") else FLAT
    return None


def scenarios(rows: Iterator[Raw], source: FileSource, told: Callable[[str], None]) -> Iterator[_Placed]:
    """Yield (place, scenario or what is wrong) of all rows; `told` is called with the layout."""
    layout = None
    told(source.default)
    while (row := next(rows, None)) is not None:
        if layout is None:
            layout = layout_of(row.value, source.keys)
            if layout == PROFILES:
                ahead = list(islice(rows, _AHEAD))
                rows = chain(ahead, rows)
                if any(layout_of(other.value, source.keys) == PENGUIN for other in ahead):
                    layout = PENGUIN  # of a record that lacks its queries
            if layout is not None:
                told(layout)
        if layout in BESIDE:
            yield from _paired(chain([row], rows), source, layout)
            return
        for scenario in _of(row, layout or source.default, source):
            yield row.place, scenario


def _of(row: Raw, layout: str, source: FileSource) -> Iterator[Scenario | BadRecord]:
    if isinstance(row.value, BadRecord):
        yield row.value
    elif layout == PENGUIN:
        yield from penguin_scenarios(row.value, row.place, row.number, source.keys)
    elif layout == OWN:
        yield own_scenario(row.value, row.place, source.keys)
    else:
        yield flat_scenario(row.value, row.place, row.number, source.keys, source.folder)


def _paired(rows: Iterator[Raw], source: FileSource, layout: str) -> Iterator[_Placed]:
    """Join the two parallel files: the i-th profile has the queries 10 i to 10 i + 9."""
    other = source.beside(BESIDE[layout])
    profiles, queries = (rows, other) if layout == PROFILES else (other, rows)
    for n, profile in enumerate(profiles):
        texts = [_query(row.value) for _, row in zip(range(PER_PROFILE), queries, strict=False)]
        if len(texts) < PER_PROFILE:
            found = f"{n * PER_PROFILE + len(texts)} queries for {n + 1} or more profiles"
            raise UserError(
                f"{source.name}: found {found}, expected {PER_PROFILE} a profile in the same order"
            )
        record = profile.value
        if isinstance(record, JsonObject):
            record = _with_queries(record, texts, source.keys)
        for scenario in _of(Raw(profile.place, n, record), PENGUIN, source):
            yield profile.place, scenario
    if next(queries, None) is not None:
        raise UserError(
            f"{source.name}: found more queries than {PER_PROFILE} a profile, expected two parallel files"
        )


def _query(value: Any) -> Any:
    """Return the text under the key `query_id`; anything else as it is, to be refused as no text."""
    texts = [v for k, v in value.items() if squash(k) == _QUERY_KEY] if isinstance(value, dict) else []
    return texts[0] if len(texts) == 1 else value


def _with_queries(record: JsonObject, texts: list[Any], keys: Keys) -> JsonObject:
    fields = keys.fields(record)
    profile = fields.get("profile") if fields.has("profile") else JsonObject(fields.others)
    made = JsonObject({"User_Profile": profile, "Queries": texts})
    if fields.has("scenario"):
        made["Scenario"] = fields.get("scenario")
    made.twice = record.twice
    return made
