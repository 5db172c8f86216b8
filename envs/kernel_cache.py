"""A place for Numba's compiled code. Imported for what it does, by modules that compile; imports Numba.

Numba keeps it beside the source, or in the user's cache folder, and refuses to compile where neither can be
written (an installation of root's, a user without a home). Then it is kept for this process and its workers.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from numba import config, njit

from envs.errors import UserError

_VARIABLE = "NUMBA_CACHE_DIR"


def _nothing() -> None:
    """Stands for any function of ours."""


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
