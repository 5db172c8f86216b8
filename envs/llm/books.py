"""The books of a run: what its requests took, by model and kind.

Kind says what a request was for: `judge`, `target`, `prior`, `user`, `reader`. Each request is booked before
it can be sent, and each reply when it has come and before it is stored. So at a kill there are at least as
many requests here as the endpoint saw, and at least the tokens of all replies that are stored; what is too
much is never more than what was in flight.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from envs.errors import OutsideError, UserError


class Tokens(NamedTuple):
    """Tokens of a request as billed.

    `cached_input` and `cache_write`, what the endpoint's own cache had and what it took in, are parts of
    `input`; `reasoning` is one of `output`.
    """

    input: int = 0
    output: int = 0
    cached_input: int = 0
    reasoning: int = 0
    cache_write: int = 0


@dataclass(frozen=True)
class Account:
    """What requests of one kind to one model took.

    `requests`: HTTP requests sent; `cache_hits`: replies that none was sent for; `cached_input_tokens` and
    `cache_write_tokens` are parts of `input_tokens`, `reasoning_tokens` one of `output_tokens`;
    `dollars`: None = there is no price; `simulated`: replies that say that no model gave them.
    """

    requests: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    dollars: float | None = 0.0
    simulated: int = 0

    def __add__(self, other: Account) -> Account:
        dollars = None if self.dollars is None or other.dollars is None else self.dollars + other.dollars
        return Account(  # twice a request: written out, as a loop over the fields takes three times as long
            self.requests + other.requests,
            self.cache_hits + other.cache_hits,
            self.input_tokens + other.input_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            dollars,
            self.simulated + other.simulated,
        )

    @property
    def is_whole(self) -> bool:
        """Tell whether all fields are numbers of their kind; what a file says may be anything."""
        counts = all(type(getattr(self, name)) is int for name in _COUNTS)
        return counts and (self.dollars is None or isinstance(self.dollars, (int, float)))

    @classmethod
    def of(cls, tokens: Tokens, dollars: float | None, simulated: bool = False) -> Account:
        """Return what one reply took."""
        return cls(
            input_tokens=tokens.input,
            cached_input_tokens=tokens.cached_input,
            cache_write_tokens=tokens.cache_write,
            output_tokens=tokens.output,
            reasoning_tokens=tokens.reasoning,
            dollars=dollars,
            simulated=int(simulated),
        )


_COUNTS = tuple(field.name for field in fields(Account) if field.name != "dollars")
ONE_REQUEST, ONE_HIT = Account(requests=1), Account(cache_hits=1)
NO_REQUEST = Account(requests=-1)
"""Takes back one that was not sent after all."""

Accounts = Mapping[tuple[str, str], Account]
"""(model, kind) -> what its requests took."""


class Books:
    """Accounts by model and kind; used from any thread.

    `forward`: called with (model, kind, account) at each entry, after it is in `accounts`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: dict[tuple[str, str], Account] = {}
        self._rows: dict[tuple[str, str], str] = {}  # of each account, as it is written
        self.forward: Callable[[str, str, Account], None] | None = None
        self._path: Path | None = None
        self._file = -1
        self._longest = 0  # characters written: a shorter text is padded, so that nothing is left of another

    def keep(self, folder: Path, place: str) -> None:
        """Go on with what earlier sessions of the run in `folder` booked, and write each entry down.

        What is written (`spent_{place}.json`; of several books of one place each has its own, in the order in
        which they come) outlives this process, however it ends.

        Raises
        ------
        UserError
            the file holds something else, or cannot be written.
        """
        with self._lock:
            if self._path is not None and self._path.parent == folder:
                return
            names = itertools.chain([f"spent_{place}"], (f"spent_{place}_{n}" for n in itertools.count(2)))
            path = folder / f"spent_{place}.json"
            try:
                path, file = next(found for name in names if (found := _free(folder / f"{name}.json")))
                self._file = file
                weakref.finalize(self, os.close, file)  # a sweep has many books in one process
                text = path.read_text(encoding="utf-8")
                earlier = of_rows(json.loads(text)) if text.strip() else {}
            except OSError as error:
                raise OutsideError(f"{path}: {error.strerror}, expected a file that can be written") from None
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise UserError(f"{path}: found no books of a run, expected what one has written") from None
            self._path, self._longest = path, len(text)
            self._accounts = summed(earlier, self._accounts)
            self._rows = {key: _line(key, account) for key, account in self._accounts.items()}
            self._write()

    def _write(self) -> None:
        """Write all accounts in place: one call, in one page of the system's, which a kill does not tear."""
        if self._path is not None:
            text = f"[{', '.join(self._rows[key] for key in sorted(self._rows))}]".ljust(self._longest)
            self._longest = len(text)
            try:
                os.pwrite(self._file, text.encode(), 0)
            except OSError as error:
                raise OutsideError(
                    f"{self._path}: {error.strerror}, expected a disk that can be written"
                ) from None

    def add(self, model: str, kind: str, account: Account) -> None:
        """Enter `account`."""
        with self._lock:
            now = self._accounts[model, kind] = self._accounts.get((model, kind), Account()) + account
            if self._path is not None:
                self._rows[model, kind] = _line((model, kind), now)
                self._write()
        if self.forward is not None:
            self.forward(model, kind, account)

    @property
    def accounts(self) -> dict[tuple[str, str], Account]:
        """A copy as of now."""
        with self._lock:
            return dict(self._accounts)


def _free(path: Path) -> tuple[Path, int] | None:
    """Return the file, open and locked; None where other books of this run are in it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except OSError:
        pass  # a file system without locks
    return path, file


def summed(*books: Accounts) -> dict[tuple[str, str], Account]:
    """Return the sum of accounts of the same model and kind."""
    found: dict[tuple[str, str], Account] = {}
    for accounts in books:
        for key, account in accounts.items():
            found[key] = found.get(key, Account()) + account
    return found


def as_rows(accounts: Accounts) -> list[dict[str, Any]]:
    """Return a row of plain data for each model and kind, in the order of their names."""
    return [_row(key, account) for key, account in sorted(accounts.items())]


def _row(key: tuple[str, str], account: Account) -> dict[str, Any]:
    return {"model": key[0], "kind": key[1], **vars(account)}


def _line(key: tuple[str, str], account: Account) -> str:
    return json.dumps(_row(key, account))


def of_rows(rows: list[dict[str, Any]]) -> dict[tuple[str, str], Account]:
    """Return what `as_rows` gave rows of.

    Raises
    ------
    KeyError, TypeError
        it gave none of these.
    """
    found: dict[tuple[str, str], Account] = {}
    for row in rows:
        model, kind = row["model"], row["kind"]
        account = Account(**{name: value for name, value in row.items() if name not in ("model", "kind")})
        if not (isinstance(model, str) and isinstance(kind, str)) or not account.is_whole:
            raise TypeError
        found[model, kind] = account
    return found
