"""Conversations of clients that send only their last message: encrypted in one SQLite file, for a while.

What is stored is the list of messages, from which each turn is rebuilt as from a client's own list. A session
is named by 256 random bits that this service makes; the file knows their hash alone, bound to the key of the
client that began it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import Field

from envs import OutsideError, UserError
from envs.checking.damaged import SQLITE_DAMAGE
from envs.checking.validation import settings

_BUSY_S = 10.0
_TABLE = (
    "CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, version INTEGER NOT NULL, "
    "used REAL NOT NULL, content BLOB NOT NULL) WITHOUT ROWID; "
    "CREATE INDEX IF NOT EXISTS used ON sessions (used);"
)

_MAKES_KEY = "openssl rand -base64 32 | tr +/ -_ prints"


@settings
class SessionSettings:
    """Where conversations are kept, and how long."""

    path: str = Field(default="sessions.sqlite", description="SQLite file, readable by its owner alone")
    key_variable: str = Field(
        default="RAISE_SESSION_KEY",
        description="environment variable with Fernet keys, separated by commas; the first one encrypts",
    )
    ttl_hours: float = Field(default=24.0, gt=0, description="hours after its last turn that a session lives")
    place: ClassVar[str] = "session"


@dataclass(frozen=True)
class StoredSession:
    """One conversation.

    `messages`: as sent, instructions left out; `n_before`: how many there were before the last turn; `turn`:
    a digest of that turn's request; `version`: counts turns.
    """

    messages: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    n_before: int = 0
    turn: str = ""
    version: int = 0


class SessionStore:
    """The sessions of all workers; safe to call from many threads and processes.

    Raises
    ------
    UserError
        no key, a key that is none, or a file that cannot be opened.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self._path = Path(settings.path).expanduser()
        self._ttl_s = settings.ttl_hours * 3600
        self._fernet = _fernet(settings.key_variable)
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with self._connection() as connection:
                connection.executescript(f"PRAGMA journal_mode=WAL; {_TABLE}")
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"session.path={self._path}: {error}, expected a SQLite file or none") from None

    def new_id(self) -> str:
        """Return a name for a session that nobody can guess."""
        return secrets.token_urlsafe(32)

    def read(self, owner: str, session_id: str) -> StoredSession | None:
        """Return a session of `owner`, None where there is none, or it has expired."""
        name = _name(owner, session_id)
        with self._connection() as connection:
            row = connection.execute(
                "SELECT version, content FROM sessions WHERE name = ? AND used > ?",
                (name, time.time() - self._ttl_s),
            ).fetchone()
        return None if row is None else self._opened(name, *row)

    def write(self, owner: str, session_id: str, session: StoredSession) -> bool:
        """Keep a session in place of its `version`; return False where another turn was faster.

        Sessions that have expired are removed with it.
        """
        name, now = _name(owner, session_id), time.time()
        content = {"name": name, "messages": session.messages, "n_before": session.n_before}
        token = self._fernet.encrypt(json.dumps({**content, "turn": session.turn}).encode())
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")  # a lock that is upgraded later does not wait
            connection.execute("DELETE FROM sessions WHERE used <= ?", (now - self._ttl_s,))
            row = connection.execute("SELECT version FROM sessions WHERE name = ?", (name,)).fetchone()
            is_next = (0 if row is None else row[0]) == session.version
            if is_next:
                values = (name, session.version + 1, now, token)
                connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)", values)
            connection.execute("COMMIT")
        return is_next

    def delete(self, owner: str, session_id: str) -> bool:
        """Remove a session; return whether there was one."""
        with self._connection() as connection:
            found = connection.execute("DELETE FROM sessions WHERE name = ?", (_name(owner, session_id),))
            return found.rowcount > 0

    def is_ready(self) -> bool:
        """Tell whether the file answers."""
        try:
            with self._connection() as connection:
                connection.execute("SELECT 1 FROM sessions LIMIT 1").fetchone()
        except OutsideError:
            return False
        return True

    def _opened(self, name: str, version: int, token: bytes) -> StoredSession | None:
        try:
            content = json.loads(self._fernet.decrypt(token))
        except InvalidToken:
            return None  # of a key that is gone, and so is what it held
        if content["name"] != name:
            return None  # a row that was put in another's place
        return StoredSession(tuple(content["messages"]), content["n_before"], content["turn"], version)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, _BUSY_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA secure_delete=ON")
                yield connection
        except SQLITE_DAMAGE as error:
            raise OutsideError(f"session.path: {type(error).__name__} of {self._path.name}") from None


def _name(owner: str, session_id: str) -> str:
    return hashlib.sha256(f"{owner}/{session_id}".encode("utf-8", "replace")).hexdigest()


def _fernet(variable: str) -> MultiFernet:
    keys = [key.strip() for key in os.environ.get(variable, "").split(",") if key.strip()]
    try:
        found = [Fernet(key) for key in keys]
    except ValueError:
        found = []
    if not found:
        raise UserError(f"session.key_variable: {variable} holds no Fernet key, expected what {_MAKES_KEY}")
    return MultiFernet(found)
