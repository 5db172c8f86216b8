"""The journal of a training run: `plans.jsonl`, and what was finished long ago in compressed segments.

New plans are appended to `plans.jsonl`. Once that is large it is compressed as it is, header and all, into
`plans-00001.jsonl.zst` and so on, and goes on with its header alone. `experiments.show` and the viewer read
the alternatives from them.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from envs import OutsideError, UserError
from envs.durable import append_lines
from envs.loading.seen_ids import key_of
from experiments.runs.journal import LineJournal, checked_lines, row_of_line
from search.plan_lines import PlanBatch, PlanTotals, from_json, is_summed, rows_of
from search.planning import ScenarioPlan
from search.problem import Observations

FILE_NAME = "plans.jsonl"
_BEGINNING = b'{"scenario_id": '
_BLOCK = 4 << 20
"""Bytes of lines that are handed on together."""


class Journal(LineJournal[Observations | None]):
    """The plans of a run, of which no more than a hash of the id is held.

    `learns`: the search is told of all plans; `done` then has what theirs saw, by id.

    Attributes
    ----------
    totals : PlanTotals, of the plans that were there already
    """

    file_name = FILE_NAME
    segment_bytes: ClassVar[int] = 64 << 20
    """Size of `plans.jsonl` from which on it becomes a segment."""

    def __init__(self, folder: Path, fingerprint: str, resume: bool, learns: bool = False) -> None:
        self.totals = PlanTotals()
        self._learns = learns
        self._keys = array("Q")
        self._folder = folder
        super().__init__(folder, fingerprint, resume)
        self._header = next(checked_lines(self.path))[1]

    @property
    def done_keys(self) -> np.ndarray:
        """uint64[n], `envs.loading.seen_ids.key_of` of each id that was there already."""
        return np.array(self._keys)

    def add(self, batch: PlanBatch) -> None:
        """Append the plans of `batch`; they survive a kill of this process from here on."""
        if batch.lines:
            append_lines(self._file.fileno(), self.path, batch.lines)
            if os.fstat(self._file.fileno()).st_size >= self.segment_bytes:
                self._seal()

    def blocks(self) -> Iterator[bytes]:
        """Yield the lines of all plans in the order of writing, some megabytes at a time."""
        held, size = list[bytes](), 0
        for path in self._files():
            for number, line in checked_lines(path):
                if number > 1:
                    held.append(line)
                    size += len(line)
                if size >= _BLOCK:
                    yield b"".join(held)
                    held, size = [], 0
        if held:
            yield b"".join(held)

    def _files(self) -> list[Path]:
        return [*segments(self._folder), self.path]

    def _mended(self, whole: int) -> int:
        """Empty the file where a kill has kept it from that, after it had become a segment."""
        for segment in segments(self._folder)[-1:]:
            old, new = (dict(zip((1, 2), checked_lines(p), strict=False)) for p in (segment, self.path))
            if old == new and len(new) > 1:
                whole = len(new[1][1])
                self._file.truncate(whole)
        return whole

    def _enter(self, path: Path, number: int, line: bytes) -> None:
        summed = is_summed(line)
        if self._learns or not summed:
            plan = _plan(path, number, line)
            if not summed:
                _check_row(path, number, line)
            self._take(plan.scenario_id, plan.judge_calls, plan.requests, plan.score)
            if self._learns:
                self.done[plan.scenario_id] = plan.observations
            return
        row = row_of_line(path, number, line)  # a run has written it: the sum says so
        try:
            self._take(row["scenario_id"], row["judge_calls"], row["requests"], row["score"])
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: line {number} is no plan, expected a journal") from None

    def _take(self, scenario_id: str, judge_calls: int, requests: int, score: float) -> None:
        self._keys.append(key_of(scenario_id))
        self.totals = self.totals.plus(PlanTotals(1, judge_calls, requests, score))

    def _seal(self) -> None:
        """Compress the file into a segment; a kill at any moment leaves each line in one or both."""
        name = f"plans-{len(segments(self._folder)) + 1:05d}.jsonl.zst"
        whole, temporary = self._folder / name, self._folder / f".{name}.tmp"
        try:
            with (
                self.path.open("rb") as lines,
                pa.OSFile(str(temporary), "wb") as file,
                pa.CompressedOutputStream(file, "zstd") as packed,
            ):
                for chunk in iter(lambda: lines.read(1 << 20), b""):
                    packed.write(chunk)
            with temporary.open("r+b") as written:
                os.fsync(written.fileno())
            temporary.replace(whole)
        except OSError as error:
            raise OutsideError(
                f"{whole}: {error.strerror}, expected a disk that can be written; "
                f"what was finished is saved, resume=true goes on from there"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
        self._file.truncate(len(self._header))


def segments(folder: Path) -> list[Path]:
    """Return the compressed segments of the journal in `folder`, the oldest first."""
    return sorted(folder.glob("plans-[0-9][0-9][0-9][0-9][0-9].jsonl.zst"))


def find_plan(folder: Path, scenario_id: str) -> ScenarioPlan | None:
    """Return the plan of one scenario out of the journal of a run's folder, None where it is not there.

    Raises
    ------
    UserError
        a line that is no plan.
    """
    wanted = json.dumps(scenario_id, ensure_ascii=False).encode()
    return next((p for p in _plans(folder, wanted) if p.scenario_id == scenario_id), None)


def read_plans(folder: Path) -> dict[str, ScenarioPlan]:
    """Return the plans in a run folder's journal by scenario id, none where there is no journal.

    Raises
    ------
    UserError
        a line that is no plan.
    """
    return {plan.scenario_id: plan for plan in _plans(folder)}


def _plans(folder: Path, holding: bytes = b"") -> Iterator[ScenarioPlan]:
    """Yield the plans of the lines that hold `holding`; what is no line of a plan is told in any case."""
    path = folder / FILE_NAME
    files = [*segments(folder), *([path] if path.exists() else [])]
    for path in files:
        for number, line in checked_lines(path):
            if number > 1 and (holding in line or not line.startswith(_BEGINNING)):
                yield _plan(path, number, line)


def _check_row(path: Path, number: int, line: bytes) -> None:
    """Raise UserError where Arrow, which makes the table at a run's end, could not read the line."""
    try:
        rows_of(line)
    except pa.ArrowInvalid:
        raise UserError(f"{path}: line {number} is no plan, expected a journal") from None


def _plan(path: Path, number: int, line: bytes) -> ScenarioPlan:
    row = row_of_line(path, number, line)
    try:
        return from_json(row)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise UserError(f"{path}: line {number} is no plan, expected a journal") from None
