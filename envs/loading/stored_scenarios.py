"""Scenarios kept outside memory: a run over a million of them holds 25 bytes of each."""

from __future__ import annotations

import copy
import dataclasses
import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from envs.errors import OutsideError
from envs.loading.seen_ids import key_of
from envs.scenario import Profile, Scenario, most_present, within_one_plan
from envs.schema import Schema

_AT_ONCE = 256
"""Scenarios that are read together."""


class StoredScenarios(Sequence[Scenario]):
    """Scenarios of one schema, in memory while they are few, else in a temporary file without a name.

    The file is this process's own, is seen by nobody else, and is gone with the process, however that ends.
    A slice is a view of the same file. One thread at a time may read.

    Attributes
    ----------
    schema : Schema of all of them; `in_memory`: bytes that are held before they go to the file
    """

    def __init__(self, schema: Schema, in_memory: int = 8 << 20) -> None:
        self.schema = schema
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115 - gone with its owner
        self._end = 0
        self._starts, self._lengths, self._keys = array("Q"), array("L"), array("Q")
        self._askable = array("B")  # an attribute more than 64 is never askable
        self._chosen: np.ndarray | None = None

    def append(self, scenario: Scenario) -> None:
        """Keep one more; of a slice, never."""
        profile = dict(scenario.profile)
        row = [scenario.id, scenario.domain, scenario.query, profile, scenario.metadata]
        line = json.dumps(row).encode() + b"\n"
        try:
            self._file.seek(self._end)
            self._file.write(line)
        except OSError as error:
            raise OutsideError(
                f"{tempfile.gettempdir()}: {error.strerror}, expected room for the scenarios of the file; "
                f"TMPDIR=FOLDER names another place"
            ) from None
        self._starts.append(self._end)
        self._lengths.append(len(line))
        self._keys.append(key_of(scenario.id))
        known = self.schema.names
        self._askable.append(min(255, sum(name in profile for name in known)))
        self._end += len(line)

    @property
    def keys(self) -> np.ndarray:
        """uint64[n], `envs.loading.seen_ids.key_of` of each id."""
        return self._of(self._keys)

    @property
    def n_askable(self) -> np.ndarray:
        """int64[n], attributes of each whose value exists."""
        return self._of(self._askable).astype(np.int64)

    def _of(self, values: array[int]) -> np.ndarray:
        found = np.array(values)
        return found if self._chosen is None else found[self._chosen]

    def chosen(self, places: np.ndarray) -> StoredScenarios:
        """Return a view of those at `places` (int64[m], or bool[n]), in that order."""
        if self._chosen is not None:
            places = self._chosen[places]
        elif places.dtype == bool:
            places = np.flatnonzero(places)
        view = copy.copy(self)  # of the same file
        view._chosen = places
        return view

    def packed(self) -> bytes:
        """Return all of them as `unpacked` reads them."""
        places = range(len(self._starts)) if self._chosen is None else self._chosen.tolist()
        if not places:
            return b""
        first, last = places[0], places[-1]
        spans = [(self._starts[first], self._starts[last] + self._lengths[last] - self._starts[first])]
        if last - first != len(places) - 1:  # gaps: what a resumed run has planned already
            spans = [(self._starts[i], self._lengths[i]) for i in places]
        found = []
        for start, length in spans:
            self._file.seek(start)
            found.append(self._file.read(length))
        return b"".join(found)

    def __len__(self) -> int:
        return len(self._starts) if self._chosen is None else len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Scenario: ...

    @overload
    def __getitem__(self, index: slice) -> StoredScenarios: ...

    def __getitem__(self, index: int | slice) -> Scenario | StoredScenarios:
        if isinstance(index, slice):
            return self.chosen(np.arange(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        (found,) = unpacked(self.chosen(np.array([index % len(self)])).packed(), self.schema)
        return found

    def __iter__(self) -> Iterator[Scenario]:
        for start in range(0, len(self), _AT_ONCE):
            yield from unpacked(self[start : start + _AT_ONCE].packed(), self.schema)


def unpacked(data: bytes, schema: Schema) -> Iterator[Scenario]:
    """Yield the scenarios of `StoredScenarios.packed`; queries of one person in a row share the profile."""
    values, profile = None, Profile({})
    for line in data.splitlines():
        scenario_id, domain, query, own, metadata = json.loads(line)
        if own != values:
            values, profile = own, Profile(own)
        yield Scenario(scenario_id, domain, query, profile, schema, metadata)


def askable_counts(scenarios: Iterable[Scenario]) -> Iterator[tuple[int, int]]:
    """Yield (attributes whose value exists, how many of `scenarios` have so many), in rising order."""
    if isinstance(scenarios, StoredScenarios):
        counts = scenarios.n_askable
    else:
        counts = np.array([int(s.askable).bit_count() for s in scenarios], np.int64)
    for n, times in zip(*np.unique(counts, return_counts=True), strict=True):
        yield int(n), int(times)


def narrowed(
    good: list[Scenario] | StoredScenarios, wanted: Callable[[Scenario], bool], limit: int | None
) -> list[Scenario] | StoredScenarios:
    """Return those that are `wanted`, over the attributes that most of all have a value of."""
    if not isinstance(good, StoredScenarios):
        return [s for s in within_one_plan(good) if wanted(s)][:limit]
    kept = StoredScenarios(good.schema.restricted(most_present(good)))
    for scenario in islice(filter(wanted, good), limit):
        kept.append(dataclasses.replace(scenario, schema=kept.schema))
    return kept
