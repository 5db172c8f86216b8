"""Cache of replies: one SQLite file, safe for many processes of one machine, readable by its owner alone.

A row is what one attempt at a request brought: key (see `ChatRequest.key`), whose reply it is, the attempt,
model, sample index, why the reply cannot be used (null = usable), the reply as JSON and its SHA-256.
Refusals, cut and unreadable replies are kept as what they are, so that a run replays as it was; what never
arrived (an error of the endpoint or on the way) is never written. Prompts are not in it, only their hash;
replies may repeat what somebody said, hence mode 600.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from envs.checking.damaged import SQLITE_DAMAGE, told_by_sqlite
from envs.errors import OutsideError, UserError
from envs.llm.cache import formats

LOCK_S = 30.0
"""Seconds to wait for a lock that another process holds."""


class ReplyKey(NamedTuple):
    """Which reply: of which request, whose (`Endpoint.identity`), and of which attempt at it."""

    key: str
    endpoint: str
    attempt: int = 0


class CacheRow(NamedTuple):
    """One stored reply: `reply` is JSON, `sha256` of its UTF-8 bytes, `reason` why it cannot be used."""

    key: str
    endpoint: str
    attempt: int
    model: str
    sample: int
    reason: str | None
    reply: str
    sha256: str

    @property
    def is_damaged(self) -> bool:
        """Tell whether the reply is not the one that was written."""
        return checksum(self.reply) != self.sha256


class DamagedReply(UserError):
    """A reply whose checksum differs."""


class CacheLocked(OutsideError):
    """Another process holds the file's lock for too long."""


def default_path() -> Path:
    """Return the file of this user and machine: `$XDG_CACHE_HOME/raise-planner/replies.sqlite`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "raise-planner" / "replies.sqlite"


def checksum(reply: str) -> str:
    """Return what the column `sha256` holds for `reply`."""
    return hashlib.sha256(reply.encode()).hexdigest()


def only_endpoint(sources: Sequence[tuple[str, str]], model: str, path: str, place: str) -> str:
    """Return whose replies of `model` the file has; what is missing is told when it is looked for."""
    found = [endpoint for of, endpoint in sources if of == model]
    if len(found) > 1:
        raise UserError(
            f"{place}.cache_as: {path} has replies of {model} of {', '.join(found)}, expected one of them"
        )
    return found[0] if found else formats.UNKNOWN


class ReplyCache:
    """An open cache file; use from one thread at a time (any thread).

    Parameters
    ----------
    path : made with its folder where missing, unless `read_only`

    Raises
    ------
    UserError
        the file is missing (`read_only`), cannot be opened or written, or is no cache of this format.
    CacheLocked
        another process holds its lock.
    """

    def __init__(self, path: Path | str | None = None, read_only: bool = False) -> None:
        self.path = default_path() if path is None else Path(path).expanduser()
        try:
            self._db = self._open(read_only)
        except SQLITE_DAMAGE as error:
            raise self._told(error) from None
        except OSError as error:
            raise UserError(
                f"cache {self.path}: {error.strerror}, expected a file that can be written"
                f"{'; judge=replay only reads it' if self.path.is_file() else ''}"
            ) from None

    def _open(self, read_only: bool) -> sqlite3.Connection:
        if read_only:
            if not self.path.is_file():
                raise UserError(f"cache {self.path}: there is no such file, expected a cache of replies")
            address = f"{self.path.absolute().as_uri()}?{self._way_to_read()}"
            db = sqlite3.connect(address, uri=True, timeout=LOCK_S, check_same_thread=False)
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made by hand: SQLite would use the umask, and gives its -wal and -shm the mode of the file.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            db = sqlite3.connect(self.path, timeout=LOCK_S, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            # In WAL mode a commit outlives the process from here on; only power loss can take the last ones.
            db.execute("PRAGMA synchronous=NORMAL")
        formats.prepare(db, str(self.path), read_only)
        return db

    def _way_to_read(self) -> str:
        """Return how SQLite is to open a file that is only read.

        In WAL mode a reader wants to write beside the file (its index of the log). Where nobody can, nobody
        is writing either, and the file is all there is, unless a log was left behind.
        """
        beside = os.access(self.path.parent, os.W_OK)
        log = self.path.with_name(self.path.name + "-wal")
        if beside or (log.exists() and log.with_name(self.path.name + "-shm").exists()):
            return "mode=ro"
        if log.exists() and log.stat().st_size:
            raise UserError(
                f"cache {self.path}: its newest replies are in {log.name}, which needs a folder that can be "
                f"written to be read, expected a copy of both in one"
            )
        return "mode=ro&immutable=1"

    def get(self, key: ReplyKey) -> str | None:
        """Return the reply stored under `key`, None where there is none.

        Raises
        ------
        DamagedReply
            it is not the one that was written.
        UserError
            the file is damaged.
        """
        rows = self._read(_SELECT, key)
        if not rows:
            return None
        if checksum(rows[0][0]) != rows[0][1]:
            raise DamagedReply(
                f"cache {self.path}: the reply {key.key[:12]} is damaged (its checksum differs); "
                f"raise-planner cache repair {self.path} takes such replies out"
            )
        return str(rows[0][0])

    def put(self, key: ReplyKey, model: str, sample: int, reply: str, reason: str | None = None) -> str:
        """Store `reply` and return what the file holds under `key` now: what came first stays.

        Two processes may have asked the same at once; both go on with the one reply that every later run
        will read.
        """
        return self.add(CacheRow(*key, model, sample, reason, reply, checksum(reply)))

    def add(self, row: CacheRow) -> str:
        """Store `row` if there is none of its key, and return the reply that is held; claims to it end."""
        key = ReplyKey(row.key, row.endpoint, row.attempt)
        with self.transaction():
            added = self.run("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            self.run(_UNCLAIM, key)
        return row.reply if added.rowcount else self.get(key) or row.reply

    def remove(self, key: ReplyKey) -> None:
        """Take the reply out; it will be asked for again."""
        self.run(_REMOVE, key)

    def forget_failures(self) -> int:
        """Take out all attempts at requests of which none brought a usable reply; return their number."""
        return self.run(
            "DELETE FROM replies WHERE (key, endpoint) IN"
            " (SELECT key, endpoint FROM replies GROUP BY key, endpoint"
            " HAVING sum(reason IS NULL) = 0)"
        ).rowcount

    def assign(self, endpoint: str) -> int:
        """Say that the replies whose endpoint nobody knows are of `endpoint`; return their number.

        Where that has a reply under the same key it stays, and the other is still nobody's.
        """
        return self.run(
            "UPDATE OR IGNORE replies SET endpoint = ? WHERE endpoint = ?", (endpoint, formats.UNKNOWN)
        ).rowcount

    def rows(self, first: str = "", below: str | None = None) -> Iterator[CacheRow]:
        """Yield all rows in the order of their keys, from key `first` on to one `below`."""
        where = "WHERE key >= ? " if below is None else "WHERE key >= ? AND key < ? "
        bounds = (first,) if below is None else (first, below)
        columns = "SELECT key, endpoint, attempt, model, sample, reason, reply, sha256 FROM replies "
        found = self.run(columns + where + "ORDER BY key, endpoint, attempt", bounds)
        try:
            for row in found:
                yield CacheRow(*row)
        except SQLITE_DAMAGE as error:
            raise self._told(error) from None

    def integrity(self) -> list[str]:
        """Return what SQLite finds wrong with the file, nothing when all is well."""
        found = [line for row in self._read("PRAGMA integrity_check") for line in str(row[0]).splitlines()]
        return [line for line in found if line != "ok"]

    def sources(self) -> list[tuple[str, str]]:
        """Return (model, endpoint) of all that have replies here."""
        return [
            (str(model), str(endpoint))
            for model, endpoint in self._read("SELECT DISTINCT model, endpoint FROM replies ORDER BY 1, 2")
        ]

    def transaction(self) -> formats.Transaction:
        """Return a context in which several statements are one."""
        return formats.Transaction(self.run)

    def run(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run one statement; errors become `UserError`s."""
        try:
            return self._db.execute(statement, values)
        except SQLITE_DAMAGE as error:
            raise self._told(error) from None

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows; a damaged file may show itself only while they are fetched."""
        found = self.run(statement, values)
        try:
            return found.fetchall()
        except SQLITE_DAMAGE as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> UserError:
        """Return what to raise: what is locked or full can work later, what is no cache never will."""
        code = int(vars(error).get("sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) & 0xFF
        said = told_by_sqlite(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return CacheLocked(
                f"cache {self.path}: another process has held its lock for {LOCK_S:.0f} s, expected one that "
                f"lets others at it; what was paid for is saved"
            )
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            return OutsideError(f"cache {self.path}: {said}, expected a disk that can be written")
        if code == sqlite3.SQLITE_CORRUPT:
            return UserError(
                f"cache {self.path}: {said}, expected a cache file of replies; "
                f"raise-planner cache repair {self.path} keeps what can be read"
            )
        return UserError(f"cache {self.path}: {said}, expected a cache file of replies")

    def __len__(self) -> int:
        return int(self._read("SELECT count(*) FROM replies")[0][0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


_SELECT = "SELECT reply, sha256 FROM replies WHERE key = ? AND endpoint = ? AND attempt = ?"
_REMOVE = "DELETE FROM replies WHERE key = ? AND endpoint = ? AND attempt = ?"
_UNCLAIM = "DELETE FROM claims WHERE key = ? AND endpoint = ? AND attempt = ?"
