"""Whatever is in a file, it is read or told in one line that names it; what a fuzzer found stays here."""

import random

import pyarrow.parquet as pq
import pytest

from envs import UserError
from search.path_table import PathTable
from tests.faults.fuzzing import case, trial
from tests.faults.loaders import PACKAGED, complaint, loaders

pytestmark = pytest.mark.slow
KINDS = (
    *("journal", "resumed journal", "ledger", "books", "cache", "schema", "prices", "scenario lines"),
    *(
        "scenario list",
        "scenario table",
        "scenario columns",
        "conversation",
        "path table",
        "trees",
        "histories",
    ),
)
FOUND = (
    ("books", 0, 16),
    ("resumed journal", 0, 17),
    ("path table", 4, 7),
    ("ledger", 4, 69),
    ("journal", 598538, 4),
)
"""(kind, seed, number) of damages that ended in a traceback."""
ODD = (
    *(b"", b"\0", b"\n", b"\xff\xfe", b"null", b"[]", b"{}", b"[" * 100_000, b"9" * 5000, b"\xed\xa0\x80"),
    *(
        b"a: &a [*a]",
        b"- 2026-13-45",
        b"!!python/object:os.system x",
        b"a: " + b"[" * 2000,
        b"\n" * 3_000_000,
    ),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return loaders(tmp_path_factory.mktemp("whole"))


def test_every_kind_is_read_where_it_is_whole(whole, tmp_path):
    assert tuple(whole) == KINDS
    for loader in whole.values():
        (tmp_path / loader.file).write_bytes(loader.content)
        assert complaint(loader, tmp_path / loader.file) is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_such_file_is_one_line(whole, kind):
    assert [trial(kind, whole[kind], content) for content in ODD] == [None] * len(ODD)


@pytest.mark.parametrize("kind", KINDS)
def test_what_belongs_to_another_kind_is_one_line(whole, kind):
    others = [loader.content for name, loader in whole.items() if loader.file != whole[kind].file]
    assert [trial(kind, whole[kind], content) for content in others] == [None] * len(others)


@pytest.mark.parametrize(("kind", "seed", "number"), FOUND)
def test_what_was_found(whole, kind, seed, number):
    assert trial(kind, whole[kind], case(seed, kind, number, whole[kind].content)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_at_random(whole, kind):
    seed = random.Random(f"{kind}/plain").randrange(10**6)
    wrong = {n: trial(kind, whole[kind], case(seed, kind, n, whole[kind].content)) for n in range(4)}
    assert {n: w for n, w in wrong.items() if w is not None} == {}, seed


def test_a_path_table_without_a_value_names_its_column(tmp_path):
    table = pq.read_table(PACKAGED / "paths.parquet")
    rows = table.slice(0, 2).to_pylist()
    rows[1]["judge"] = None
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), tmp_path / "paths.parquet")
    with pytest.raises(UserError, match=r"paths\.parquet: column judge: found nulls"):
        PathTable.load(tmp_path)
