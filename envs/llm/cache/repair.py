"""Repair of a cache file: what can be read and is whole is kept, everything else is asked for again."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from envs.errors import OutsideError, UserError
from envs.llm.cache.reply_cache import CacheRow, ReplyCache, ReplyKey
from envs.llm.messages import ModelReply

_DIGITS = "0123456789abcdef"
_BYTES_A_REPLY = 300
_LOG = ("-wal", "-shm")


class Repaired(NamedTuple):
    """Replies kept, and replies that could be read and were damaged.

    `unread`: share of the keys that could not be read, which is about that of replies (keys are hashes).
    `is_new`: SQLite could not use the file any more; another stands in its place.
    """

    kept: int
    damaged: int
    unread: float
    is_new: bool


def is_whole(row: CacheRow) -> bool:
    """Tell whether `row` holds the reply that was written, and that one is a reply."""
    if row.is_damaged:
        return False
    try:
        ModelReply.from_json(row.reply)
    except (ValueError, KeyError, TypeError):
        return False
    return True


def repair(path: Path, backup: Path) -> Repaired:
    """Take out of the cache file `path` what is damaged.

    Where it is only replies, they go, and a run may use the file meanwhile. Where it is the file, what can be
    read of it goes to a new one in its place, and the old one becomes `backup`: nothing may use it then.

    Raises
    ------
    UserError
        the file is no cache at all, or `backup` exists and is needed.
    """
    if not path.is_file():
        raise UserError(f"cache {path}: there is no such file, expected a cache of replies")
    if _is_sound(path):
        with closing(ReplyCache(path)) as cache:
            bad = [ReplyKey(row.key, row.endpoint, row.attempt) for row in cache.rows() if not is_whole(row)]
            for key in bad:
                cache.remove(key)
            return Repaired(len(cache), len(bad), 0.0, False)
    if backup.exists():
        raise UserError(f"cache {backup}: found a file, expected none: the old cache is to go there")
    return _written_anew(path, backup)


def _is_sound(path: Path) -> bool:
    try:
        with closing(ReplyCache(path)) as cache:
            return not cache.integrity()
    except OutsideError:  # locked, or the disk: no reason to write another
        raise
    except UserError:
        return False


def _written_anew(path: Path, backup: Path) -> Repaired:
    new = path.with_name(f"{path.name}.repaired")
    new.unlink(missing_ok=True)
    unread: list[str] = []
    damaged: set[tuple[str, str, int]] = set()
    deepest = 1 + math.ceil(math.log(1 + path.stat().st_size / _BYTES_A_REPLY, len(_DIGITS)))
    with closing(ReplyCache(path, read_only=True)) as old, closing(ReplyCache(new)) as repaired:
        for row in _readable(old, "", deepest, unread):
            if is_whole(row):
                repaired.add(row)
            else:
                damaged.add(row[:3])
        kept = len(repaired)
        repaired.run("PRAGMA journal_mode=DELETE")  # the log goes into the file, which can be moved then
    for end in ("", *_LOG):  # a log belongs to its file
        file = path.with_name(path.name + end)
        if file.exists():
            os.rename(file, backup.with_name(backup.name + end))
    os.rename(new, path)
    lost = sum(len(_DIGITS) ** -len(prefix) for prefix in unread)
    return Repaired(kept, len(damaged), lost, True)


def _readable(cache: ReplyCache, prefix: str, deepest: int, unread: list[str]) -> Iterator[CacheRow]:
    """Yield the rows of keys that begin with `prefix`, past damaged pages; some come twice.

    Keys are hexadecimal digits: a range that cannot be read divides into sixteen, down to `deepest` digits,
    at which one holds a reply or none. `unread` gets those that cannot be read.
    """
    try:
        yield from cache.rows(prefix, prefix + "g" if prefix else None)
    except UserError:
        if len(prefix) >= deepest:
            unread.append(prefix)
            return
        for digit in _DIGITS:
            yield from _readable(cache, prefix + digit, deepest, unread)
