"""Claims in a cache file: of the processes of one machine one asks for a reply, the others wait for it.

An owner of claims shows that it lives by a date in the file that it renews. What a dead one claimed is free
after that date, or at once where it can be seen that its process has ended.
"""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from envs.llm.cache.reply_cache import ReplyCache, ReplyKey

LEASE_S, RENEWED_EVERY_S = 20.0, 5.0
"""Seconds that a claim holds without a sign of its owner, and between two signs."""


class Claims:
    """What one owner, a part of this process, claims in `cache`; used by one thread at a time."""

    def __init__(self, cache: ReplyCache) -> None:
        self._cache = cache
        self.owner = "/".join([_namespace(), str(os.getpid()), _began(os.getpid()), uuid.uuid4().hex])
        self._held: set[ReplyKey] = set()
        self._renewed = 0.0

    def take(self, key: ReplyKey) -> bool:
        """Claim a reply that is not in the file; False where it is, or another has claimed it."""
        self.renew()
        now = time.time()
        taken = self._cache.run(
            "INSERT INTO claims SELECT ?, ?, ?, ? WHERE NOT EXISTS"
            " (SELECT 1 FROM replies WHERE key = ? AND endpoint = ? AND attempt = ?)"
            " ON CONFLICT DO UPDATE SET owner = excluded.owner"
            " WHERE owner NOT IN (SELECT owner FROM owners WHERE until > ?)",
            (*key, self.owner, *key, now),
        ).rowcount
        if taken:
            self._held.add(key)
        else:
            self._free_if_dead(key)
        return bool(taken)

    def drop(self, key: ReplyKey) -> None:
        """Give up a claim: another may ask."""
        if key in self._held:
            self._held.discard(key)
            self._cache.run(
                "DELETE FROM claims WHERE key = ? AND endpoint = ? AND attempt = ? AND owner = ?",
                (*key, self.owner),
            )

    def settled(self, key: ReplyKey) -> None:
        """Know that `key` was stored, which ended the claim to it."""
        self._held.discard(key)

    @property
    def are_held(self) -> bool:
        """Tell whether there are any."""
        return bool(self._held)

    def renew(self) -> None:
        """Show that the owner lives, if it is time to."""
        now = time.time()
        if not 0 <= now - self._renewed < RENEWED_EVERY_S:
            self._renewed = now
            self._cache.run("INSERT OR REPLACE INTO owners VALUES (?, ?)", (self.owner, now + LEASE_S))
            self._cache.run("DELETE FROM owners WHERE until < ?", (now - LEASE_S,))

    def close(self) -> None:
        """Give up all claims."""
        self._held.clear()
        self._cache.run("DELETE FROM claims WHERE owner = ?", (self.owner,))
        self._cache.run("DELETE FROM owners WHERE owner = ?", (self.owner,))

    def _free_if_dead(self, key: ReplyKey) -> None:
        held = self._cache.run(
            "SELECT owner FROM claims WHERE key = ? AND endpoint = ? AND attempt = ?", key
        ).fetchone()
        if held is not None and has_ended(held[0]):
            self._cache.run("DELETE FROM owners WHERE owner = ?", held)


def has_ended(owner: str) -> bool:
    """Tell whether the process of `owner` is known to have ended; False where that cannot be seen."""
    namespace, pid, began, _ = owner.split("/")
    return bool(namespace) and namespace == _namespace() and _began(int(pid)) != began


def _namespace() -> str:
    """Return what process numbers are counted in, "" where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """Return when the process `pid` was started, in ticks since boot; "" where there is none (or no /proc).

    A number comes again after a while, but not with the same start. A zombie has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return ""
    state, *rest = fields.split()
    return "" if state in ("Z", "X") else rest[18]
