"""Finds the lines of one scenario in a large JSON Lines file without keeping the file in memory."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_ID = re.compile(rb'\{"scenario_id": ("(?:[^"\\]|\\.)*")')
"""How lines of journals and transcripts begin."""


class LineIndex:
    """Where the lines of each scenario begin in `path`; nothing where there is no such file.

    `problem`: one line on what cannot be read, "" when all is well. Lines that are of no scenario (the
    header of a journal) are left out, and so is a last line that a kill has torn.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._places: dict[str, list[int]] = {}
        try:
            self._read()
        except FileNotFoundError:
            pass
        except OSError as error:
            self.problem = f"{path.name}: {error.strerror}, expected a file that can be read"

    def _read(self) -> None:
        place, unread = 0, 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                found = _ID.match(line)
                if found is not None and line.endswith(b"\n"):
                    self._add(found[1], place)
                elif line.strip() and not (number == 0 and line.startswith(b'{"journal"')):
                    unread += 1
                place += len(line)
        if unread:
            lines = "1 line is" if unread == 1 else f"{unread:,} lines are"
            self.problem = f"{self.path.name}: {lines} of no scenario, expected one JSON object a line"

    def _add(self, quoted: bytes, place: int) -> None:
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
        try:
            with self.path.open("rb") as file:
                for place in self._places.get(scenario_id, []):
                    file.seek(place)
                    try:
                        row = json.loads(file.readline())
                    except ValueError:
                        row = None
                    if isinstance(row, dict):
                        found.append(row)
                    else:
                        problem = f"{self.path.name}: a line of {scenario_id} is not JSON"
        except FileNotFoundError:
            pass
        except OSError as error:
            problem = f"{self.path.name}: {error.strerror}, expected a file that can be read"
        return found, problem
