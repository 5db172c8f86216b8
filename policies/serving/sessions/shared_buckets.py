"""Token buckets that all workers take from: one SQLite file, removed when the service ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from envs import OutsideError
from envs.checking.damaged import SQLITE_DAMAGE

_BUSY_S = 1.0
_TABLE = (
    "CREATE TABLE IF NOT EXISTS buckets (who TEXT PRIMARY KEY, left REAL NOT NULL, then_s REAL NOT NULL) "
    "WITHOUT ROWID; CREATE INDEX IF NOT EXISTS then_s ON buckets (then_s);"
)


class SharedBuckets:
    """`per_minute` requests a minute of each client, as many at once, whichever worker they come to.

    `path`: the file that the workers share, None = this worker is the only one. Taken from in one thread of
    each process. It takes about 0.1 ms.

    Raises
    ------
    OutsideError
        the file cannot be opened, or was locked for a second.
    """

    def __init__(self, per_minute: int, path: Path | None = None) -> None:
        self._most = float(per_minute)
        try:
            self._rows = sqlite3.connect(
                ":memory:" if path is None else path, _BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._rows.executescript(f"PRAGMA busy_timeout=1000; PRAGMA journal_mode=WAL; {_TABLE}")
            self._rows.execute("PRAGMA synchronous=OFF")  # what a crash of the machine loses counts no more
        except SQLITE_DAMAGE as error:
            raise OutsideError(f"service.requests_per_minute: {type(error).__name__} of its file") from None

    def take(self, who: str, now: float) -> float:
        """Take one of `who` at `now` seconds; return 0, or the seconds until there is one."""
        try:
            self._rows.execute("BEGIN IMMEDIATE")
            try:
                return self._taken(who, now)
            finally:
                self._rows.execute("COMMIT")
        except SQLITE_DAMAGE as error:
            raise OutsideError(f"service.requests_per_minute: {type(error).__name__} of its file") from None

    def _taken(self, who: str, now: float) -> float:
        # A bucket that was not touched for a minute is full, as one that is not there.
        self._rows.execute("DELETE FROM buckets WHERE then_s < ?", (now - 60,))
        row = self._rows.execute("SELECT left, then_s FROM buckets WHERE who = ?", (who,)).fetchone()
        left, then = row or (self._most, now)
        left = min(self._most, left + max(0.0, now - then) * self._most / 60)
        rest = left - 1 if left >= 1 else left
        self._rows.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (who, rest, max(now, then)))
        return 0.0 if left >= 1 else (1 - left) * 60 / self._most

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()
