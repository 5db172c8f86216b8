"""Output that nobody reads any more (`raise-planner ... | head -1`) is dropped, and the command goes on."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


class _ReaderMayLeave(io.FileIO):
    """Writes to a descriptor; from when its reader is gone on, to nowhere."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def readers_may_leave() -> None:
    """Let a command come to its end, with all that it keeps, when who reads its output has left.

    The run is worth more than what it prints: the exit code is what it would be, and nothing is said.
    """
    sys.stdout, sys.stderr = _patient(sys.stdout, 1), _patient(sys.stderr, 2)


def _patient(stream: TextIO, descriptor: int) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper) or stream.fileno() != descriptor:
        return stream  # a caller's own, or none
    before: Any = stream.buffer
    unbuffered = isinstance(before, io.RawIOBase)  # python -u
    if isinstance(before if unbuffered else before.raw, _ReaderMayLeave):
        return stream
    stream.flush()
    raw = _ReaderMayLeave(descriptor, "w", closefd=False)
    buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=bool(stream.line_buffering),
        write_through=unbuffered,
    )
