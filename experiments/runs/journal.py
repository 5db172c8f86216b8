"""The journal of a run: whatever is finished as one JSON line, written at once, with a checksum.

A killed run resumes from it. Names and scores only.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from envs import UserError
from envs.checking.json_values import with_nulls
from envs.durable import append_lines
from envs.loading.streams import decompressed
from experiments.runs.folders import is_finished, output_folder
from search.plan_lines import is_summed, summed

T = TypeVar("T")

_VERSION = 1
_BEGINNING = b'{"journal": '


class LineJournal(Generic[T]):
    """Appends what is finished to `folder/{file_name}`, a JSON line each; use as a context manager.

    `done`: what was there already, by key. A subclass says how an entry is read and written.

    Raises
    ------
    UserError
        the folder cannot be written, holds a run and `resume` is false, or holds one of another
        configuration, or one that is going on.
    """

    file_name: ClassVar[str]

    def __init__(self, folder: Path, fingerprint: str, resume: bool) -> None:
        self.path = output_folder(folder) / self.file_name
        self.done: dict[str, T] = {}
        try:
            self._file = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise UserError(
                f"output_dir={folder}: found {error.strerror}, expected a folder that can be written"
            ) from None
        try:
            self._take_over(folder, fingerprint, resume)
        except UserError:
            self._file.close()
            raise

    def _take_over(self, folder: Path, fingerprint: str, resume: bool) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing here, expected a folder of its own") from None
        except OSError:
            pass  # a file system without locks
        _refuse_foreign(self.path)
        whole, n_lines = _whole(self.path)
        files = self._files()
        # A run that stopped before its first plan left a header alone, which keeps nobody out.
        if n_lines > 1 or len(files) > 1:
            if not resume:
                held = "a finished run" if is_finished(folder) else "a run"
                raise UserError(
                    f"{folder}: holds {held} already; resume=true goes on with it, "
                    f"another output_dir starts anew"
                )
            whole = self._mended(whole)
            for path in files:
                self._read(path, fingerprint)
        else:
            whole = 0
        self._file.truncate(whole)  # a line torn by a kill goes
        if not whole:
            self._append(json.dumps({"journal": _VERSION, "fingerprint": fingerprint}))

    def _files(self) -> list[Path]:
        """Return the files of the journal in the order of writing, of which the last is `path`."""
        return [self.path]

    def _mended(self, whole: int) -> int:
        """Return the bytes of `path` to keep, at most `whole`; no line of it may be elsewhere too."""
        return whole

    def _read(self, path: Path, fingerprint: str) -> None:
        lines = checked_lines(path)
        _, header = next(lines, (1, b""))
        self._check_header(path, row_of_line(path, 1, header), fingerprint)
        for number, line in lines:
            self._enter(path, number, line)

    def _enter(self, path: Path, number: int, line: bytes) -> None:
        """Take over line `number` of `path`, one of those after the header."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _append(self, line: str) -> None:
        append_lines(self._file.fileno(), self.path, summed(line))

    def _check_header(self, path: Path, row: Any, fingerprint: str) -> None:
        if not isinstance(row, dict) or row.get("journal") != _VERSION:
            raise UserError(f"{path}: line 1: expected the header of a journal of version {_VERSION}")
        if row.get("fingerprint") != fingerprint:
            raise UserError(
                f"{path}: was written under another configuration or scenario file; "
                f"resume=true needs the same, another output_dir starts anew"
            )


class UnitJournal(LineJournal[Any]):
    """`units.jsonl`: the parts that a command is made of, as plain JSON (NaN: null), each under a name.

    Safe to call from many threads.
    """

    file_name = "units.jsonl"

    def __init__(self, folder: Path, fingerprint: str, resume: bool) -> None:
        super().__init__(folder, fingerprint, resume)
        self._lock = threading.Lock()

    def add(self, name: str, value: Any) -> None:
        """Append the unit `name`; it survives a kill of this process from here on."""
        line = json.dumps({"unit": name, "value": with_nulls(value)}, allow_nan=False, ensure_ascii=False)
        with self._lock:
            self._append(line)
            self.done[name] = value

    def read(self, name: str, decode: Callable[[Any], T]) -> T:
        """Return what `decode` makes of the finished unit `name`.

        Raises
        ------
        UserError
            it can make nothing of it: the journal is damaged.
        """
        try:
            return decode(self.done[name])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise UserError(f"{self.path}: unit {name!r} is damaged, expected what a run wrote") from None

    def once(
        self, name: str, make: Callable[[], T], encode: Callable[[T], Any], decode: Callable[[Any], T]
    ) -> T:
        """Return the unit `name`, which is made where it is not finished; `decode` undoes `encode`."""
        if name in self.done:
            return self.read(name, decode)
        made = make()
        self.add(name, encode(made))
        return made

    def _enter(self, path: Path, number: int, line: bytes) -> None:
        row = row_of_line(path, number, line)
        if not isinstance(row, dict) or not isinstance(row.get("unit"), str) or "value" not in row:
            raise UserError(f"{path}: line {number} is no unit, expected a journal")
        self.done[row["unit"]] = row["value"]


def _refuse_foreign(path: Path) -> None:
    """Raise UserError where a file holds anything that is no header of a journal, if only a torn one."""
    with path.open("rb") as file:
        first = file.readline(len(_BEGINNING))
    if first != _BEGINNING and not _BEGINNING.startswith(first):
        raise UserError(
            f"{path}: line 1: found what no run has written, expected the header of a journal of ours"
        )


def _whole(path: Path) -> tuple[int, int]:
    """Return the bytes and the number of the lines without one torn by a kill, which is the last."""
    size = count = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                size, count = size + len(line), count + 1
    return size, count


def checked_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, line) of a journal, plain or a Zstandard stream, the header among them.

    A last line that a kill has torn is left out.

    Raises
    ------
    UserError
        a line does not agree with its checksum, or the stream is damaged.
    """
    try:
        with ExitStack() as opened:
            file = decompressed(opened.enter_context(path.open("rb")))
            for number, line in enumerate(file, 1):
                if is_summed(line) is False:
                    raise UserError(
                        f"{path}: line {number} is damaged: it does not agree with its checksum, "
                        f"expected it as a run has written it"
                    )
                if line.endswith(b"\n"):
                    yield number, line
    except OSError as error:
        why = error.strerror or "the zst data is damaged or ends early"
        raise UserError(f"{path}: cannot be read ({why}), expected a journal") from None


def row_of_line(path: Path, number: int, line: bytes) -> Any:
    """Return the JSON value of a line; UserError where it has none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: line {number} is not JSON, expected a journal") from None
