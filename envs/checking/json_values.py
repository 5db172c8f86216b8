"""JSON as scenario files and models write it.

Of files: numbers as they are spelt, keys that occur twice, no value in a message. Of models: the object
in a reply.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that `text` holds, words or fences around it left out; None where it is none."""
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def with_nulls(value: Any) -> Any:
    """Return plain data with null for each number that is none or not finite, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: with_nulls(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_nulls(item) for item in value]
    return value


def object_schema(**properties: Any) -> dict[str, Any]:
    """Return the JSON schema of an object with just these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


class RecordError(ValueError):
    """Why a record cannot be used, in one line without values."""


class JsonObject(dict[str, Any]):
    """A JSON object that remembers a key which occurred `twice`, and the key `under` which its list stood."""

    twice: str | None = None
    under: str | None = None


class JsonNumber(str):
    """A JSON number as the file spells it (`34` stays `34`, whatever its length)."""

    __slots__ = ()


class NotFinite:
    """Infinity, which JSON does not have but Python's parser reads."""


ABSENT = object()


def _pairs(pairs: list[tuple[str, Any]]) -> JsonObject:
    made = JsonObject(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        made.twice = next(key for key in keys if keys.count(key) > 1)
    return made


DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_int=JsonNumber,
    parse_float=JsonNumber,
    parse_constant=lambda name: None if name == "NaN" else NotFinite(),  # NaN: as Python writes an empty cell
)


def decode(data: bytes, expected: str) -> Any:
    """Return the JSON value of `data`; RecordError tells where it stops being UTF-8 or JSON."""
    try:
        return DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start + 1}"
    except json.JSONDecodeError as error:
        problem = f"not valid JSON at column {error.colno}"
    except RecursionError:
        problem = "JSON nested too deeply"
    raise RecordError(f"{problem}, expected {expected}")


def as_object(value: Any, name: str, expected: str) -> JsonObject:
    """Return `value`, which has to be an object without a key twice; RecordError names the field."""
    prefix = f"{name}: " if name else ""
    if not isinstance(value, JsonObject):
        raise RecordError(f"{prefix}found {kind(value)}, expected {expected}")
    if value.twice is not None:
        position = list(value).index(value.twice) + 1
        raise RecordError(f"{prefix}found key {position} twice in one object, expected distinct keys")
    return value


def as_text(value: Any, name: str, longest: int) -> str:
    """Return `value`, which has to be text of 1 to `longest` characters, not blank, that UTF-8 can hold."""
    if type(value) is not str or not value.strip():
        raise RecordError(f"{name}: found {kind(value)}, expected text that is not blank")
    if len(value) > longest:
        raise RecordError(f"{name}: found {kind(value)}, expected at most {longest}")
    if not value.isascii() and re.search("[\udc80-\udcff]", value):  # as bytes that no UTF-8 has are kept
        raise RecordError(f"{name}: found bytes that are not UTF-8, expected text in UTF-8")
    if not value.isascii() and re.search("[\ud800-\udfff]", value):
        raise RecordError(f"{name}: found half of a surrogate pair, expected text that UTF-8 can hold")
    return value


def plain(value: Any, name: str) -> Any:
    """Return the JSON value of the field `name` with its numbers as numbers, of plain types alone."""
    if isinstance(value, JsonObject):
        return {key: plain(own, name) for key, own in as_object(value, name, "an object").items()}
    if isinstance(value, list):
        return [plain(own, name) for own in value]
    if isinstance(value, JsonNumber):
        try:
            number = int(value) if re.fullmatch(r"-?\d+", value) else float(value)
        except ValueError:
            number = math.inf  # more digits than Python reads
        if number not in (math.inf, -math.inf):
            return number
    if isinstance(value, (JsonNumber, NotFinite)):
        raise RecordError(f"{name}: found a number out of range, expected one that JSON has")
    return value


def from_python(value: Any) -> Any:
    """Return what `decode` would give of a value of a table; NaN, as tables write an empty cell, is null."""
    if isinstance(value, dict):
        return JsonObject({str(key): from_python(own) for key, own in value.items()})
    if isinstance(value, (list, tuple)):
        return [from_python(own) for own in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return JsonNumber(int(value)) if value.is_integer() else JsonNumber(repr(value))
    if value is None or isinstance(value, (bool, str)):
        return value
    return JsonNumber(value) if isinstance(value, int) else str(value)


def kind(value: Any) -> str:
    """Tell what a JSON value is, without telling it."""
    if value is ABSENT:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, JsonNumber):
        return "a number"
    if isinstance(value, str):
        return f"text of {len(value)} characters" if value.strip() else "blank text"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"an object of {len(value)} keys" if isinstance(value, dict) else "Infinity"
