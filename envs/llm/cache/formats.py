"""Tables of a cache file, and files of earlier releases.

Format 1 kept one reply a key and not whose it was: such replies are nobody's (`UNKNOWN`) until the user says.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from types import TracebackType

from envs.errors import UserError

FORMAT = 2
UNKNOWN = "unknown"
"""The endpoint of replies that earlier releases kept, which did not write it down."""

_TABLES = (
    """CREATE TABLE replies (
        key TEXT NOT NULL, endpoint TEXT NOT NULL, attempt INTEGER NOT NULL,
        model TEXT NOT NULL, sample INTEGER NOT NULL, reason TEXT, reply TEXT NOT NULL, sha256 TEXT NOT NULL,
        PRIMARY KEY (key, endpoint, attempt)
    ) WITHOUT ROWID""",
    """CREATE TABLE claims (
        key TEXT NOT NULL, endpoint TEXT NOT NULL, attempt INTEGER NOT NULL, owner TEXT NOT NULL,
        PRIMARY KEY (key, endpoint, attempt)
    ) WITHOUT ROWID""",
    "CREATE TABLE owners (owner TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
)
_OF_FORMAT_1 = (
    f"SELECT key, '{UNKNOWN}' AS endpoint, 0 AS attempt, model, sample, NULL AS reason, reply, sha256"
)


class Transaction:
    """Statements that are done together or not at all; `run` runs one."""

    def __init__(self, run: Callable[[str], object]) -> None:
        self._run = run

    def __enter__(self) -> None:
        self._run("BEGIN IMMEDIATE")  # a lock that is taken later, by an upgrade, waits for nobody

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run("COMMIT" if error is None else "ROLLBACK")


def prepare(db: sqlite3.Connection, path: str, read_only: bool) -> None:
    """Make the tables in a new file, or bring those of an earlier release up to date.

    A file of an earlier release that is only read stays as it is, behind a view.

    Raises
    ------
    UserError
        the file is of another format, or of something else.
    """
    found = _format(db)
    if found == FORMAT:
        return
    if found not in (0, 1) or (found == 0 and read_only):
        raise UserError(f"cache {path}: format {found}, expected {FORMAT}")
    if read_only:
        db.execute("PRAGMA temp_store=MEMORY")
        db.execute(f"CREATE TEMP VIEW replies AS {_OF_FORMAT_1} FROM main.replies")
        return
    with Transaction(db.execute):
        found = _format(db)  # another process may have been first
        if found == 0 and db.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise UserError(f"cache {path}: holds tables of something else, expected a cache file of replies")
        if found == 1:
            db.execute("ALTER TABLE replies RENAME TO replies_1")
        if found in (0, 1):
            for table in _TABLES:
                db.execute(table)
            if found == 1:
                db.execute(f"INSERT INTO replies {_OF_FORMAT_1} FROM replies_1")
                db.execute("DROP TABLE replies_1")
                print(
                    f"warning: cache {path}: an earlier release did not keep whose its replies are; "
                    f"raise-planner cache assign {path} --to ENDPOINT says it",
                    file=sys.stderr,
                )
            db.execute(f"PRAGMA user_version={FORMAT}")


def _format(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
