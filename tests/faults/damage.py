"""Ways to damage a file: bytes anywhere, and values of another kind in what is JSON."""

from __future__ import annotations

import json
import random

PIECES = (
    *(
        b"\0",
        b"\n",
        b"\n\n\n",
        b"\r",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"null",
        b"true",
        b"{",
        b"}",
        b"[" * 3000,
    ),
    *(b'"', b"'", b",", b":", b"- ", b"9" * 5000, b"1e999", b"-1", b"NaN", b"2026-13-45", b"!!python/none x"),
    *(b"&a [*a]", b"<<: *b", b"\t", b"\\u0000", b"\\ud800", "\u202e".encode(), b"%", b"../", b"#"),
)
"""What is put in."""
VALUES = (
    *(None, True, False, 0, -1, 2**63, 2**70, 1e300, -0.5, float("nan"), float("inf"), "", "\0", "a\nb"),
    *("\ud800", "x" * 300, [], {}, [[]], [None], {"": None}, {"a": {"b": []}}, ["a", 1], "2026-13-45"),
)
"""What stands in for another value."""


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Return `content` with one to four damages."""
    for _ in range(rng.randint(1, 4)):
        content = (_of_json if rng.random() < 0.5 else _of_bytes)(rng, content)
    return content


def _of_bytes(rng: random.Random, content: bytes) -> bytes:
    at, kind = rng.randrange(len(content) + 1), rng.randrange(6)
    to = min(len(content), at + rng.choice((1, 1, 4, 40, 400)))
    if kind == 0:
        return content[:at] + bytes(rng.randrange(256) for _ in range(to - at)) + content[to:]
    if kind == 1:
        return content[:at]
    if kind == 2:
        return content[:at] + content[to:]
    if kind == 3:
        return content[:at] + content[at:to] * 2 + content[to:]
    return content[:at] + rng.choice(PIECES) + content[to if kind == 4 else at :]


def _of_json(rng: random.Random, content: bytes) -> bytes:
    """Damage one value of one line, where the file is JSON or JSON lines; else its bytes."""
    lines = content.split(b"\n")
    number = rng.randrange(len(lines))
    try:
        row = json.loads(lines[number])
    except (ValueError, RecursionError):
        return _of_bytes(rng, content)
    lines[number] = json.dumps(_changed(rng, row)).encode()
    return b"\n".join(lines)


def _changed(rng: random.Random, value: object) -> object:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(sorted(value))
        rest = {k: v for k, v in value.items() if k != name}
        how = rng.randrange(8)
        if how == 0:
            return rest
        return {**value, f"{name}x": 1} if how == 1 else {**value, name: _changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        how = rng.randrange(8)
        if how == 0:
            return value[:at] + value[at + 1 :]
        return [*value, value[at]] if how == 1 else [*value[:at], _changed(rng, value[at]), *value[at + 1 :]]
    return rng.choice(VALUES)
