"""Link between a driver and its workers' processes, on this machine or others.

What one process has to own for all of them (the file of replies, who asks for what, the books) is the
driver's; workers ask it. Messages are JSON with their length before them, over TCP. The first is a secret
that came with the pickled engine; who has none is not listened to. The driver listens on loopback alone,
unless the environment variable `RAISE_PLANNER_HOST` names its address for workers on other machines.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from envs.errors import OutsideError, UserError

HOST_VARIABLE = "RAISE_PLANNER_HOST"
_LENGTH_BYTES = 4
_BACKLOG = 4096
"""Workers that may come at one moment."""
_SILENT_S, _PROBES = 20, 6
"""Seconds after which the system asks a silent other end, and how often: so a lost machine is found out."""
_LONGEST, _LONGEST_SECRET = 2**28, 2**10
"""Bytes of a message, and of the first one, which anybody may send."""

Operation = Callable[["Caller", Mapping[str, Any]], Awaitable[Any]]
"""Answers one message of a worker, with plain data."""


class DriverGone(OutsideError):
    """The process that started this worker has ended, or cannot be reached."""


class Address(NamedTuple):
    """Where a driver listens, and what it wants to hear first."""

    host: str
    port: int
    secret: str


class Caller:
    """One worker's connection, as the driver sees it; what is to be undone when it ends is in `on_end`."""

    def __init__(self) -> None:
        self.on_end: dict[Any, Callable[[], None]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.has_ended = False

    def end(self) -> None:
        """Stop what is under way for the worker, and undo what it has not finished."""
        self.has_ended = True
        for task in self.tasks:
            task.cancel()
        for undo in list(self.on_end.values()):
            undo()
        self.on_end.clear()


class DriverServer:
    """Answers workers on the loop that `start` is called on.

    `operations`: by the `do` of a message.
    """

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations
        self._secret = secrets.token_hex(32)
        self._starting: asyncio.Task[asyncio.Server] | None = None

    async def start(self) -> Address:
        """Listen, if not yet, and return where."""
        host = os.environ.get(HOST_VARIABLE, "127.0.0.1")
        if self._starting is None:
            listen = asyncio.start_server(self._serve, host, 0, backlog=_BACKLOG)
            self._starting = asyncio.ensure_future(listen)
        server = await asyncio.shield(self._starting)
        return Address(host, server.sockets[0].getsockname()[1], self._secret)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller()
        _keep_alive(writer)
        try:
            if not hmac.compare_digest(str(await _read(reader, _LONGEST_SECRET)), self._secret):
                return
            while True:
                message = await _read(reader)
                task = asyncio.ensure_future(self._answer(caller, message, writer))
                caller.tasks.add(task)
                task.add_done_callback(caller.tasks.discard)
                task.add_done_callback(lambda done: None if _is_well(done) else writer.transport.abort())
                # Its first step comes before the next message: what waits for nothing is done in the order
                # in which it came, also where the worker has ended meanwhile.
                await asyncio.sleep(0)
        except (OSError, EOFError, ValueError):
            pass  # the worker has ended, however it did
        finally:
            caller.end()
            writer.close()

    async def _answer(self, caller: Caller, message: Any, writer: asyncio.StreamWriter) -> None:
        number = message.get("number")
        try:
            answer = {"number": number, "is": await self._operations[message["do"]](caller, message)}
        except UserError as error:
            answer = {"number": number, "error": str(error), "exit_code": error.exit_code}
        if number is not None and not writer.is_closing():
            writer.write(_packed(answer))


class DriverLink:
    """A worker's end of the link; used on one loop, of the process that opened it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._opening: asyncio.Task[asyncio.StreamWriter] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._unsent: list[bytes] = []

    async def ask(self, do: str, **values: Any) -> Any:
        """Return the driver's answer.

        Raises
        ------
        DriverGone
            it has ended, or cannot be reached.
        UserError, OutsideError
            what the driver raised.
        """
        writer = await self._opened()
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            writer.write(_packed({"do": do, "number": number, **values}))
            found = await answer
        finally:
            self._waiting.pop(number, None)
        if "error" in found:
            kind = OutsideError if found["exit_code"] == OutsideError.exit_code else UserError
            raise kind(found["error"])
        return found["is"]

    def tell(self, do: str, **values: Any) -> None:
        """Send what wants no answer; it arrives before what is sent after it."""
        message = _packed({"do": do, **values})
        self._opening = self._opening or asyncio.ensure_future(self._open())
        if self._opening.done() and self._opening.exception() is None:
            self._opening.result().write(message)
        else:
            self._unsent.append(message)

    async def _opened(self) -> asyncio.StreamWriter:
        self._opening = self._opening or asyncio.ensure_future(self._open())
        writer = await asyncio.shield(self._opening)
        if writer.is_closing():
            raise _gone()
        return writer

    async def _open(self) -> asyncio.StreamWriter:
        host, port, secret = self.address
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            raise _gone() from None
        _keep_alive(writer)
        writer.write(b"".join([_packed(secret), *self._unsent]))
        self._unsent.clear()
        self._listening = asyncio.ensure_future(self._listen(reader, writer))
        return writer

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                answer = await _read(reader)
                waiting = self._waiting.get(answer["number"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (OSError, EOFError, ValueError):
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(_gone())


def _is_well(done: asyncio.Task[None]) -> bool:
    """Tell whether a message was answered; where a fault of ours kept it, nobody is to wait for it."""
    return done.cancelled() or done.exception() is None


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    line = writer.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":  # elsewhere the system's own times hold
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_S)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SILENT_S)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)


def _gone() -> DriverGone:
    return DriverGone("the process that started this worker has ended; resume=true goes on from there")


def _packed(message: Any) -> bytes:
    raw = json.dumps(message, separators=(",", ":")).encode()
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw


async def _read(reader: asyncio.StreamReader, longest: int = _LONGEST) -> Any:
    size = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
    if size > longest:
        raise ValueError
    return json.loads(await reader.readexactly(size))
