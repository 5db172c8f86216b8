"""A place for Numba's compiled code. Imported for what it does, by modules that compile; imports Numba.

Numba keeps it beside the source, or in the user's cache folder, and refuses to compile where neither can be
written (an installation of root's, a user without a home). Then it is kept for this process and its workers.
Where nothing is kept yet, as in a first run, whoever waits for the compiler is told so.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import time

from numba import config, njit
from numba.core import event

from envs.errors import UserError

COMPILING = "compiling the search (first run only, about half a minute)"
_VARIABLE = "NUMBA_CACHE_DIR"
_PATIENCE_S = 1.5
"""Seconds of compiling before somebody is told: as long as one or two kernels take."""


def _nothing() -> None:
    """Stands for any function of ours."""


class _TellsOfCompiling(event.Listener):
    """Says once that kernels are compiled, when that has taken a while: what is kept is loaded, unheard."""

    def __init__(self) -> None:
        self._depth = 0
        self._began = self._waited = 0.0
        self._said = False

    def on_start(self, event: event.Event) -> None:
        """Count one more; kernels call each other, so that they are compiled within each other."""
        self._depth += 1
        if self._depth > 1:
            return
        self._began = time.monotonic()
        kept = event.data["dispatcher"].stats.cache_path is not None
        if kept and not self._said and self._waited > _PATIENCE_S:
            self._said = True
            print(COMPILING, file=sys.stderr, flush=True)

    def on_end(self, event: event.Event) -> None:
        """Add up the time of one that was within no other."""
        self._depth -= 1
        if not self._depth:
            self._waited += time.monotonic() - self._began


def _find_place() -> None:
    try:
        njit(cache=True)(_nothing)  # looks for a place, and compiles nothing yet
    except RuntimeError:
        try:
            folder = tempfile.mkdtemp(prefix="raise-planner-")
        except OSError:
            raise UserError(
                f"no folder for compiled code can be written, expected one: name it by {_VARIABLE} or TMPDIR"
            ) from None
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[_VARIABLE] = folder  # for workers
        config.CACHE_DIR = folder  # type: ignore[attr-defined]  # Numba has read the variable already


_find_place()
event.register("numba:compile", _TellsOfCompiling())
