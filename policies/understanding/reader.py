"""Reading free text without a language model: what a query reveals, and which replies tell nothing.

The patterns are data: `data/reading.yaml`, which states their limits.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envs import Schema, UserError
from envs.schema import is_missing
from policies.understanding.yaml_file import read_mapping

READING = Path(__file__).parent / "data" / "reading.yaml"


_WINDOW = 200
"""Characters before a match that are looked at, so that no text takes long to read."""


class Reader:
    """Patterns of what is revealed and of what tells nothing."""

    def __init__(self, table: Mapping[str, Any], place: str) -> None:
        """Take the content of a YAML file; `place` names it in messages of `UserError`."""
        self._reveals = [
            _rule(row, f"{place}: reveals {i}") for i, row in enumerate(_list(table, "reveals", place), 1)
        ]
        self._unless = [
            _pattern(text, f"{place}: reveals_unless {i}")
            for i, text in enumerate(
                _list(table, "reveals_unless", place) if "reveals_unless" in table else [], 1
            )
        ]
        self._no_answer = [
            _pattern(text, f"{place}: no_answer {i}")
            for i, text in enumerate(_list(table, "no_answer", place), 1)
        ]

    @classmethod
    def load(cls, path: str | Path | None = None) -> Reader:
        """Read a file like `data/reading.yaml` (the default).

        Raises
        ------
        UserError
            one line: file, place, what was found and expected.
        """
        path = READING if path is None else Path(path)
        return cls(read_mapping(path, "patterns", "reveals"), str(path))

    def reveals(self, query: str, schema: Schema) -> dict[str, str]:
        """Return {attribute: value} of what `query` says by itself, in schema order."""
        text, found = _straight(query), dict[str, str]()
        for attribute, pattern, template in self._reveals:
            if attribute in schema.names and attribute not in found:
                match = next(
                    (
                        m
                        for m in pattern.finditer(text)
                        if self._counts(text[max(0, m.start() - _WINDOW) : m.start()])
                    ),
                    None,
                )
                if match:
                    found[attribute] = template.format(match[0], *match.groups()).strip()
        return {name: found[name] for name in schema.names if name in found}

    def _counts(self, before: str) -> bool:
        clause = re.split(r"[.!?;\n]", before)[-1]
        return not any(pattern.search(clause) for pattern in self._unless)

    def tells_nothing(self, reply: str | None) -> bool:
        """Tell whether a reply gives no value: none, missing (`is_missing`), declined, evaded, not known."""
        if is_missing(reply):
            return True
        text = re.sub(r"[\s.!]+$", "", _straight(str(reply)).strip()).rstrip("?")
        return not text or any(pattern.fullmatch(text) for pattern in self._no_answer)


def _straight(text: str) -> str:
    return re.sub("[\u2018\u2019\u02bc`]", "'", unicodedata.normalize("NFKC", text))


def _rule(row: Any, place: str) -> tuple[str, re.Pattern[str], str]:
    fields = [row.get(key) if isinstance(row, dict) else None for key in ("attribute", "pattern", "value")]
    if not all(isinstance(field, str) for field in fields):
        raise UserError(f"{place}: expected attribute, pattern and value, each a text")
    attribute, pattern, template = map(str, fields)
    compiled = _pattern(pattern, place)
    try:
        template.format("", *[""] * compiled.groups)
    except (IndexError, KeyError, ValueError):
        raise UserError(f"{place}: value: expected {{0}} to {{{compiled.groups}}} as its places") from None
    return attribute, compiled, template


def _pattern(text: Any, place: str) -> re.Pattern[str]:
    if not isinstance(text, str):
        raise UserError(f"{place}: found a {type(text).__name__}, expected a regular expression")
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise UserError(f"{place}: not a regular expression ({error})") from None


def _list(table: Mapping[str, Any], key: str, place: str) -> list[Any]:
    value = table.get(key)
    if not isinstance(value, list):
        raise UserError(f"{place}: {key}: found {type(value).__name__}, expected a list")
    return value


@functools.cache
def default_reader() -> Reader:
    """Return the reader of the file that ships with the package; read once."""
    return Reader.load()
