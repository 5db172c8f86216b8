"""Files that outlive their process: lines appended whole, and files replaced whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from envs.errors import OutsideError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write, which takes the place of `path` in the end: a reader sees the old or the new.

    After an error `path` is as it was. `OSError`: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def append_line(file: int, path: Path, line: str) -> None:
    """Append `line` and its end, as `append_lines` does."""
    append_lines(file, path, line.encode() + b"\n")


def append_lines(file: int, path: Path, data: bytes) -> None:
    """Append whole lines to the open file `file`, which nobody else writes, in one write.

    They outlive the process from here on. What a full disk took of a line is taken back, so that whatever is
    appended later begins a line of its own. A file that was deleted is told here, not at the end of a run.
    `path` is what an error names.

    Raises
    ------
    OutsideError
        not all of them could be written.
    """
    written = 0
    try:
        written = os.write(file, data)
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        torn = written - (data.rfind(b"\n", 0, written) + 1)
        with suppress(OSError):
            os.ftruncate(file, os.fstat(file).st_size - torn)
        raise OutsideError(
            f"{path}: {error.strerror}, expected a disk that can be written; "
            f"what was finished is saved, resume=true goes on from there"
        ) from None
    if not os.fstat(file).st_nlink:
        raise OutsideError(f"{path}: was deleted under the run, expected it to stay; what was in it is lost")
