"""Wrap text that comes piece by piece at spaces."""

from __future__ import annotations

import re
from collections.abc import Callable

from rich.cells import cell_len

_PARTS = re.compile(r"\n|[^\S\n]+|\S+")


class WordWrap:
    """Writes pieces of text so that no word is cut at the end of a line.

    `write`: takes what may be shown now. `width`: columns of a line, None = lines are not wrapped. A word is
    held back until it is whole; one longer than a line has a line of its own.
    """

    def __init__(self, write: Callable[[str], object], width: int | None) -> None:
        self._write = write
        self._width = width
        self._word = ""
        self._spaces = ""
        self._column = 0

    def add(self, piece: str) -> None:
        """Take the next piece."""
        if self._width is None:
            self._write(piece)
            return
        for part in _PARTS.findall(piece):
            if not part.isspace():
                self._word += part
                continue
            self._flush()
            if part == "\n":
                self._write("\n")
                self._spaces, self._column = "", 0
            else:
                self._spaces += part

    def end(self) -> None:
        """Write the word that is held back, and end the line."""
        self._flush()
        self._write("\n")

    def _flush(self) -> None:
        if not self._word or self._width is None:
            return
        size, gap = cell_len(self._word), len(self._spaces)
        if self._column and self._column + gap + size > self._width:
            self._write("\n")
            self._column, gap = 0, 0
        self._write(" " * gap + self._word)
        self._column += gap + size
        self._word = self._spaces = ""
