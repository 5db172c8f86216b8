"""Docstrings of this project for the site: behind `name :` stands what it means, not its type.

The types are in the signatures. Griffe, which reads docstrings for mkdocstrings, wants meanings below names.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SECTION = re.compile(r"^(Parameters|Attributes|Yields|Returns)\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^([*\w]+(?:, [*\w]+)*) : (.+)$", re.MULTILINE)


class Meanings(griffe.Extension):
    """Moves each meaning to where Griffe looks for it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of `obj` (Griffe's event)."""
        if obj.docstring and _SECTION.search(obj.docstring.value):
            obj.docstring.value = meanings_below(obj.docstring.value)


def meanings_below(text: str) -> str:
    """Return `text` with each `name : meaning` as a name, and its meaning indented below."""
    return _ENTRY.sub(r"\1\n    \2", text)
