"""Plans as lines of strict JSON, each with a checksum, and lines as rows in the order of the scenarios.

Names and scores only. A line ends with the CRC-32 of what it would be without it, so that a bit that a disk
has turned is found, and a line that bears the sum need not be taken apart to be believed.
"""

from __future__ import annotations

import functools
import io
import json
import math
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from envs.checking.json_values import with_nulls
from envs.loading.seen_ids import key_of
from search.path_table import COLUMNS, fits, record_of, row_of, table_schema
from search.planning import Failure, Outcome, ScenarioPlan
from search.problem import Observations

if TYPE_CHECKING:
    import pyarrow as pa

_SUM = b', "crc32": "'
_TAIL = len(_SUM) + 8 + 2
"""Bytes from the sum's key to the end of the object."""
ROW_GROUP = 1 << 16
"""Rows that are in memory together, and in the file."""
_PLACE = "place"
_COUNTS = ("search_calls", "full_calls", "requests", "cache_hits", "invalid_rankings")
_NAN = ("score_stderr", "search_score", "score_full")


class PlanTotals(NamedTuple):
    """Sums over plans, as far as a progress line tells them."""

    plans: int = 0
    judge_calls: int = 0
    requests: int = 0
    score: float = 0.0

    def plus(self, other: PlanTotals) -> PlanTotals:
        """Return the sums of both."""
        return PlanTotals(
            self.plans + other.plans,
            self.judge_calls + other.judge_calls,
            self.requests + other.requests,
            self.score + other.score,
        )


class PlanBatch(NamedTuple):
    """Plans and failures of some scenarios. `lines`: a whole line for each plan, in the order of planning."""

    lines: bytes
    totals: PlanTotals
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return self.totals.plans + len(self.failures)


def batch_of(outcomes: Sequence[Outcome]) -> PlanBatch:
    """Return `outcomes` encoded."""
    plans = [o for o in outcomes if isinstance(o, ScenarioPlan)]
    return PlanBatch(
        b"".join(summed(to_json(plan)) for plan in plans),
        PlanTotals(
            len(plans),
            sum(p.judge_calls for p in plans),
            sum(p.requests for p in plans),
            sum(p.score for p in plans),
        ),
        tuple(o for o in outcomes if isinstance(o, Failure)),
    )


def summed(text: str) -> bytes:
    """Return the JSON object `text` as a line with its checksum."""
    data = text.encode()
    return b'%b%b%08x"}\n' % (data[:-1], _SUM, zlib.crc32(data))


def is_summed(line: bytes) -> bool | None:
    """Tell whether a line agrees with its checksum; None where it bears none (an earlier release's)."""
    line = line.rstrip(b"\n")
    if line[-_TAIL : -_TAIL + len(_SUM)] != _SUM:
        return None
    return line.endswith(b'"}') and b"%08x" % zlib.crc32(b"}", zlib.crc32(line[:-_TAIL])) == line[-10:-2]


def to_json(plan: ScenarioPlan) -> str:
    """Return `plan` as one line of strict JSON; NaN becomes null, floats keep every bit."""
    return json.dumps(plain_plan(plan), allow_nan=False, ensure_ascii=False)


def plain_plan(plan: ScenarioPlan) -> dict[str, Any]:
    """Return `plan` as plain values, None for NaN."""
    row: dict[str, Any] = {**row_of(plan), **{name: getattr(plan, name) for name in (*_COUNTS, "stopped")}}
    row["score_stderr"], row["search_score"] = with_nulls(plan.score_stderr), with_nulls(plan.search_score)
    row["score_full"] = with_nulls(plan.score_full)
    row["alternatives"] = [[step, name, visits, with_nulls(v)] for step, name, visits, v in plan.alternatives]
    seen = plan.observations
    if seen is not None:
        row["observations"] = {
            "masks": seen.masks.tolist(),
            "samples": seen.samples.tolist(),
            "scores": with_nulls(seen.scores.tolist()),
        }
    return row


def number(value: float | None) -> float:
    """Return what `with_nulls` has made of a number: null is NaN."""
    return math.nan if value is None else float(value)


def from_json(row: Mapping[str, Any]) -> ScenarioPlan:
    """Return the plan that `to_json` wrote; codes, which tell of values, are not in it (empty here).

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError, OverflowError
        it wrote none of these.
    """
    columns = {name: row[name] for name in COLUMNS}
    counts = {name: row.get(name, 0) for name in _COUNTS}  # journals of earlier releases lack some
    if not fits({**columns, **counts, "score_full": row["score_full"]}, _line_schema()):
        raise TypeError
    if columns["score"] is None or not isinstance(row["stopped"], str):
        raise TypeError
    columns["score_stderr"] = number(row["score_stderr"])
    columns["search_score"] = number(row["search_score"])
    seen = row.get("observations")
    return ScenarioPlan(
        **vars(record_of(columns)),
        **counts,
        stopped=row["stopped"],
        score_full=number(row["score_full"]),
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


@functools.cache
def _line_schema() -> pa.Schema:
    """Return a path table's columns, `score_full` and counts: what is read of a line."""
    import pyarrow as pa

    counts = [(name, pa.int64()) for name in _COUNTS]
    return pa.schema([*table_schema(), ("score_full", pa.float64()), *counts])


def rows_of(lines: bytes) -> pa.Table:
    """Return the plans of `lines` (`search.plan_lines`): a path table's columns, `score_full` and counts.

    Raises
    ------
    pyarrow.ArrowInvalid
        they are no such lines.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.json as pj

    read = _line_schema()
    table = pj.read_json(
        io.BytesIO(lines),
        pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        pj.ParseOptions(explicit_schema=read, unexpected_field_behavior="ignore"),
    )
    columns = {name: table[name] for name in read.names}
    columns |= {name: pc.fill_null(columns[name], math.nan) for name in _NAN}
    columns |= {name: pc.fill_null(columns[name], 0) for name in _COUNTS}  # of earlier releases
    return pa.table(columns, schema=read)


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
            import pyarrow as pa

            self._writer = pa.ipc.new_stream(self._file, table.schema)
        self._writer.write_table(table)

    def take(self) -> pa.Table | None:
        """Return the rows by place, each place once; None for none."""
        import pyarrow as pa

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
    import pyarrow as pa

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
        for k in np.unique(places[there] // size):
            buckets[k].add(table.filter(pa.array(there & (places // size == k))))
    for k, bucket in enumerate(buckets):
        found = bucket.take()
        buckets[k] = _Bucket(True)  # its memory goes
        if found is not None:
            yield found
