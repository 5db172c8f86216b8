"""Read free text by patterns: attributes a query reveals, replies that hold no answer.

The patterns are data: `data/reading.yaml`, which states their limits.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from envs import Schema
from envs.schema import is_missing
from envs.validation import FileModel, IgnoreCase, read_yaml, validated

READING = Path(__file__).parent / "data" / "reading.yaml"


_WINDOW = 200
"""Characters before a match that are looked at, so that no text takes long to read."""


class _Revealed(FileModel):
    attribute: str
    pattern: IgnoreCase
    value: str

    @model_validator(mode="after")
    def _fits(self) -> _Revealed:
        try:
            self.value.format("", *[""] * self.pattern.groups)
        except (IndexError, KeyError, ValueError):
            raise ValueError(f"value: expected {{0}} to {{{self.pattern.groups}}} as its places") from None
        return self


class _ReadingFile(FileModel):
    reveals: list[_Revealed]
    reveals_unless: list[IgnoreCase] = Field(default=[])
    no_answer: list[IgnoreCase]


class Reader:
    """Patterns of what is revealed and of what tells nothing."""

    def __init__(self, table: Mapping[str, Any], place: str) -> None:
        """Take the content of a YAML file; `place` names it in messages of `UserError`."""
        self._file: _ReadingFile = validated(table, _ReadingFile, place)

    @classmethod
    def load(cls, path: str | Path | None = None) -> Reader:
        """Read a file like `data/reading.yaml` (the default).

        Raises
        ------
        UserError
            one line: file, place, what was found and expected.
        """
        path = READING if path is None else Path(path)
        return cls(read_yaml(path, dict[str, Any], "patterns"), str(path))

    def reveals(self, query: str, schema: Schema) -> dict[str, str]:
        """Return {attribute: value} of what `query` says by itself, in schema order."""
        text, found = _straight(query), dict[str, str]()
        for row in self._file.reveals:
            if row.attribute in schema.names and row.attribute not in found:
                match = next(
                    (
                        m
                        for m in row.pattern.finditer(text)
                        if self._counts(text[max(0, m.start() - _WINDOW) : m.start()])
                    ),
                    None,
                )
                if match:
                    found[row.attribute] = row.value.format(match[0], *match.groups()).strip()
        return {name: found[name] for name in schema.names if name in found}

    def _counts(self, before: str) -> bool:
        clause = re.split(r"[.!?;\n]", before)[-1]
        return not any(pattern.search(clause) for pattern in self._file.reveals_unless)

    def tells_nothing(self, reply: str | None) -> bool:
        """Tell whether a reply gives no value: none, missing (`is_missing`), declined, evaded, not known."""
        if is_missing(reply):
            return True
        text = re.sub(r"[\s.!]+$", "", _straight(str(reply)).strip()).rstrip("?")
        return not text or any(pattern.fullmatch(text) for pattern in self._file.no_answer)


def _straight(text: str) -> str:
    return re.sub("[\u2018\u2019\u02bc`]", "'", unicodedata.normalize("NFKC", text))


@functools.cache
def default_reader() -> Reader:
    """Return the reader of the file that ships with the package; read once."""
    return Reader.load()
