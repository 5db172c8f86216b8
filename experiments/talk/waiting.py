"""A word for a person who waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_S = 3.0
"""Seconds of silence that are not explained."""


@contextmanager
def told_while_waiting() -> Iterator[None]:
    """Say on standard error that an answer is waited for, if what is done takes longer than `QUIET_S`."""
    timer = threading.Timer(QUIET_S, _say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say() -> None:
    print("Waiting for a model to answer; Ctrl-C leaves.", file=sys.stderr, flush=True)
