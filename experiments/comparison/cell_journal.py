"""The journal of a comparison: the rows of each finished cell as one JSON line, so that a run resumes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from envs import UserError
from experiments.comparison.cells import COLUMNS
from experiments.runs.journal import LineJournal

Rows = list[dict[str, Any]]


class CellJournal(LineJournal[Rows]):
    """`cells.jsonl`, keyed by `Cell.key`."""

    file_name = "cells.jsonl"

    def add(self, key: str, rows: Rows) -> None:
        """Append the rows of a cell; they survive a kill of this process from here on."""
        values = [[row[name] for name in COLUMNS] for row in rows]
        self._append(json.dumps({"cell": key, "rows": values}))

    def _entries(self, lines: Sequence[bytes]) -> dict[str, Rows]:
        found = {}
        for number, line in enumerate(lines[1:], 2):
            try:
                entry = json.loads(line)
                found[entry["cell"]] = [dict(zip(COLUMNS, row, strict=True)) for row in entry["rows"]]
            except (KeyError, TypeError, ValueError):
                raise UserError(f"{self.path}: line {number} is no cell, expected a journal") from None
        return found
