"""What is under way in batches, kept beside the cache of replies: a run that was killed takes it up again.

A line is entered before its batch is created and leaves when its reply is in the cache, so that at any moment
what was paid for is in one of the two files. The file holds no prompts; the answers that it holds for
a while may repeat what somebody said, hence mode 600, as the cache's.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from envs.checking.damaged import SQLITE_DAMAGE, told_by_sqlite
from envs.errors import UserError

FORMAT = 1
KEPT_S = 30 * 86400.0
"""Seconds after which a batch is forgotten: its files are gone from the server by then."""
_TABLES = (
    "CREATE TABLE batches (id TEXT PRIMARY KEY, lane TEXT NOT NULL, server_id TEXT, made REAL NOT NULL)",
    "CREATE TABLE lines (id TEXT PRIMARY KEY, batch TEXT NOT NULL, status INTEGER, body TEXT)",
    "CREATE INDEX of_batch ON lines (batch)",
)


class LineAnswer(NamedTuple):
    """What came of one line: HTTP status, and the JSON text of the body."""

    status: int
    body: str


class OpenBatch(NamedTuple):
    """A batch of which some lines have no answer yet.

    `id`: ours, which its metadata holds; `server_id`: the server's, None = it may not have been created.
    """

    id: str
    server_id: str | None
    lines: tuple[str, ...]


def custom_id(batch: str, line: str) -> str:
    """Return what a line is called in a file: unique over all files, at most 64 letters and dashes."""
    return f"{batch[:16]}-{line}"


class BatchStore:
    """An open file of batches; used by one thread. `lane`s: model and endpoint.

    Raises
    ------
    UserError
        the file cannot be opened or written, or is none of this format.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise UserError(
                f"batches {path}: {error.strerror}, expected a file that can be written"
            ) from None
        self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        self._run("PRAGMA journal_mode=WAL")
        self._run("PRAGMA synchronous=NORMAL")
        with self._db:
            self._run("BEGIN IMMEDIATE")
            found = self.rows("PRAGMA user_version")[0][0]
            if found not in (0, FORMAT):
                raise UserError(f"batches {path}: format {found}, expected {FORMAT}")
            for statement in _TABLES if found == 0 else ():
                self._run(statement)
            self._run(f"PRAGMA user_version={FORMAT}")
            self._run("DELETE FROM batches WHERE made < ?", (time.time() - KEPT_S,))
            self._run("DELETE FROM lines WHERE batch NOT IN (SELECT id FROM batches)")

    def answer(self, line: str) -> LineAnswer | None:
        """Return the answer to a line, None where there is none (yet)."""
        rows = self.rows("SELECT status, body FROM lines WHERE id = ? AND status IS NOT NULL", (line,))
        return LineAnswer(int(str(rows[0][0])), str(rows[0][1])) if rows else None

    def begin(self, batch: str, lane: str, lines: Iterable[str]) -> None:
        """Enter a batch about to be created."""
        with self._db:
            self._run("BEGIN IMMEDIATE")
            self._run("INSERT INTO batches VALUES (?, ?, NULL, ?)", (batch, lane, time.time()))
            for line in lines:
                self._run("INSERT OR REPLACE INTO lines VALUES (?, ?, NULL, NULL)", (line, batch))

    def created(self, batch: str, server_id: str) -> None:
        """Enter what the server calls a batch."""
        self._run("UPDATE batches SET server_id = ? WHERE id = ?", (server_id, batch))

    def open_batches(self, lane: str) -> list[OpenBatch]:
        """Return the batches of a lane that have lines without an answer, oldest first."""
        batches = self.rows("SELECT id, server_id FROM batches WHERE lane = ? ORDER BY made", (lane,))
        found = []
        for batch, server_id in batches:
            rows = self.rows("SELECT id FROM lines WHERE batch = ? AND status IS NULL", (batch,))
            if rows:
                server = None if server_id is None else str(server_id)
                found.append(OpenBatch(str(batch), server, tuple(str(row[0]) for row in rows)))
        return found

    def collect(self, batch: str, answers: Mapping[str, LineAnswer]) -> None:
        """Enter {line: answer} of a batch that has ended; its other lines are to be sent again."""
        with self._db:
            self._run("BEGIN IMMEDIATE")
            for line, (status, body) in answers.items():
                self._run(
                    "UPDATE lines SET status = ?, body = ? WHERE id = ? AND batch = ?",
                    (status, body, line, batch),
                )
            self._run("DELETE FROM lines WHERE batch = ? AND status IS NULL", (batch,))
            self._drop_empty(batch)

    def drop(self, line: str) -> None:
        """Drop a line: its reply is in the cache, or it is to be sent once more."""
        rows = self.rows("DELETE FROM lines WHERE id = ? RETURNING batch", (line,))
        if rows:
            self._drop_empty(str(rows[0][0]))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _drop_empty(self, batch: str) -> None:
        unused = "NOT EXISTS (SELECT 1 FROM lines WHERE batch = ?)"
        self._run(f"DELETE FROM batches WHERE id = ? AND {unused}", (batch, batch))  # noqa: S608 - no input

    def rows(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Return the rows of a statement."""
        return self._run(statement, values).fetchall()

    def _run(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except SQLITE_DAMAGE as error:
            raise UserError(
                f"batches {self.path}: {told_by_sqlite(error)}, expected a file of batches"
            ) from None
