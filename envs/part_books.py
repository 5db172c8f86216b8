"""What requests of a run's parts took, of all together: judges, priors, readers, detectors, users, chats."""

from __future__ import annotations

from pathlib import Path

from envs.checking.declared import Declared
from envs.llm.books import Accounts, summed


def booked(*parts: object) -> Accounts:
    """Return the books of `parts` that keep some (an attribute `books`), as one."""
    return summed(*(found for part in parts if (found := Declared(part, "model").any("books")) is not None))


def keep_books(folder: Path, *parts: object) -> None:
    """Let `parts` that have limits (a method `keep`) go on from what earlier sessions of the run took."""
    for part in parts:
        if keep := Declared(part, "model").method("keep", "(folder)"):
            keep(folder)
