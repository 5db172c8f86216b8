"""Cache and ledger of all copies of a client: one process owns them, the others ask it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from envs.llm.admission.gate import LocalGate, RequestGate
from envs.llm.admission.remote_gate import RemoteGate, gate_operations
from envs.llm.books import Account, Books
from envs.llm.cache.desk import Desk, FileDesk
from envs.llm.cache.remote_desk import RemoteDesk, operations
from envs.llm.driver_link import Address, Caller, DriverLink, DriverServer
from envs.llm.endpoint import Limits


class Holdings:
    """Of the engine in a driver: files and books of its own, and a server for copies in other processes.

    Of a copy: a link to that server.

    Parameters
    ----------
    loop : gives the engine's loop
    driver : where the server is; None = this is the driver
    limits : of all requests, those of copies included
    """

    def __init__(
        self, loop: Callable[[], asyncio.AbstractEventLoop], driver: Address | None, limits: Limits
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._driver = driver
        self.books = Books()
        if driver is not None:
            self.books.forward = self._tell
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._files: dict[tuple[str, bool], FileDesk] = {}
        self._link = None if self._driver is None else DriverLink(self._driver)
        own = LocalGate(self._limits, self.books.add)
        self._gate: RequestGate = own if self._link is None else RemoteGate(self._link)
        self._server = DriverServer({**operations(self._file), **gate_operations(own), "book": self._entered})

    def _own(self) -> None:
        """Leave to a parent process what is its own: sockets, and open files."""
        if self._pid != os.getpid():
            self._begin()

    @property
    def gate(self) -> RequestGate:
        """Where requests wait until they may be sent; used on the loop's thread alone."""
        self._own()
        return self._gate

    def address(self) -> Address:
        """Return where copies in other processes find what is owned; the driver listens from now on."""
        self._own()
        if self._driver is not None:
            return self._driver
        return asyncio.run_coroutine_threadsafe(self._server.start(), self._loop()).result()

    def desk(self, path: str, read_only: bool) -> Desk:
        """Return the desk of a cache file; used on the loop's thread alone.

        Raises
        ------
        UserError
            the file cannot be opened.
        """
        self._own()
        return self._file(path, read_only) if self._link is None else RemoteDesk(self._link, path, read_only)

    def _file(self, path: str, read_only: bool) -> FileDesk:
        which = (path, read_only)
        if which not in self._files:
            self._files[which] = FileDesk(path, read_only)
        return self._files[which]

    async def _entered(self, caller: Caller, message: Mapping[str, Any]) -> None:
        """Enter in the books what a worker tells of."""
        self.books.add(message["model"], message["kind"], Account(**message["account"]))

    def _tell(self, model: str, kind: str, account: Account) -> None:
        """Tell the driver of an entry; called on the loop, it is on its way before anything sent later."""
        self._own()
        assert self._link is not None  # noqa: S101 - it is called where there is a driver
        self._link.tell("book", model=model, kind=kind, account=asdict(account))
