"""The path table: one Parquet row a planned scenario, with the provenance of the run.

It holds attribute names and scores, never a value of somebody's profile.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs import Schema, UserError, load_schema
from envs.checking.json_values import with_nulls
from envs.durable import replacing
from envs.schema import FILE_NAME as SCHEMA

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = 1
FILE_NAME = "paths.parquet"
_METADATA_KEY = b"raise_planner"


@dataclass(frozen=True)
class PathRecord:
    """One row: a scenario and the path planned for it.

    `path`: attribute names in the order of asking. `path_scores`: len(path) + 1 mean scores in [1, 5], the
    first with nothing asked; None = unscored. `score`: the last of them, `score_stderr` its standard error,
    over `n_samples` fresh samples. `search_score`: what the searcher believed.
    """

    scenario_id: str
    domain: str
    query: str
    path: tuple[str, ...]
    path_scores: tuple[float | None, ...]
    score: float
    score_stderr: float
    n_samples: int
    search_score: float
    budget: int
    num_simulations: int
    judge_calls: int
    search: str
    judge: str
    seed: int


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(PathRecord))


@functools.cache
def table_schema() -> pa.Schema:
    """Return the Arrow schema of a path table; Arrow takes a tenth of a second, and is loaded here first."""
    import pyarrow as pa

    return pa.schema(
        [
            ("scenario_id", pa.string()),
            ("domain", pa.string()),
            ("query", pa.string()),
            ("path", pa.list_(pa.string())),
            ("path_scores", pa.list_(pa.float64())),
            ("score", pa.float64()),
            ("score_stderr", pa.float64()),
            ("n_samples", pa.int64()),
            ("search_score", pa.float64()),
            ("budget", pa.int64()),
            ("num_simulations", pa.int64()),
            ("judge_calls", pa.int64()),
            ("search", pa.string()),
            ("judge", pa.string()),
            ("seed", pa.int64()),
        ]
    )


class PathTable:
    """A path table in memory.

    Attributes
    ----------
    table : pyarrow.Table with the columns `COLUMNS`
    provenance : dict, what made it (schema version, config, package versions, git commit, dirty flag)
    """

    def __init__(self, table: pa.Table, provenance: Mapping[str, Any]) -> None:
        self.table = table
        self.provenance = dict(provenance)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @classmethod
    def from_records(cls, records: Iterable[PathRecord], provenance: Mapping[str, Any]) -> PathTable:
        """Return a table of `records`, in their order."""
        import pyarrow as pa

        names = [f.name for f in fields(PathRecord)]
        rows = [{name: getattr(record, name) for name in names} for record in records]
        return cls(
            pa.Table.from_pylist(rows, schema=table_schema()),
            {**provenance, "schema_version": SCHEMA_VERSION},
        )

    @classmethod
    def load(cls, path: str | Path) -> PathTable:
        """Read a run folder or a Parquet file.

        Raises
        ------
        UserError
            no such file, not Parquet, not a path table, or of another schema version.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        if path.is_dir():
            path = path / FILE_NAME
        try:
            table = pq.read_table(path)
            table.validate(full=True)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file, expected a path table ({FILE_NAME})") from None
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: not a readable Parquet file ({type(error).__name__}), expected a path table"
            ) from None
        provenance = _provenance(path, table.schema.metadata or {})
        for field in table_schema():
            position = table.schema.get_field_index(field.name)
            found = "none" if position < 0 else str(table.schema.field(position).type)
            if found.replace("element:", "item:") != str(field.type).replace("element:", "item:"):
                raise UserError(f"{path}: column {field.name}: found {found}, expected {field.type}")
        found_table = table.select(list(COLUMNS)).cast(table_schema())
        for name in COLUMNS:
            if found_table[name].null_count:
                raise UserError(f"{path}: column {name}: found nulls, expected a value in each row")
        return cls(found_table, provenance)

    def save(self, path: str | Path) -> None:
        """Write to `path` at once: a reader sees the old file or the whole new one."""
        import pyarrow.parquet as pq

        path = Path(path)
        metadata = {_METADATA_KEY: json.dumps(self.provenance, sort_keys=True).encode()}
        with replacing(path) as file:
            pq.write_table(self.table.replace_schema_metadata(metadata), file)

    def to_pandas(self) -> pd.DataFrame:
        """Return a DataFrame, one row a scenario, lists as NumPy arrays."""
        return self.table.to_pandas()

    def records(self) -> list[PathRecord]:
        """Return the rows as records, in file order."""
        return [record_of(row) for row in self.table.to_pylist()]


def save_groups(groups: Iterable[pa.Table], provenance: Mapping[str, Any], path: str | Path) -> int:
    """Write a path table to `path` at once, a row group for each of `groups`; return the number of rows.

    One group is in memory at a time.
    """
    path, n_rows = Path(path), 0
    stamped = {**provenance, "schema_version": SCHEMA_VERSION}
    import pyarrow.parquet as pq

    schema = table_schema().with_metadata({_METADATA_KEY: json.dumps(stamped, sort_keys=True).encode()})
    with replacing(path) as file, pq.ParquetWriter(file, schema) as writer:
        for group in groups:
            writer.write_table(group.cast(table_schema()).replace_schema_metadata(schema.metadata))
            n_rows += group.num_rows
    return n_rows


def _provenance(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    raw = metadata.get(_METADATA_KEY)
    if raw is None:
        raise UserError(f"{path}: a Parquet file without raise-planner's metadata, expected a path table")
    try:
        provenance = json.loads(raw)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: metadata is not JSON, expected a path table") from None
    version = provenance.get("schema_version") if isinstance(provenance, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema version {version!r}, expected {SCHEMA_VERSION}; "
            f"read it with the release that wrote it, or plan again"
        )
    return dict(provenance)


_KINDS = {"string": (str,), "int64": (int,), "double": (int, float, type(None))}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""Which JSON can spell, and UTF-8 cannot hold."""


def fits(row: Mapping[str, Any], schema: pa.Schema) -> bool:
    """Tell whether the values of `row`, which has all columns of `schema`, are of the kinds that it wants."""
    return all(
        isinstance(row[field.name], list)
        and all(_is(value, field.type.value_type) for value in row[field.name])
        if str(field.type).startswith("list")
        else _is(row[field.name], field.type)
        for field in schema
    )


def _is(value: object, of: pa.DataType) -> bool:
    if type(value) not in _KINDS[str(of)]:
        return False
    if isinstance(value, str):
        return value.isascii() or not _HALF_CHARACTER.search(value)
    return not isinstance(value, int) or abs(value) < (2**63 if str(of) == "int64" else 2**53)


def record_of(row: Mapping[str, Any]) -> PathRecord:
    """Return the record of a row given as a mapping (from Arrow or JSON); NaN scores become None."""
    values = {name: row[name] for name in COLUMNS}
    values["path"] = tuple(values["path"])
    values["path_scores"] = tuple(with_nulls(list(values["path_scores"])))
    return PathRecord(**values)


def row_of(record: PathRecord) -> dict[str, Any]:
    """Return the columns of `record` (of a subclass, too) as plain JSON types."""
    return {name: list(v) if isinstance(v := getattr(record, name), tuple) else v for name in COLUMNS}


def schema_of_run(paths: str | Path) -> Schema | None:
    """Return the schema beside the table in `paths`, a run folder or a Parquet file; None where none is."""
    file = (Path(paths) if Path(paths).is_dir() else Path(paths).parent) / SCHEMA
    return load_schema(file) if file.exists() else None
