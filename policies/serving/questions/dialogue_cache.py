"""Where dialogues stood a moment ago: a request that goes on from there is not replayed from its beginning.

Nothing depends on it. What is found is what a replay of the same messages would give, and whatever is missing
is replayed; any worker can take any request, and nothing is written anywhere.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from policies.serving.questions.chat_messages import Said
from policies.serving.questions.rebuilt_dialogue import HeardMessage, Moment

KEPT_S = 1800.0
"""Seconds after its last use that a turn is kept."""
MOST_CHARACTERS = 50_000
"""Characters of a dialogue up to which its turns are kept; longer ones are rare and large."""


class DialogueCache:
    """The last `size` messages of persons, each with the dialogue before it; 0: none. Safe for many threads.

    A turn is found by a digest of its owner and of every message up to it, under a key of this process alone.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._key = secrets.token_bytes(32)
        self._kept: OrderedDict[bytes, tuple[float, HeardMessage]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def heard(self, start: Moment, said: Sequence[Said], owner: str = "") -> HeardMessage:
        """Return the last message of `said`, a person's, at the moment that those before it lead to.

        `start`: where dialogues begin, the same for all of this cache; `owner`: whose dialogue it is.
        """
        keys = self._keys(said, owner) if self._size else []
        place, message = self._longest(said, keys)
        moment = start
        for i in range(place, len(said)):
            speaker, text = said[i]
            if speaker == "assistant":
                moment = moment.began_before(text) if message is None else message.answered(text)
                continue
            message = HeardMessage(moment, text)
            if keys:
                self._keep(keys[i], message)
        assert message is not None  # noqa: S101 - the last message is a person's
        return message

    def _keys(self, said: Sequence[Said], owner: str) -> list[bytes]:
        if sum(len(text) for _, text in said) > MOST_CHARACTERS:
            return []
        chain, keys = hashlib.blake2b(owner.encode(), digest_size=32, key=self._key), []
        for speaker, text in said:
            raw = text.encode("utf-8", "surrogatepass")
            chain.update(f"{speaker} {len(raw)} ".encode())
            chain.update(raw)
            keys.append(chain.digest())
        return keys

    def _longest(self, said: Sequence[Said], keys: Sequence[bytes]) -> tuple[int, HeardMessage | None]:
        """Return where the replay has to begin, and the message before that; (0, None) for everything."""
        if not keys:
            return 0, None
        now = time.monotonic()
        with self._lock:
            while self._kept and next(iter(self._kept.values()))[0] < now - KEPT_S:
                self._kept.popitem(last=False)
            for i in range(len(said) - 1, -1, -1):
                found = self._kept.pop(keys[i], None) if said[i].speaker == "person" else None
                if found is not None:
                    self._kept[keys[i]] = (now, found[1])
                    return i + 1, found[1]
        return 0, None

    def _keep(self, key: bytes, message: HeardMessage) -> None:
        with self._lock:
            self._kept[key] = (time.monotonic(), message)
            self._kept.move_to_end(key)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
