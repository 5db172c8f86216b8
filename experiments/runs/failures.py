"""Scenarios that could not be planned: the file of them, and their reasons with counts."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from envs.durable import append_line
from search.planning import Failure

FILE_NAME = "failures.jsonl"
_SHOWN = 5
_KINDS = 1000
"""Distinct reasons that are counted apart."""
_PLACE = re.compile(r"^(?:[a-z]+ \d+(?:[ ,]+))*[a-z]+ \d+: ")
"""Where a record stands in its file ("line 3: ", "index 3 query 4: ")."""
_OWN = re.compile(r"text of [\d,]+ characters|key \d+, of [\d,]+ characters,")
"""What differs from record to record where the mistake is the same."""


class FailuresFile:
    """Writes what could not be planned as it happens; use as a context manager. `n`: how many there are."""

    def __init__(self, path: Path) -> None:
        self.n = 0
        self.reasons: Counter[str] = Counter()
        self._path = path
        self._file = -1

    def begin(self, failures: Sequence[Failure]) -> None:
        """Write a file anew that begins with `failures`: what failed in an earlier session is tried again."""
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        self.add(failures)

    def add(self, failures: Sequence[Failure]) -> None:
        """Append `failures`."""
        self.n += len(failures)
        for failure in failures:
            append_line(self._file, self._path, json.dumps(vars(failure), ensure_ascii=False))
            _count(self.reasons, failure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file >= 0:
            os.close(self._file)


def read_failures(folder: Path) -> list[Failure]:
    """Return the failures in a run's folder, none where there is no file; broken lines are left out."""
    try:
        lines = (folder / FILE_NAME).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            continue  # damaged, or the last line of a run that was killed
        if isinstance(fields, dict) and {"scenario_id", "stage", "reason"} <= set(fields):
            found.append(Failure(*(str(fields[name]) for name in ("scenario_id", "stage", "reason"))))
    return found


def counted_reasons(failures: Sequence[Failure]) -> Counter[str]:
    """Return how often each reason occurs; where a record stands in its file is no part of it."""
    found: Counter[str] = Counter()
    for failure in failures:
        _count(found, failure)
    return found


def reason_lines(reasons: Mapping[str, int], n_unlisted: int = 0, source: str = "") -> list[str]:
    """Return the most frequent reasons, a line each; `source`: the file of the records."""
    most = Counter(reasons).most_common()
    lines = [f"  {count:,} x {reason}" for reason, count in most[:_SHOWN]]
    if len(most) > _SHOWN:
        rest = sum(count for _, count in most[_SHOWN:])
        lines.append(f"  {rest:,} x other reasons, {len(most) - _SHOWN:,} of them")
    if n_unlisted:
        lines.append(f"  {n_unlisted:,} x a record that cannot be used, beyond those listed")
    of = f" of {source}" if source else ""
    return [f"could not be planned: {sum(reasons.values()) + n_unlisted:,}{of}", *lines] if lines else []


def _count(reasons: Counter[str], failure: Failure) -> None:
    plain = _OWN.sub(lambda match: match[0].split()[0], _PLACE.sub("", failure.reason))
    reason = f"{failure.stage}: {plain}"
    if reason not in reasons and len(reasons) >= _KINDS:
        reason = f"{failure.stage}: other reasons"
    reasons[reason] += 1
