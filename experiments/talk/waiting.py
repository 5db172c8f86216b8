"""A word for a person who waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_S = 3.0
"""Seconds of silence that are not explained."""
STILL_WAITING = "Still working on it; Ctrl-C leaves."


@contextmanager
def told_while_waiting() -> Iterator[None]:
    """Say on standard error that work goes on, if what is done takes longer than `QUIET_S`."""
    timer = threading.Timer(QUIET_S, _say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say() -> None:
    print(STILL_WAITING, file=sys.stderr, flush=True)
