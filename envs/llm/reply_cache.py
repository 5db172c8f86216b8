"""Cache of replies: one SQLite file, safe for many processes, readable by its owner alone.

Rows: key (see `ChatRequest.key`), model, sample index, the reply as JSON and its SHA-256. Prompts are not in
it, only their hash; replies may repeat what somebody said, hence mode 600. Failures, refusals and truncated
replies are never written.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from envs.errors import UserError

FORMAT = 1
_TABLE = """CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, sample INTEGER NOT NULL,
    reply TEXT NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID"""


class CacheRow(NamedTuple):
    """One stored reply: `reply` is JSON, `sha256` of its UTF-8 bytes."""

    key: str
    model: str
    sample: int
    reply: str
    sha256: str


def default_path() -> Path:
    """Return the file of this user and machine: `$XDG_CACHE_HOME/raise-planner/replies.sqlite`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "raise-planner" / "replies.sqlite"


def checksum(reply: str) -> str:
    """Return what the column `sha256` holds for `reply`."""
    return hashlib.sha256(reply.encode()).hexdigest()


class ReplyCache:
    """An open cache file; use from one thread at a time (any thread).

    Parameters
    ----------
    path : made with its folder where missing, unless `read_only`

    Raises
    ------
    UserError
        the file is missing (`read_only`), cannot be opened or written, or is no cache of this format.
    """

    def __init__(self, path: Path | str | None = None, read_only: bool = False) -> None:
        self.path = default_path() if path is None else Path(path).expanduser()
        try:
            self._db = self._open(read_only)
        except sqlite3.Error as error:
            raise UserError(f"cache {self.path}: {error}, expected a cache file of replies") from None
        except OSError as error:
            raise UserError(
                f"cache {self.path}: {error.strerror}, expected a file that can be written"
            ) from None

    def _open(self, read_only: bool) -> sqlite3.Connection:
        if read_only:
            if not self.path.is_file():
                raise UserError(f"cache {self.path}: there is no such file, expected a cache of replies")
            db = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False
            )
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made by hand: SQLite would use the umask, and gives its -wal and -shm the mode of the file.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            # In WAL mode a commit outlives the process from here on; only power loss can take the last ones.
            db.execute("PRAGMA synchronous=NORMAL")
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, FORMAT) or (found == 0 and read_only):
            raise UserError(f"cache {self.path}: format {found}, expected {FORMAT}")
        if found == 0:
            db.execute(_TABLE)
            db.execute(f"PRAGMA user_version={FORMAT}")
        return db

    def get(self, key: str) -> str | None:
        """Return the reply stored under `key`, None where there is none.

        Raises
        ------
        UserError
            the file is damaged.
        """
        rows = self._read("SELECT reply, sha256 FROM replies WHERE key = ?", (key,))
        if not rows:
            return None
        row = rows[0]
        if checksum(row[0]) != row[1]:
            raise UserError(f"cache {self.path}: the reply {key[:12]} is damaged (its checksum differs)")
        return str(row[0])

    def put(self, key: str, model: str, sample: int, reply: str) -> str:
        """Store `reply` and return what the file holds under `key` now: what came first stays.

        Two processes may have asked the same at once; both go on with the one reply that every later run
        will read.
        """
        row = (key, model, sample, reply, checksum(reply))
        if self._run("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?)", row).rowcount:
            return reply
        return self.get(key) or reply

    def rows(self) -> Iterator[CacheRow]:
        """Yield all rows in the order of their keys."""
        found = self._run("SELECT key, model, sample, reply, sha256 FROM replies ORDER BY key", ())
        try:
            for row in found:
                yield CacheRow(*row)
        except sqlite3.Error as error:
            raise UserError(f"cache {self.path}: {error}, expected a cache file of replies") from None

    def integrity(self) -> list[str]:
        """Return what SQLite finds wrong with the file, nothing when all is well."""
        return [str(row[0]) for row in self._read("PRAGMA integrity_check") if row[0] != "ok"]

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows; a damaged file may show itself only while they are fetched."""
        found = self._run(statement, values)
        try:
            return found.fetchall()
        except sqlite3.Error as error:
            raise UserError(f"cache {self.path}: {error}, expected a cache file of replies") from None

    def _run(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise UserError(f"cache {self.path}: {error}, expected a cache file of replies") from None

    def models(self) -> list[str]:
        """Return the names of all models that have replies here."""
        return [str(row[0]) for row in self._read("SELECT DISTINCT model FROM replies ORDER BY model")]

    def __len__(self) -> int:
        return int(self._read("SELECT count(*) FROM replies")[0][0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()
