"""The journal of a run: each planned scenario as one JSON line, written when it is finished.

A killed run resumes from it; `experiments.inspect` reads the alternatives from it. Names and scores only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from envs import UserError
from search.path_table import COLUMNS, record_of, row_of
from search.planning import ScenarioPlan
from search.problem import Observations

FILE_NAME = "plans.jsonl"
_VERSION = 1
_EXTRAS = ("search_calls", "full_calls", "requests", "cache_hits", "stopped")


def to_json(plan: ScenarioPlan) -> str:
    """Return `plan` as one line of strict JSON; NaN becomes null, floats keep every bit."""
    row: dict[str, Any] = {**row_of(plan), **{name: getattr(plan, name) for name in _EXTRAS}}
    row["score_full"] = plan.score_full
    row["alternatives"] = [list(a) for a in plan.alternatives]
    seen = plan.observations
    if seen is not None:
        row["observations"] = {
            "codes": seen.codes.tolist(),
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
    """Return the plan that `to_json` wrote."""
    columns = {name: row[name] for name in COLUMNS}
    columns["score_stderr"] = _nan(row["score_stderr"])
    columns["search_score"] = _nan(row["search_score"])
    seen = row.get("observations")
    return ScenarioPlan(
        **vars(record_of(columns)),
        **{name: row[name] for name in _EXTRAS},
        score_full=_nan(row["score_full"]),
        alternatives=tuple((step, name, visits, _nan(v)) for step, name, visits, v in row["alternatives"]),
        observations=None
        if seen is None
        else Observations(
            row["scenario_id"],
            row["domain"],
            np.array(seen["codes"], np.int8),
            np.array(seen["masks"], np.uint64),
            np.array(seen["samples"], np.int64),
            np.array([_nan(score) for score in seen["scores"]]),
        ),
    )


class Journal:
    """Appends plans to `folder/plans.jsonl`; use as a context manager.

    `done`: the plans that were there already, by scenario id.

    Raises
    ------
    UserError
        the folder holds a run and `resume` is false, or one of another configuration.
    """

    def __init__(self, folder: Path, fingerprint: str, resume: bool) -> None:
        self.path = folder / FILE_NAME
        self.done: dict[str, ScenarioPlan] = {}
        exists = self.path.exists() and self.path.stat().st_size > 0
        if exists and not resume:
            raise UserError(
                f"{folder}: holds a run already; resume=true goes on with it, another output_dir starts anew"
            )
        end = self._read(fingerprint) if exists else 0
        self._file = self.path.open("r+b" if exists else "wb")
        self._file.truncate(end)  # a line torn by a kill goes
        self._file.seek(end)
        if not end:
            self._append(json.dumps({"journal": _VERSION, "fingerprint": fingerprint}))

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, plan: ScenarioPlan) -> None:
        """Append `plan`; it survives a kill of this process from here on."""
        self._append(to_json(plan))

    def _append(self, line: str) -> None:
        self._file.write(line.encode() + b"\n")
        self._file.flush()

    def _read(self, fingerprint: str) -> int:
        """Fill `done`; return the length in bytes of the whole lines."""
        end = 0
        for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True)):
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
            except ValueError:
                raise UserError(f"{self.path}: line {number + 1} is not JSON, expected a journal") from None
            if number == 0:
                self._check_header(row, fingerprint)
            else:
                plan = from_json(row)
                self.done[plan.scenario_id] = plan
            end += len(line)
        return end

    def _check_header(self, row: Any, fingerprint: str) -> None:
        if not isinstance(row, dict) or row.get("journal") != _VERSION:
            raise UserError(f"{self.path}: line 1: expected the header of a journal of version {_VERSION}")
        if row.get("fingerprint") != fingerprint:
            raise UserError(
                f"{self.path}: was written under another configuration or scenario file; "
                f"resume=true needs the same, another output_dir starts anew"
            )


def read_plans(folder: Path) -> dict[str, ScenarioPlan]:
    """Return the plans in a run folder's journal by scenario id, none where there is no journal."""
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    lines = path.read_bytes().splitlines(keepends=True)
    return {p.scenario_id: p for p in (from_json(json.loads(x)) for x in lines[1:] if x.endswith(b"\n"))}
