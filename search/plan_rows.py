"""Lines of plans to rows in the order of the scenarios, in flat memory whatever the order of planning."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from envs.loading.seen_ids import key_of
from search.path_table import table_schema

ROW_GROUP = 1 << 16
"""Rows that are in memory together, and in the file."""
_PLACE = "place"
_COUNTS = ("search_calls", "full_calls", "requests", "cache_hits", "invalid_rankings")
_READ = pa.schema([*table_schema(), ("score_full", pa.float64()), *((name, pa.int64()) for name in _COUNTS)])
_NAN = ("score_stderr", "search_score", "score_full")


def rows_of(lines: bytes) -> pa.Table:
    """Return the plans of `lines` (`search.plan_lines`): a path table's columns, `score_full` and counts.

    Raises
    ------
    pyarrow.ArrowInvalid
        they are no such lines.
    """
    table = pj.read_json(
        io.BytesIO(lines),
        pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        pj.ParseOptions(explicit_schema=_READ, unexpected_field_behavior="ignore"),
    )
    columns = {name: table[name] for name in _READ.names}
    columns |= {name: pc.fill_null(columns[name], math.nan) for name in _NAN}
    columns |= {name: pc.fill_null(columns[name], 0) for name in _COUNTS}  # of earlier releases
    return pa.table(columns, schema=_READ)


class _Bucket:
    """Rows of some places; beyond the first bucket they wait in a temporary file without a name."""

    def __init__(self, in_memory: bool) -> None:
        self._tables: list[pa.Table] = []
        self._file: Any = None if in_memory else tempfile.TemporaryFile()  # noqa: SIM115 - closed by `take`
        self._writer: Any = None

    def add(self, table: pa.Table) -> None:
        """Keep the rows of `table`, which has a column of places."""
        if self._file is None:
            self._tables.append(table)
            return
        if self._writer is None:
            self._writer = pa.ipc.new_stream(self._file, table.schema)
        self._writer.write_table(table)

    def take(self) -> pa.Table | None:
        """Return the rows by place, each place once; None for none."""
        tables = self._tables
        if self._writer is not None:
            self._writer.close()
            self._file.seek(0)
            tables = [pa.ipc.open_stream(self._file).read_all()]
        if self._file is not None:
            self._file.close()
        if not tables:
            return None
        table = pa.concat_tables(tables)
        _, first = np.unique(table[_PLACE].to_numpy(), return_index=True)
        return table.take(first).drop_columns([_PLACE])


def in_order(blocks: Iterable[bytes], keys: np.ndarray, size: int = ROW_GROUP) -> Iterator[pa.Table]:
    """Yield the rows of all `blocks` of lines in the order of `keys`, `size` places at a time.

    `keys`: uint64[n], `key_of` each scenario's id; a row of no such scenario is left out.
    """
    order = np.argsort(keys)
    ranked = keys[order]
    buckets = [_Bucket(len(keys) <= size) for _ in range(0, len(keys), size)]
    for block in blocks:
        table = rows_of(block)
        own = np.array([key_of(name) for name in table["scenario_id"].to_pylist()], np.uint64)
        at = np.minimum(np.searchsorted(ranked, own), len(ranked) - 1)
        there = ranked[at] == own
        places = order[at]
        table = table.append_column(_PLACE, pa.array(places))
        for number in np.unique(places[there] // size):
            buckets[number].add(table.filter(pa.array(there & (places // size == number))))
    for number, bucket in enumerate(buckets):
        found = bucket.take()
        buckets[number] = _Bucket(True)  # its memory goes
        if found is not None:
            yield found
