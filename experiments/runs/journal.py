"""The journal of a run: each planned scenario as one JSON line, written when it is finished.

A killed run resumes from it; `experiments.show` reads the alternatives from it. Names and scores only.
"""

from __future__ import annotations

import fcntl
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from envs import UserError
from experiments.runs.folders import output_folder
from search.path_table import COLUMNS, record_of, row_of
from search.planning import ScenarioPlan
from search.problem import Observations

T = TypeVar("T")

FILE_NAME = "plans.jsonl"
_VERSION = 1
_BEGINNING = b'{"journal": '
_EXTRAS = ("search_calls", "full_calls", "requests", "cache_hits", "stopped")


def to_json(plan: ScenarioPlan) -> str:
    """Return `plan` as one line of strict JSON; NaN becomes null, floats keep every bit."""
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
    return json.dumps(_without_nan(row), allow_nan=False, ensure_ascii=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def from_json(row: Mapping[str, Any]) -> ScenarioPlan:
    """Return the plan that `to_json` wrote; codes, which tell of values, are not in it (empty here)."""
    columns = {name: row[name] for name in COLUMNS}
    columns["score_stderr"] = _nan(row["score_stderr"])
    columns["search_score"] = _nan(row["search_score"])
    seen = row.get("observations")
    return ScenarioPlan(
        **vars(record_of(columns)),
        **{name: row[name] for name in _EXTRAS},
        score_full=_nan(row["score_full"]),
        invalid_rankings=row.get("invalid_rankings", 0),  # journals of earlier releases have none
        alternatives=tuple((step, name, visits, _nan(v)) for step, name, visits, v in row["alternatives"]),
        observations=None
        if seen is None
        else Observations(
            row["scenario_id"],
            row["domain"],
            np.zeros(0, np.int8),
            np.array(seen["masks"], np.uint64),
            np.array(seen["samples"], np.int64),
            np.array([_nan(score) for score in seen["scores"]]),
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
            self._file = self.path.open("a+b")
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
        lines = _whole_lines(self.path)
        # A run that stopped before its first plan left a header alone, which keeps nobody out.
        done: dict[str, T] = {}
        if len(lines) > 1:
            if not resume:
                raise UserError(
                    f"{folder}: holds a run already; resume=true goes on with it, "
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
        self._file.write(line.encode() + b"\n")
        self._file.flush()

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
    first = path.read_bytes().split(b"\n", 1)[0]
    if not first.startswith(_BEGINNING) and not _BEGINNING.startswith(first):
        raise UserError(
            f"{path}: line 1: found what no run has written, expected the header of a journal of ours"
        )


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines of the journal without one torn by a kill, which is the last."""
    lines = path.read_bytes().split(b"\n")
    return [line + b"\n" for line in lines[:-1]]


def _plans(path: Path, lines: Sequence[bytes]) -> Iterator[ScenarioPlan]:
    for number, line in enumerate(lines[1:], 1):
        try:
            yield from_json(_row(path, number, line))
        except (KeyError, TypeError):
            raise UserError(f"{path}: line {number + 1} is no plan, expected a journal") from None


def _row(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise UserError(f"{path}: line {number + 1} is not JSON, expected a journal") from None
