"""The journal of a run: whatever is finished as one JSON line, written at once.

A killed run resumes from it; `experiments.show` reads the alternatives from it. Names and scores only.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from envs import UserError
from envs.appended import append_line
from experiments.runs.folders import is_finished, output_folder
from search.path_table import COLUMNS, fits, record_of, row_of
from search.planning import ScenarioPlan
from search.problem import Observations

T = TypeVar("T")

FILE_NAME = "plans.jsonl"
_VERSION = 1
_BEGINNING = b'{"journal": '
_EXTRAS = ("search_calls", "full_calls", "requests", "cache_hits", "stopped")


def to_json(plan: ScenarioPlan) -> str:
    """Return `plan` as one line of strict JSON; NaN becomes null, floats keep every bit."""
    return json.dumps(_without_nan(plain_plan(plan)), allow_nan=False, ensure_ascii=False)


def plain_plan(plan: ScenarioPlan) -> dict[str, Any]:
    """Return `plan` as plain values."""
    row: dict[str, Any] = {**row_of(plan), **{name: getattr(plan, name) for name in _EXTRAS}}
    row["score_full"] = plan.score_full
    row["invalid_rankings"] = plan.invalid_rankings
    row["alternatives"] = [list(a) for a in plan.alternatives]
    seen = plan.observations
    if seen is not None:
        row["observations"] = {
            "masks": seen.masks.tolist(),
            "samples": seen.samples.tolist(),
            "scores": seen.scores.tolist(),
        }
    return row


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value


def number(value: float | None) -> float:
    """Return what `UnitJournal` has written of a number: null is NaN."""
    return math.nan if value is None else float(value)


def from_json(row: Mapping[str, Any]) -> ScenarioPlan:
    """Return the plan that `to_json` wrote; codes, which tell of values, are not in it (empty here).

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, OverflowError
        it wrote none of these.
    """
    columns = {name: row[name] for name in COLUMNS}
    if not fits(columns):
        raise TypeError
    columns["score_stderr"] = number(row["score_stderr"])
    columns["search_score"] = number(row["search_score"])
    seen = row.get("observations")
    return ScenarioPlan(
        **vars(record_of(columns)),
        **{name: row[name] for name in _EXTRAS},
        score_full=number(row["score_full"]),
        invalid_rankings=row.get("invalid_rankings", 0),  # journals of earlier releases have none
        alternatives=tuple((step, name, visits, number(v)) for step, name, visits, v in row["alternatives"]),
        observations=None
        if seen is None
        else Observations(
            row["scenario_id"],
            row["domain"],
            np.zeros(0, np.int8),
            np.array(seen["masks"], np.uint64),
            np.array(seen["samples"], np.int64),
            np.array([number(score) for score in seen["scores"]]),
        ),
    )


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
        try:
            self._file = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise UserError(
                f"output_dir={folder}: found {error.strerror}, expected a folder that can be written"
            ) from None
        try:
            self.done = self._take_over(folder, fingerprint, resume)
        except UserError:
            self._file.close()
            raise

    def _take_over(self, folder: Path, fingerprint: str, resume: bool) -> dict[str, T]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another run is writing here, expected a folder of its own") from None
        except OSError:
            pass  # a file system without locks
        _refuse_foreign(self.path)
        lines = list(_whole_lines(self.path))
        # A run that stopped before its first plan left a header alone, which keeps nobody out.
        done: dict[str, T] = {}
        if len(lines) > 1:
            if not resume:
                held = "a finished run" if is_finished(folder) else "a run"
                raise UserError(
                    f"{folder}: holds {held} already; resume=true goes on with it, "
                    f"another output_dir starts anew"
                )
            self._check_header(_row(self.path, 0, lines[0]), fingerprint)
            done = self._entries(lines)
        self._file.truncate(sum(map(len, lines)) if done else 0)  # a line torn by a kill goes
        if not done:
            self._append(json.dumps({"journal": _VERSION, "fingerprint": fingerprint}))
        return done

    def _entries(self, lines: Sequence[bytes]) -> dict[str, T]:
        """Return what the lines after the header hold, by key."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _append(self, line: str) -> None:
        append_line(self._file.fileno(), self.path, line)

    def _check_header(self, row: Any, fingerprint: str) -> None:
        if not isinstance(row, dict) or row.get("journal") != _VERSION:
            raise UserError(f"{self.path}: line 1: expected the header of a journal of version {_VERSION}")
        if row.get("fingerprint") != fingerprint:
            raise UserError(
                f"{self.path}: was written under another configuration or scenario file; "
                f"resume=true needs the same, another output_dir starts anew"
            )


class Journal(LineJournal[ScenarioPlan]):
    """The journal of a training run: `plans.jsonl`, keyed by scenario id."""

    file_name = FILE_NAME

    def add(self, plan: ScenarioPlan) -> None:
        """Append `plan`; it survives a kill of this process from here on."""
        self._append(to_json(plan))

    def _entries(self, lines: Sequence[bytes]) -> dict[str, ScenarioPlan]:
        return {plan.scenario_id: plan for plan in _plans(self.path, lines)}


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
        line = json.dumps({"unit": name, "value": _without_nan(value)}, allow_nan=False, ensure_ascii=False)
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

    def _entries(self, lines: Sequence[bytes]) -> dict[str, Any]:
        found = {}
        for place, line in itertools.islice(enumerate(lines), 1, None):
            row = _row(self.path, place, line)
            if not isinstance(row, dict) or not isinstance(row.get("unit"), str) or "value" not in row:
                raise UserError(f"{self.path}: line {place + 1} is no unit, expected a journal")
            found[row["unit"]] = row["value"]
        return found


def read_plans(folder: Path) -> dict[str, ScenarioPlan]:
    """Return the plans in a run folder's journal by scenario id, none where there is no journal.

    Raises
    ------
    UserError
        a line that is no plan.
    """
    path = folder / FILE_NAME
    return {p.scenario_id: p for p in _plans(path, _whole_lines(path))} if path.exists() else {}


def _refuse_foreign(path: Path) -> None:
    """Raise UserError where a file holds anything that is no header of a journal, if only a torn one."""
    with path.open("rb") as file:
        first = file.readline(len(_BEGINNING))
    if first != _BEGINNING and not _BEGINNING.startswith(first):
        raise UserError(
            f"{path}: line 1: found what no run has written, expected the header of a journal of ours"
        )


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of the journal without one torn by a kill, which is the last."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _plans(path: Path, lines: Iterable[bytes]) -> Iterator[ScenarioPlan]:
    """Yield the plans of `lines`, of which the first is the header."""
    for number, line in itertools.islice(enumerate(lines), 1, None):
        row = _row(path, number, line)
        try:
            plan = from_json(row)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise UserError(f"{path}: line {number + 1} is no plan, expected a journal") from None
        yield plan


def _row(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: line {number + 1} is not JSON, expected a journal") from None
