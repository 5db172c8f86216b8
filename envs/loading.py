"""Reading scenario files: both layouts, plain or gzip, with a split by person.

A file is read as a stream, its layout and compression are recognised from its content. Records that cannot
be used are listed beside the good ones; a file with no good record is one `UserError`.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from envs.errors import UserError
from envs.records import BadRecord, RecordError, decode, jsonl_scenario, penguin_scenarios
from envs.scenario import Scenario
from envs.schema import Schema, penguin_schema

__all__ = ["BadRecord", "ScenarioSet", "load_bundled", "load_scenarios"]

MAX_LINE = 8 << 20
"""Bytes of one JSONL line; a longer one is a bad record."""
MAX_LIST = 1 << 28
"""Bytes of a file in the PENGUIN layout, which has to be parsed as a whole."""
SPLITS = ("train", "test", "all")

_EXPECTED = "expected JSONL scenarios or a JSON list in the PENGUIN layout"
_BOM = b"\xef\xbb\xbf"
_BUNDLED = Path(__file__).parent / "data" / "scenarios.jsonl"


@dataclass(frozen=True)
class ScenarioSet:
    """What a file holds.

    Attributes
    ----------
    scenarios : tuple[Scenario, ...], in file order, of the wanted split, at most `limit`
    bad : tuple[BadRecord, ...], in file order, of the whole file whatever the split and limit
    source : str, the path as given, or `bundled`
    sha256 : str, hexadecimal digest of the file's decompressed bytes and of the schema
    """

    scenarios: tuple[Scenario, ...]
    bad: tuple[BadRecord, ...]
    source: str
    sha256: str


def load_scenarios(
    path: str | Path | None = None,
    schema: Schema | None = None,
    *,
    limit: int | None = None,
    split: str = "all",
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> ScenarioSet:
    """Read a scenario file; without `path` the bundled scenarios.

    Parameters
    ----------
    schema : the attributes of the profiles; PENGUIN's ten by default
    limit : keep the first so many scenarios of the split
    split : `train`, `test` or `all`; equal profiles are always on the same side
    test_fraction : probability in [0, 1] that a profile is on the `test` side
    split_seed : another seed, another assignment

    Raises
    ------
    UserError
        the file cannot be read, has neither layout, or holds no scenario that can be used; an argument is
        out of range. One line with file, place, field, what was found and expected.
    """
    if limit is not None and limit < 1:
        raise UserError(f"scenarios.limit: found {limit}, expected at least 1")
    if split not in SPLITS:
        raise UserError(f"scenarios.split: found {split!r}, expected one of {', '.join(SPLITS)}")
    if not 0.0 <= test_fraction <= 1.0:
        raise UserError(f"scenarios.test_fraction: found {test_fraction}, expected 0 to 1")
    source = "bundled" if path is None else str(path)
    schema = penguin_schema() if schema is None else schema
    good, bad, digest = _read(_BUNDLED if path is None else Path(path), source, schema)
    if split != "all":
        wanted = split == "test"
        kept = [s for s in good if (person_share(s.profile, split_seed) < test_fraction) is wanted]
        if not kept:
            raise UserError(
                f"{source}: split {split} holds none of {len(good)} scenarios, expected at least one"
            )
        good = kept
    return ScenarioSet(tuple(good[:limit]), tuple(bad), source, digest)


@functools.cache
def load_bundled() -> tuple[Scenario, ...]:
    """Return the 140 bundled scenarios, one for each situation, in the order of the domains."""
    return load_scenarios().scenarios


def person_share(profile: Mapping[str, str], seed: int = 0) -> float:
    """Return a number in [0, 1) that follows from a profile's content alone, evenly spread over profiles.

    No other profile and no order matters. Those below `test_fraction` are the test side of a split.
    """
    items = sorted((name, " ".join(value.split())) for name, value in profile.items())
    digest = hashlib.sha256(json.dumps([seed, items]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2.0**64


def _read(path: Path, source: str, schema: Schema) -> tuple[list[Scenario], list[BadRecord], str]:
    digest = hashlib.sha256(json.dumps([dataclasses.asdict(a) for a in schema.attributes]).encode())
    try:
        with open(path, "rb") as raw:
            good, bad = _sort(_records(_Hashed(_decompressed(raw), digest), source, schema))
    except FileNotFoundError:
        raise UserError(f"{source}: no such file, {_EXPECTED}") from None
    except IsADirectoryError:
        raise UserError(f"{source}: found a directory, {_EXPECTED}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{source}: the gzip data is damaged or ends early, {_EXPECTED}") from None
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror}), {_EXPECTED}") from None
    if not good:
        more = f" (no record can be used; {len(bad)} were bad)" if len(bad) > 1 else ""
        found = f"{bad[0].place}: {bad[0].reason}{more}" if bad else f"found no record, {_EXPECTED}"
        raise UserError(f"{source}: {found}")
    return good, bad, digest.hexdigest()


def _sort(records: Iterator[tuple[str, Scenario | BadRecord]]) -> tuple[list[Scenario], list[BadRecord]]:
    """Part the good records from the bad ones; of a repeated id the first good record counts."""
    good: list[Scenario] = []
    bad: list[BadRecord] = []
    seen: dict[str, str] = {}
    for place, record in records:
        if isinstance(record, BadRecord):
            bad.append(record)
        elif record.id in seen:
            reason = f"field id: the same as at {seen[record.id]}, expected distinct ids"
            bad.append(BadRecord(place, record.id, reason))
        else:
            seen[record.id] = place
            good.append(record)
    return good, bad


def _decompressed(raw: io.BufferedReader) -> BinaryIO:
    if raw.peek(2)[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    return raw


class _Hashed:
    """A stream that adds what is read to a digest."""

    def __init__(self, stream: BinaryIO, digest: hashlib._Hash) -> None:
        self._stream, self._digest = stream, digest

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._digest.update(data)
        return data

    def readline(self, size: int) -> bytes:
        data = self._stream.readline(size)
        self._digest.update(data)
        return data


def _records(stream: _Hashed, source: str, schema: Schema) -> Iterator[tuple[str, Scenario | BadRecord]]:
    """Yield (place, record) of a stream in either layout."""
    number, line = 1, stream.readline(MAX_LINE + 1).removeprefix(_BOM)
    while line and not line.strip():
        number, line = number + 1, stream.readline(MAX_LINE + 1)
    if not line.lstrip().startswith(b"["):
        yield from _lines(line, stream, number, schema)
        return
    data = line + stream.read(max(0, MAX_LIST + 1 - len(line)))
    if len(data) > MAX_LIST:
        raise UserError(f"{source}: a JSON list of over {MAX_LIST >> 20} MiB, expected less, or JSONL")
    try:
        records = decode(b"\n" * (number - 1) + data, "a JSON list in the PENGUIN layout", one_line=False)
    except RecordError as error:
        if not _is_line(data):
            raise UserError(f"{source}: {error}") from None
        lines = io.BytesIO(data)
        yield from _lines(lines.readline(MAX_LINE + 1), lines, number, schema)
        return
    for index, record in enumerate(records):
        for scenario in penguin_scenarios(record, index, schema):
            yield f"index {index}", scenario


def _is_line(data: bytes) -> bool:
    """Tell whether the first line is JSON by itself and more follow: JSONL with a list as first record."""
    first, _, rest = data.partition(b"\n")
    if not rest.strip():
        return False
    try:
        decode(first, "")
    except RecordError:
        return False
    return True


def _lines(
    line: bytes, stream: _Hashed | io.BytesIO, number: int, schema: Schema
) -> Iterator[tuple[str, Scenario | BadRecord]]:
    """Yield (place, record) of `line`, which has this number, and of all that follow; skip blank ones."""
    while line:
        place = f"line {number}"
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            yield place, BadRecord(place, None, f"found over {MAX_LINE >> 20} MiB, expected a shorter line")
        elif line.strip():
            yield place, jsonl_scenario(line.rstrip(b"\r\n"), place, schema)
        number += 1
        line = stream.readline(MAX_LINE + 1)
