"""Finds the lines of one scenario in a large JSON Lines file without keeping the file in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from envs.loading.streams import decompressed

_ID = re.compile(rb'\{"scenario_id": ("(?:[^"\\]|\\.)*")')
"""How lines of journals and transcripts begin."""


class LineIndex:
    """Where the lines of each scenario begin in `path` and in its `segments`; nothing where there is none.

    `problem`: one line on what cannot be read, "" when all is well. Lines that are of no scenario (the
    header of a journal) are left out, and so is a last line that a kill has torn.
    """

    def __init__(self, path: Path, segments: Sequence[Path] = ()) -> None:
        self.path = path
        self.problem = ""
        self._files = [*segments, path]
        self._places: dict[str, list[tuple[int, int]]] = {}
        for number, file in enumerate(self._files):
            try:
                self._read(number, file)
            except FileNotFoundError:
                pass
            except OSError as error:
                self.problem = f"{file.name}: {_why(error)}, expected a file that can be read"

    def _read(self, of: int, path: Path) -> None:
        place, unread = 0, 0
        with path.open("rb") as raw, decompressed(raw) as file:
            for number, line in enumerate(file):
                found = _ID.match(line)
                if found is not None and line.endswith(b"\n"):
                    self._add(found[1], (of, place))
                elif line.strip() and not (number == 0 and line.startswith(b'{"journal"')):
                    unread += 1
                place += len(line)
        if unread:
            lines = "1 line is" if unread == 1 else f"{unread:,} lines are"
            self.problem = f"{path.name}: {lines} of no scenario, expected one JSON object a line"

    def _add(self, quoted: bytes, place: tuple[int, int]) -> None:
        try:
            self._places.setdefault(json.loads(quoted), []).append(place)
        except ValueError:
            self.problem = f"{self.path.name}: a scenario's id is not readable, expected JSON"

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, scenario_id: str) -> bool:
        return scenario_id in self._places

    def rows(self, scenario_id: str) -> tuple[list[dict[str, Any]], str]:
        """Return the objects of a scenario's lines, and one line on what could not be read of them."""
        found: list[dict[str, Any]] = []
        problem = ""
        for of, place in self._places.get(scenario_id, []):
            path = self._files[of]
            try:
                with path.open("rb") as raw, decompressed(raw) as file:
                    _skip(file, place)
                    row = json.loads(file.readline())
            except ValueError:
                row = None
            except FileNotFoundError:
                continue
            except OSError as error:
                problem = f"{path.name}: {_why(error)}, expected a file that can be read"
                continue
            if isinstance(row, dict):
                found.append(row)
            else:
                problem = f"{path.name}: a line of {scenario_id} is not JSON"
        return found, problem


def _skip(file: BinaryIO, size: int) -> None:
    """Go on by `size` bytes; what is compressed has to be read for that."""
    if file.seekable():
        file.seek(size)
        return
    while size > 0 and (read := file.read(min(size, 1 << 20))):
        size -= len(read)


def _why(error: OSError) -> str:
    return error.strerror or "the zst data is damaged or ends early"
