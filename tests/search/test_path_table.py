"""The path table: its columns, what it refuses, and that a crash leaves a whole file."""

import dataclasses
import math
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from search.path_table import PathRecord, PathTable, record_of, row_of

CONTRACT = [
    ("scenario_id", "string"),
    ("domain", "string"),
    ("query", "string"),
    ("path", "list<string>"),
    ("path_scores", "list<double>"),
    ("score", "double"),
    ("score_stderr", "double"),
    ("n_samples", "int64"),
    ("search_score", "double"),
    ("budget", "int64"),
    ("num_simulations", "int64"),
    ("judge_calls", "int64"),
    ("search", "string"),
    ("judge", "string"),
    ("seed", "int64"),
]
RECORD = PathRecord(
    "s1", "health", "Is it safe?", ("Age", "Gender"), (2.0, None, 3.25), 3.25,
    0.1, 8, 3.5, 4, 300, 42, "mcts", "j", 7
)  # fmt: skip


def table(*records, **provenance):
    return PathTable.from_records(records, {"config": {"budget": 4}, **provenance})


def refusal(path):
    with pytest.raises(UserError) as caught:
        PathTable.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert "expected" in message
    return message


def test_columns_and_types_are_the_contracts(tmp_path):
    table(RECORD).save(tmp_path / "t.parquet")
    schema = pq.read_schema(tmp_path / "t.parquet")
    found = [(field.name, str(field.type)) for field in schema]
    assert [(name, kind.replace("element: ", "").replace("item: ", "")) for name, kind in found] == CONTRACT


def test_a_folder_or_a_file(tmp_path):
    table(RECORD).save(tmp_path / "paths.parquet")
    for path in (tmp_path, tmp_path / "paths.parquet", str(tmp_path)):
        loaded = PathTable.load(path)
        assert loaded.records() == [RECORD]
        assert len(loaded) == 1
        assert loaded.provenance == {"config": {"budget": 4}, "schema_version": 1}


def test_to_pandas():
    frame = table(RECORD).to_pandas()
    assert list(frame.columns) == [name for name, _ in CONTRACT]
    assert list(frame["path"][0]) == ["Age", "Gender"]
    assert frame["path_scores"][0][0] == 2.0
    assert math.isnan(frame["path_scores"][0][1])
    assert frame["judge_calls"].dtype == "int64"


def test_an_empty_table(tmp_path):
    table().save(tmp_path / "t.parquet")
    assert PathTable.load(tmp_path / "t.parquet").records() == []


texts = st.text(st.characters(codec="utf-8"), max_size=30)
scores = st.floats(1, 5)
records = st.builds(
    PathRecord,
    scenario_id=texts,
    domain=texts,
    query=texts,
    path=st.lists(texts, max_size=4).map(tuple),
    path_scores=st.lists(st.none() | scores, min_size=1, max_size=5).map(tuple),
    score=scores,
    score_stderr=st.floats(0, 2),
    n_samples=st.integers(1, 2**40),
    search_score=scores,
    budget=st.integers(1, 64),
    num_simulations=st.integers(0, 2**40),
    judge_calls=st.integers(0, 2**40),
    search=texts,
    judge=texts,
    seed=st.integers(0, 2**63 - 1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=4))
def test_round_trip_to_the_last_bit(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    table(*rows).save(path)
    assert PathTable.load(path).records() == rows
    assert [record_of(row_of(row)) for row in rows] == rows


def test_many_rows_of_every_script(tmp_path):
    queries = ["Ist das gefährlich?", "安全ですか", "هل هذا آمن؟", "🌧" * 50, 'a "b"\n\u2028\x00c', ""]
    rows = [
        dataclasses.replace(RECORD, scenario_id=f"s{i}", query=queries[i % len(queries)])
        for i in range(20_000)
    ]
    table(*rows).save(tmp_path / "t.parquet")
    assert PathTable.load(tmp_path / "t.parquet").records() == rows


def test_a_nan_score_is_kept_apart_from_any_number(tmp_path):
    row = dataclasses.replace(RECORD, score_stderr=math.nan)
    table(row).save(tmp_path / "t.parquet")
    (loaded,) = PathTable.load(tmp_path / "t.parquet").records()
    assert math.isnan(loaded.score_stderr)
    assert loaded.path_scores == (2.0, None, 3.25)


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_crash_while_saving_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "t.parquet"
    table(RECORD).save(path)
    before = path.read_bytes()

    def crash(*arguments, **options):
        raise OSError("disk full")

    target = {
        "write": (pq.ParquetWriter, "write_table"),  # the file has begun then
        "fsync": (os, "fsync"),
        "replace": (type(path), "replace"),
    }
    monkeypatch.setattr(*target[step], crash)
    with pytest.raises(OSError, match="disk full"):
        table(dataclasses.replace(RECORD, score=1.0)).save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert PathTable.load(path).records() == [RECORD]
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    table(dataclasses.replace(RECORD, score=1.0)).save(path)
    assert PathTable.load(path).records()[0].score == 1.0


def test_no_such_file(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.parquet")
    assert "no such file" in refusal(tmp_path)


@pytest.mark.parametrize("data", [b"", b"{}", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_not_parquet(tmp_path, data):
    (tmp_path / "t.parquet").write_bytes(data)
    assert "not a readable Parquet file" in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize("text", [b"Is it safe?", b"scenario_id"])
def test_text_or_a_column_that_is_no_utf8(tmp_path, text):
    pq.write_table(table(RECORD).table, tmp_path / "t", compression="none", use_dictionary=False)
    data = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(data.replace(text, text[:-2] + b"\xdd" + text[-1:]))
    refusal(tmp_path / "t")


def test_a_torn_file(tmp_path):
    path = tmp_path / "t.parquet"
    table(RECORD).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    refusal(path)


def rewritten(path, change=lambda t: t, metadata=None):
    table(RECORD).save(path)
    stored = pq.read_table(path)
    kept = stored.schema.metadata if metadata is None else metadata
    pq.write_table(change(stored).replace_schema_metadata(kept), path)


def test_a_foreign_parquet_file(tmp_path):
    rewritten(tmp_path / "t.parquet", metadata={})
    assert "metadata" in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (b"nonsense", "not JSON"),
        (b"[1]", "schema version None"),
        (b"{}", "schema version None"),
        (b'{"schema_version": 2}', "schema version 2"),
        (b'{"schema_version": "1"}', "schema version '1'"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_unknown_metadata(tmp_path, metadata, expected):
    rewritten(tmp_path / "t.parquet", metadata={b"raise_planner": metadata})
    assert expected in refusal(tmp_path / "t.parquet")


@pytest.mark.parametrize("column", [name for name, _ in CONTRACT])
def test_a_missing_column(tmp_path, column):
    rewritten(tmp_path / "t.parquet", lambda t: t.drop_columns([column]))
    assert f"column {column}: found none" in refusal(tmp_path / "t.parquet")


def test_a_column_of_another_type(tmp_path):
    rewritten(tmp_path / "t.parquet", lambda t: t.set_column(9, "budget", pa.array(["four"])))
    assert "column budget: found string, expected int64" in refusal(tmp_path / "t.parquet")


def test_further_columns_and_another_order_are_no_harm(tmp_path):
    def change(stored):
        return stored.select(stored.column_names[::-1]).append_column("note", pa.array(["x"]))

    rewritten(tmp_path / "t.parquet", change)
    loaded = PathTable.load(tmp_path / "t.parquet")
    assert loaded.records() == [RECORD]
    assert loaded.table.column_names == [name for name, _ in CONTRACT]
