"""Who may ask for a reply: one at a time, of all that share a cache file.

In a process a desk knows what is under way; between processes of one machine the file says it
(`file_claims`); workers ask the desk of their driver (`remote_desk`).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Protocol

from envs.llm.cache.file_claims import RENEWED_EVERY_S, Claims
from envs.llm.cache.reply_cache import DamagedReply, ReplyCache, ReplyKey

_FIRST_LOOK_S, _LAST_LOOK_S = 0.02, 0.25
"""Seconds between two looks at what another process was asked for: they grow from one to the other."""


class Desk(Protocol):
    """Hands out replies and claims to them; used on one loop."""

    async def get(self, key: ReplyKey) -> str | None:
        """Return the reply if there is one now."""
        ...

    async def take(self, key: ReplyKey) -> str | None:
        """Return the reply, waiting for one who is asking for it; None = it is the caller's to ask for.

        Who got None has to `put` or to `drop` it.
        """
        ...

    async def put(self, key: ReplyKey, model: str, sample: int, reply: str, reason: str | None) -> str:
        """Store a reply that was the caller's to ask for; return what is held: all go on with that."""
        ...

    async def drop(self, key: ReplyKey) -> None:
        """Give back what was the caller's to ask for, for another to try."""
        ...


class FileDesk:
    """The desk of one process over its cache file."""

    def __init__(self, path: Path | str, read_only: bool = False) -> None:
        self._cache = ReplyCache(path, read_only)
        self._read_only = read_only
        self._claims = Claims(self._cache)
        self._under_way: dict[ReplyKey, asyncio.Event] = {}
        self._beat: asyncio.Task[None] | None = None
        self._told_of_damage = False

    async def get(self, key: ReplyKey) -> str | None:
        """Return the reply if there is one now."""
        return self._got(key)

    async def take(self, key: ReplyKey) -> str | None:
        """Return the reply, or None: it is the caller's to ask for. A file only read has no claims."""
        look_s = _FIRST_LOOK_S
        while True:
            found = self._got(key)
            if found is not None or self._read_only:
                return found
            other = self._under_way.get(key)
            if other is not None:
                await other.wait()
                continue
            if self._claims.take(key):
                self._under_way[key] = asyncio.Event()
                self._keep_alive()
                return None
            await asyncio.sleep(look_s)
            look_s = min(_LAST_LOOK_S, 1.5 * look_s)

    async def put(self, key: ReplyKey, model: str, sample: int, reply: str, reason: str | None) -> str:
        """Store a reply and return what is held."""
        try:
            held = self._cache.put(key, model, sample, reply, reason)
            self._claims.settled(key)
        finally:
            self._over(key)
        return held

    async def drop(self, key: ReplyKey) -> None:
        """Give back what was the caller's to ask for."""
        self.dropped(key)

    def dropped(self, key: ReplyKey) -> None:
        """Do what `drop` does, at once."""
        try:
            self._claims.drop(key)
        finally:
            self._over(key)

    def _over(self, key: ReplyKey) -> None:
        waiting = self._under_way.pop(key, None)
        if waiting is not None:
            waiting.set()

    def _got(self, key: ReplyKey) -> str | None:
        try:
            return self._cache.get(key)
        except DamagedReply as error:
            if self._read_only:
                raise
            if not self._told_of_damage:
                self._told_of_damage = True
                print(f"warning: {error}; it is asked for again", file=sys.stderr)
            self._cache.remove(key)
            return None

    def _keep_alive(self) -> None:
        if self._beat is None or self._beat.done():
            self._beat = asyncio.ensure_future(self._beats())

    async def _beats(self) -> None:
        while self._claims.are_held:
            await asyncio.sleep(RENEWED_EVERY_S)
            self._claims.renew()
