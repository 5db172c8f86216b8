"""Bytes of a file to raw records: compression, JSON lists, JSON Lines, CSV, Parquet, all in flat memory.

What a file is stands in its first bytes, never in its name. A JSON list is read element by element, so that
memory holds a chunk of the file and one record.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from envs.checking.json_values import RecordError, decode, from_python
from envs.errors import UserError
from envs.loading.json_lists import is_record, list_elements, wrapped_elements
from envs.loading.records import BadRecord

if TYPE_CHECKING:
    import pyarrow as pa

MAX_LINE = 8 << 20
"""Bytes of one JSONL line or of one record of a JSON list; longer ones are bad."""
CHUNK = 1 << 20
"""Bytes that are read at a time."""
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"ARROW1": "an Arrow file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
"""First bytes of what is often given and not read."""


class Raw(NamedTuple):
    """A record as the file has it: where, the how-manieth (from 0), its JSON value or why it has none."""

    place: str
    number: int
    value: Any


class Records(NamedTuple):
    """The raw records of a file, and its form: `JSON list`, `JSON Lines`, `CSV` or `Parquet`."""

    form: str
    rows: Iterator[Raw]


def raw_records(raw: io.BufferedReader, digest: hashlib._Hash, source: str) -> Records:
    """Return the records of an open file; what is read of it is added to `digest`."""
    if raw.peek(4)[:4] == b"PAR1":
        return Records("Parquet", _parquet(raw, digest, source))
    foreign = next((what for start, what in _FOREIGN.items() if raw.peek(8).startswith(start)), None)
    if foreign is not None:
        raise UserError(
            f"{source}: found {foreign}, expected JSON or CSV in UTF-8, plain, gz or zst, or Parquet"
        )
    stream = _Hashed(decompressed(raw), digest)
    number, line = 1, stream.readline(MAX_LINE + 1).removeprefix(_BOM)
    while line and not line.strip():
        number, line = number + 1, stream.readline(MAX_LINE + 1)
    if line.lstrip().startswith(b"[") and not _is_jsonl(line, stream):
        return Records("JSON list", _numbered(list_elements, line, stream, number, source))
    if _is_wrapped(line, stream):
        return Records("JSON list", _numbered(wrapped_elements, line, stream, number, source))
    delimiter = _delimiter(line)
    if delimiter is not None:
        return Records("CSV", _csv(line, stream, number, delimiter, source))
    return Records("JSON Lines", _lines(line, stream, number))


def decompressed(raw: io.BufferedReader) -> BinaryIO:
    """Return the stream inside gzip or Zstandard, told by the first bytes; anything else as it is."""
    start = raw.peek(4)
    if start[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if start[:4] == b"\x28\xb5\x2f\xfd":
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(raw, "zstd"), CHUNK)
    return raw


class _Hashed:
    """A stream that adds what is read to a digest, and takes back what was read too early."""

    def __init__(self, stream: BinaryIO, digest: hashlib._Hash) -> None:
        self._stream, self._digest, self._back = stream, digest, b""

    def unread(self, data: bytes) -> None:
        self._back = data

    def read(self, size: int) -> bytes:
        return self._next(self._stream.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._next(self._stream.readline, size)

    def _next(self, read: Callable[[int], bytes], size: int) -> bytes:
        if self._back:
            data, self._back = self._back, b""
            return data
        data = read(size)
        self._digest.update(data)
        return data


def _is_jsonl(line: bytes, stream: _Hashed) -> bool:
    """Tell whether the first line is JSON by itself and another follows: JSONL that begins with a list."""
    try:
        decode(line, "")
    except RecordError:
        return False
    return _another_follows(stream)


def _is_wrapped(line: bytes, stream: _Hashed) -> bool:
    """Tell whether the file is indented objects, or one line that is no record and has records inside."""
    if line.strip() == b"{":
        return True
    try:
        value = decode(line, "")
    except RecordError:
        return False
    values = list(value.values()) if isinstance(value, dict) and not is_record(value) else []
    firsts = [own[0] if isinstance(own, list) and own else own for own in values]
    lists = any(isinstance(own, list) and isinstance(f, dict) for own, f in zip(values, firsts, strict=True))
    return (lists or any(map(is_record, firsts))) and not _another_follows(stream)


def _another_follows(stream: _Hashed) -> bool:
    """Tell whether a line that is not blank follows; it stays to be read."""
    more = following = stream.readline(MAX_LINE + 1)
    while following and not following.strip():
        following = stream.readline(MAX_LINE + 1)
        more += following
    stream.unread(more)
    return bool(following)


def _lines(line: bytes, stream: _Hashed, number: int) -> Iterator[Raw]:
    """Yield the records of `line`, which has this number, and of all that follow; skip blank ones."""
    index = 0
    while line:
        place = f"line {number}"
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            reason = f"found over {MAX_LINE >> 20} MiB, expected a shorter line"
            yield Raw(place, index, BadRecord(place, None, reason))
            index += 1
        elif line.strip():
            try:
                value = decode(line.rstrip(b"\r\n"), "one complete object on each line")
            except RecordError as error:
                value = BadRecord(place, None, str(error))
            yield Raw(place, index, value)
            index += 1
        number += 1
        line = stream.readline(MAX_LINE + 1)


def _numbered(
    elements: Callable[..., Iterator[Any]], line: bytes, stream: _Hashed, number: int, source: str
) -> Iterator[Raw]:
    try:
        for index, value in enumerate(elements(line, stream.read, number, CHUNK, MAX_LINE)):
            yield Raw(f"index {index}", index, value)
    except RecordError as error:
        raise UserError(f"{source}: {error}") from None


def _delimiter(line: bytes) -> str | None:
    """Return what parts the columns of a CSV header, None where `line` is none."""
    text = line.strip().decode("utf-8", "replace")
    if not text or text[0] in "[{" or (not text.isprintable() and "\t" not in text) or "\ufffd" in text:
        return None
    best = max(_DELIMITERS, key=text.count)
    return best if best in text else None


def _csv(line: bytes, stream: _Hashed, number: int, delimiter: str, source: str) -> Iterator[Raw]:
    def lines() -> Iterator[str]:
        data = line
        while data:
            yield data.decode("utf-8", "surrogateescape")  # a value that is no UTF-8 is refused by itself
            data = stream.readline(MAX_LINE)

    reader = csv.reader(lines(), delimiter=delimiter, strict=False)
    try:
        header = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise UserError(
            f"{source}: line {number}: not CSV ({error}), expected a header with the names of the columns"
        ) from None
    index = 0
    while True:
        place = f"line {number + reader.line_num}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Raw(place, index, BadRecord(place, None, f"not CSV ({error})"))
            index += 1
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            reason = f"found {len(cells)} columns, expected {len(header)} as in the header"
            yield Raw(place, index, BadRecord(place, None, reason))
        else:
            yield Raw(place, index, from_python(dict(zip(header, cells, strict=True))))
        index += 1


def _parquet(raw: io.BufferedReader, digest: hashlib._Hash, source: str) -> Iterator[Raw]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for chunk in iter(lambda: raw.read(CHUNK), b""):
        digest.update(chunk)
    raw.seek(0)
    try:
        index = 0
        for batch in pq.ParquetFile(raw, pre_buffer=False).iter_batches(batch_size=1000):
            for row in _rows(batch):
                bad = None if isinstance(row, dict) else BadRecord(f"row {index}", None, row)
                yield Raw(f"row {index}", index, bad or from_python(row))
                index += 1
    except (pa.ArrowException, UnicodeDecodeError):  # the second: names of columns
        raise UserError(f"{source}: cannot be read as Parquet, expected an undamaged file") from None


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | str]:
    """Yield the rows of `batch`, of one with text that is no UTF-8 what is wrong."""
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass
    for number in range(batch.num_rows):
        row = {}
        try:
            for name in batch.schema.names:
                row[name] = batch[name][number].as_py()
            yield row
        except UnicodeDecodeError:
            yield f"{name}: found bytes that are not UTF-8, expected text in UTF-8"


def saved_dataset(folder: Path, digest: hashlib._Hash, source: str) -> Iterator[Raw]:
    """Yield the rows of a folder that `datasets.Dataset.save_to_disk` has left.

    Raises
    ------
    UserError
        `datasets` is not installed, or the folder holds several splits.
    """
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"{source}: a folder of the library datasets, which is not installed (pip install datasets)"
        ) from None
    found = datasets.load_from_disk(str(folder))
    if isinstance(found, datasets.DatasetDict):
        raise UserError(f"{source}: found splits {', '.join(found)}, expected the folder of one of them")
    for index, row in enumerate(found):
        digest.update(json.dumps(row, sort_keys=True, default=str).encode())
        yield Raw(f"row {index}", index, from_python(row))
