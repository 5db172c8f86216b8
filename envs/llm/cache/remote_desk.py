"""The desk of a driver for its workers: they ask it, wherever they are.

The file is the driver's alone then: SQLite's log does not work over network file systems, and another
machine may have another file of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from envs.llm.cache.desk import FileDesk
from envs.llm.cache.reply_cache import ReplyKey
from envs.llm.driver_link import Caller, DriverLink, Operation


class RemoteDesk:
    """A worker's way to the desk of its driver; `path` is that of the driver's file."""

    def __init__(self, link: DriverLink, path: str, read_only: bool) -> None:
        self._link = link
        self._which = {"path": path, "read_only": read_only}

    async def get(self, key: ReplyKey) -> str | None:
        """Return the reply if there is one now."""
        return self._text(await self._link.ask("get", key=key, **self._which))

    async def take(self, key: ReplyKey) -> str | None:
        """Return the reply, or None: it is the caller's to ask for."""
        return self._text(await self._link.ask("take", key=key, **self._which))

    async def put(self, key: ReplyKey, model: str, sample: int, reply: str, reason: str | None) -> str:
        """Store a reply and return what is held."""
        row = {"model": model, "sample": sample, "reply": reply, "reason": reason}
        return str(await self._link.ask("put", key=key, **row, **self._which))

    async def drop(self, key: ReplyKey) -> None:
        """Give back what was the caller's to ask for."""
        self._link.tell("drop", key=key, **self._which)

    def _text(self, found: Any) -> str | None:
        return None if found is None else str(found)


def operations(desk: Callable[[str, bool], FileDesk]) -> dict[str, Operation]:
    """Return what a driver answers its workers; `desk` returns that of (path, read_only).

    What a worker was to ask for and did not before it ended is free again.
    """

    def at(message: Mapping[str, Any]) -> tuple[FileDesk, ReplyKey]:
        return desk(message["path"], message["read_only"]), ReplyKey(*message["key"])

    async def get(caller: Caller, message: Mapping[str, Any]) -> str | None:
        own, key = at(message)
        return await own.get(key)

    async def take(caller: Caller, message: Mapping[str, Any]) -> str | None:
        own, key = at(message)
        found = await own.take(key)
        if found is None and not message["read_only"]:
            caller.on_end[key] = lambda: own.dropped(key)
            if caller.has_ended:
                caller.end()
        return found

    async def put(caller: Caller, message: Mapping[str, Any]) -> str:
        own, key = at(message)
        caller.on_end.pop(key, None)
        row = (message[name] for name in ("model", "sample", "reply", "reason"))
        return await own.put(key, *row)

    async def drop(caller: Caller, message: Mapping[str, Any]) -> None:
        own, key = at(message)
        caller.on_end.pop(key, None)
        own.dropped(key)

    return {"get": get, "take": take, "put": put, "drop": drop}
