"""What waits for hours in this process, and lets go on an interrupt.

Imports nothing: who handles signals need not load a client of models.
"""

from __future__ import annotations

import weakref
from typing import Protocol


class Waiter(Protocol):
    """Something that waits."""

    def let_go(self) -> None:
        """Wait for nothing more; called from any thread."""
        ...


_WAITERS: weakref.WeakSet[Waiter] = weakref.WeakSet()


def register(waiter: Waiter) -> None:
    """Have `waiter` let go on an interrupt, as long as it exists."""
    _WAITERS.add(waiter)


def let_go() -> None:
    """End all waiting; called where a signal is handled."""
    for waiter in list(_WAITERS):
        waiter.let_go()
