"""Which ids a file had before, in 16 bytes each: a file of millions of records fits."""

from __future__ import annotations

import hashlib

import numpy as np

_RECENT = 1 << 16
"""Ids that are held in a dictionary before they are packed."""


def key_of(text: str) -> int:
    """Return 64 bits of a hash of an id."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class SeenIds:
    """Ids with a number each. Two ids are taken for one where 64 bits of their hashes agree.

    Packed ones are sorted runs of uint64 hashes with int64 numbers, each run longer than the next one, so
    that n ids are merged log n times.
    """

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, text: str, number: int) -> int | None:
        """Return the number of the same id before, None where it is new and is added with `number`."""
        key = key_of(text)
        found = self._recent.get(key)
        for keys, numbers in self._runs if found is None else ():
            at = int(np.searchsorted(keys, np.uint64(key)))
            if at < len(keys) and int(keys[at]) == key:
                return int(numbers[at])
        if found is None:
            self._recent[key] = number
            if len(self._recent) >= _RECENT:
                self._pack()
        return found

    def _pack(self) -> None:
        keys = np.fromiter(self._recent.keys(), dtype=np.uint64)
        numbers = np.fromiter(self._recent.values(), dtype=np.int64)
        self._recent = {}
        while self._runs and len(self._runs[-1][0]) <= len(keys):
            more = self._runs.pop()
            keys, numbers = np.concatenate([keys, more[0]]), np.concatenate([numbers, more[1]])
        order = np.argsort(keys)
        self._runs.append((keys[order], numbers[order]))
