"""JSON lists, alone or inside an object, element by element: memory holds a chunk and one record."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from envs.checking.json_values import DECODER, JsonObject, RecordError
from envs.loading.keys_of_files import FIELDS, squash

_QUERIES = {*FIELDS["query"], *FIELDS["queries"]}
_OF_NUMBERS = "0123456789.eE+-"
_BLANK = re.compile(r"[ \t\r\n]*")


class _ListText:
    """The text of a JSON list as far as it is needed, with the line and column of what was dropped."""

    def __init__(self, data: bytes, read: Callable[[], bytes], line: int, longest: int) -> None:
        self.longest = longest
        self._decoder, self._read = codecs.getincrementaldecoder("utf-8")(), read
        self._lines, self._bytes = line, 0  # of all bytes that were decoded: line, bytes in it
        self._line, self._column = line, 1  # of the first character that is held
        self.held, self.at, self.begun, self.ended = "", 0, 0, False
        self._add(data)

    def _add(self, data: bytes) -> None:
        self.ended = not data
        try:
            text = self._decoder.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            within = len(before) - (before.rfind(b"\n") + 1)
            begun = 0 if b"\n" in before else self._bytes - (len(error.object) - len(data))
            line = self._lines + before.count(b"\n")
            raise RecordError(f"not UTF-8 at line {line} byte {begun + within + 1}, {_EXPECTED}") from None
        self._lines += data.count(b"\n")
        tail = len(data) - (data.rfind(b"\n") + 1)
        self._bytes = tail if b"\n" in data else self._bytes + tail
        dropped = self.held[: self.at]
        breaks = dropped.count("\n")
        self._column = len(dropped) - dropped.rfind("\n") if breaks else self._column + len(dropped)
        self._line += breaks
        self.held, self.at = self.held[self.at :] + text, 0

    def more(self) -> bool:
        """Read on; False at the end."""
        if not self.ended:
            self._add(self._read())
        return not self.ended

    def skip(self) -> str:
        """Go to the next character that is not blank and return it, "" at the end."""
        while True:
            self.at = _BLANK.match(self.held, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.held):
                return self.held[self.at]
            if not self.more():
                return ""

    def wrong(self, where: int) -> RecordError:
        """Return the error of JSON that goes wrong at the character `where` of what is held."""
        before = self.held[:where]
        line = self._line + before.count("\n")
        column = where - before.rfind("\n") if "\n" in before else self._column + where
        return RecordError(f"not valid JSON at line {line} column {column}, {_EXPECTED}")


_EXPECTED = "expected a JSON list in the PENGUIN layout"


def list_elements(
    data: bytes, read: Callable[[int], bytes], line: int, chunk: int, longest: int
) -> Iterator[Any]:
    """Yield the elements of the list that begins with `data`, in line `line`, and goes on with `read(chunk)`.

    `longest`: bytes of an element. RecordError tells where it stops being UTF-8 or JSON.
    """
    text = _ListText(data, lambda: read(chunk), line, longest)
    text.skip()
    yield from _in_list(text)
    if text.skip():
        raise text.wrong(text.at)


def wrapped_elements(
    data: bytes, read: Callable[[int], bytes], line: int, chunk: int, longest: int
) -> Iterator[Any]:
    """Yield the records in the objects that begin with `data`, as `list_elements`.

    A file may have lists of them under keys, beside what it says of itself, a key for each record, or one
    indented record after the other; objects inside are looked through.
    """
    text = _ListText(data, lambda: read(chunk), line, longest)
    try:
        while text.skip() == "{":
            yield from _in_object(text)
    except RecursionError:
        raise RecordError(f"JSON nested too deeply, {_EXPECTED}") from None
    if text.skip():
        raise text.wrong(text.at)


def _in_list(text: _ListText) -> Iterator[Any]:
    text.at += 1  # the bracket
    mark = text.skip()
    while mark != "]":
        yield _element(text)
        mark = text.skip()
        if mark not in (",", "]"):
            raise text.wrong(text.at)
        if mark == ",":
            text.at += 1
            text.skip()
    text.at += 1


def is_record(value: Any) -> bool:
    """Tell whether a JSON value is an object with a query, or with queries."""
    return isinstance(value, JsonObject) and any(squash(key) in _QUERIES for key in value)


def _in_object(text: _ListText) -> Iterator[Any]:
    try:
        value = _element(text)
    except RecordError:
        value = None  # too long for a record, or broken, which is told where it breaks
    else:
        if is_record(value):
            yield value
            return
        text.at = text.begun
    text.at += 1  # the brace
    mark = text.skip()
    while mark != "}":
        if mark != '"':
            raise text.wrong(text.at)
        key = _element(text)
        if text.skip() != ":":
            raise text.wrong(text.at)
        text.at += 1
        mark = text.skip()
        if mark == "{":
            yield from _in_object(text)
        elif mark == "[":
            for value in _in_list(text):
                if isinstance(value, JsonObject):
                    value.under = key
                    yield value
        else:
            _element(text)
        mark = text.skip()
        if mark not in (",", "}"):
            raise text.wrong(text.at)
        if mark == ",":
            text.at += 1
            mark = text.skip()
            if mark == "}":
                raise text.wrong(text.at)
    text.at += 1


def _element(text: _ListText) -> Any:
    while True:
        try:
            value, end = DECODER.raw_decode(text.held, text.at)
        except json.JSONDecodeError as error:
            if len(text.held) - text.at > text.longest:
                raise RecordError(
                    f"a record of over {text.longest >> 20} MiB, or not JSON, {_EXPECTED} of shorter ones"
                ) from None
            ahead = error.pos - text.at
            if not text.more():
                raise text.wrong(text.at + ahead) from None
        except RecursionError:
            raise RecordError(f"JSON nested too deeply, {_EXPECTED}") from None
        else:
            length, text.begun = end - text.at, text.at
            if not text.held[end:].strip(_OF_NUMBERS) and text.more():
                continue  # a number may go on
            text.at += length
            return value
