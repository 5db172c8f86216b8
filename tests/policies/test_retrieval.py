"""Retrieval against a naive twin: exact, ties in file order, an index that fits its table."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs import UserError
from policies import PlanIndex
from policies.retrieval import Index, digest_of
from search.path_table import PathTable
from tests.policies.policy_cases import RECORDS, SCHEMA, WordEmbedding, plan_index, record


class Given:
    """An embedding that looks vectors up."""

    name, version = "given", "1"

    def __init__(self, vectors):
        self.vectors = {str(i): v for i, v in enumerate(vectors)}
        self.dim = len(vectors[0])

    def embed(self, texts):
        return np.array([self.vectors[t] for t in texts], np.float32)


def naive(vectors, query, k):
    def unit(v):
        length = np.sqrt(sum(float(x) ** 2 for x in v))
        return [float(x) / length for x in v] if length else [0.0] * len(v)

    q = unit(query)
    similar = [sum(a * b for a, b in zip(unit(v), q, strict=True)) for v in vectors]
    order = sorted(range(len(vectors)), key=lambda i: (-round(similar[i], 6), i))
    return order[:k], [similar[i] for i in order[:k]]


@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=30),
    st.integers(1, 12),
    st.data(),
)
def test_equals_the_naive_twin(vectors, k, data):
    """Small integers: many ties, zero vectors, duplicates."""
    number = data.draw(st.integers(0, len(vectors) - 1))
    embedding = Given(vectors)
    index = Index.build(embedding, [str(i) for i in range(len(vectors))])
    rows, similar = index.nearest(str(number), k)
    wanted, values = naive(vectors, vectors[number], k)
    assert rows.tolist() == wanted
    np.testing.assert_allclose(similar, values, atol=1e-6)


def test_equal_queries_come_in_file_order_at_any_place_of_a_large_matrix():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((5003, 64))
    copies = [17, 1000, 2501, 4999, 5002]
    vectors[copies] = vectors[17]
    index = Index.build(Given(vectors), [str(i) for i in range(len(vectors))])
    rows, similar = index.nearest("17", 3)
    assert rows.tolist() == copies[:3]
    assert len(set(similar.tolist())) == 1


def test_among_some_rows():
    found = plan_index().neighbours("one two", 2, "social")
    assert found.domains == ("social", "social")
    assert plan_index().neighbours("one two", 2, "education").rows.tolist() == [0, 1]  # no such row: all


def test_neighbours_by_hand():
    found = plan_index().neighbours("one two four", 3)
    assert found.rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.similarity, [2 / np.sqrt(6), 1 / np.sqrt(6), 1 / np.sqrt(6)], rtol=1e-6)
    assert found.paths.tolist() == [[0, 1, -1], [1, 0, -1], [2, -1, -1]]
    np.testing.assert_array_equal(found.scores[2], [3.0, 3.9, np.nan, np.nan])
    assert found.domains == ("health", "health", "social")
    weights = found.weights(0.1)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] / weights[1] == pytest.approx(np.exp((1 / np.sqrt(6)) / 0.1), rel=1e-5)
    shares = found.domain_shares(0.1)
    assert shares == pytest.approx({"health": weights[0] + weights[1], "social": weights[2]})


def test_more_neighbours_than_rows():
    assert len(plan_index().neighbours("one", 99).rows) == len(RECORDS)


def test_take_keeps_rows_and_vectors():
    part = plan_index().take(np.array([4, 2]))
    assert [r.scenario_id for r in part.table.records()] == ["s4", "s2"]
    assert part.neighbours("four", 1).rows.tolist() == [1]
    assert part.index.digest == digest_of(["eight", "four five"])


def test_saved_and_loaded(tmp_path):
    embedding, queries = WordEmbedding(), [r.query for r in RECORDS]
    made = Index.build(embedding, queries)
    made.save(tmp_path / "index.npz")
    again = Index.load(tmp_path / "index.npz", embedding, queries)
    np.testing.assert_array_equal(again.matrix, made.matrix)
    assert [p.name for p in tmp_path.iterdir()] == ["index.npz"]


@pytest.mark.parametrize("change", ["name", "version", "queries", "order"])
def test_an_index_of_something_else_is_refused(tmp_path, change):
    queries = [r.query for r in RECORDS]
    path = tmp_path / "index.npz"
    Index.build(WordEmbedding(), queries).save(path)
    embedding = WordEmbedding()
    if change in ("name", "version"):
        setattr(embedding, change, "other")
    queries = {"queries": [*queries[:-1], "two"], "order": queries[::-1]}.get(change, queries)
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: [^\n]* expected [^\n]*$"):
        Index.load(path, embedding, queries)


def test_another_model_under_the_same_name_is_refused(tmp_path):
    queries = [r.query for r in RECORDS]
    path = tmp_path / "index.npz"
    Index.build(WordEmbedding(), queries).save(path)

    class Retrained(WordEmbedding):
        def embed(self, texts):
            return super().embed(texts)[:, ::-1]

    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: embedding words gives [^\n]*$"):
        Index.load(path, Retrained(), queries)


def test_an_index_damaged_at_any_byte_is_one_line_or_as_it_was(tmp_path):
    queries = [r.query for r in RECORDS]
    path = tmp_path / "index.npz"
    made = Index.build(WordEmbedding(), queries)
    made.save(path)
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            found = Index.load(path, WordEmbedding(), queries)
        except UserError:
            refused += 1
        else:  # a date or a mode of the archive
            np.testing.assert_array_equal(found.matrix, made.matrix)
    assert refused > len(whole) / 6


def test_an_index_that_cannot_be_written_is_one_line(tmp_path):
    path = tmp_path / "nowhere" / "index.npz"
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: the index cannot be written [^\n]*$"):
        Index.build(WordEmbedding(), ["one"]).save(path)


@pytest.mark.parametrize("content", [None, b"no archive", b"", b"PK\x03\x04"])
def test_a_missing_or_damaged_index_is_one_line(tmp_path, content):
    path = tmp_path / "index.npz"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: [^\n]*$"):
        Index.load(path, WordEmbedding(), ["one"])


def test_load_writes_the_index_once_and_reads_it_then(tmp_path):
    PathTable.from_records(RECORDS, {}).save(tmp_path / "paths.parquet")
    first = PlanIndex.load(tmp_path, WordEmbedding(), SCHEMA, tmp_path / "i.npz")

    asked = []

    class Counting(WordEmbedding):
        def embed(self, texts):
            asked.extend(texts)
            return super().embed(texts)

    second = PlanIndex.load(tmp_path / "paths.parquet", Counting(), SCHEMA, tmp_path / "i.npz")
    assert asked == [RECORDS[0].query]  # to see that it is the same model
    np.testing.assert_array_equal(first.index.matrix, second.index.matrix)


@pytest.mark.parametrize("bad", [np.zeros((1, 3), np.float32), np.full((1, 8), np.nan, np.float32)])
def test_an_embedding_that_returns_nonsense_is_named(bad):
    class Bad(WordEmbedding):
        def embed(self, texts):
            return bad

    with pytest.raises(UserError, match=r"^embedding words: "):
        Index.build(Bad(), ["one"])


def test_a_path_outside_the_schema_is_one_line():
    with pytest.raises(UserError, match=r"^by hand: attribute 'Z' is in a path, expected one of [^\n]*$"):
        plan_index([record("one", "Z", (3.0, 4.0))])


def test_an_empty_table_is_refused():
    with pytest.raises(UserError, match=r"^by hand: the table has no row"):
        plan_index([])


def test_ranking_and_flags():
    """Added over all paths: A .8 + .4 + .6, B .2 + .5, C .9 - .1, D .5."""
    found = plan_index()
    assert found.ranking == (0, 2, 1, 3)
    assert found.budget == 3
    assert found.simulated
    assert not plan_index([record("one", "A", (3.0, 4.0), judge="gpt")]).simulated


def test_unscored_prefixes_are_nan():
    found = plan_index([record("one", "AB", (3.0, None, 4.0))])
    np.testing.assert_array_equal(found.scores, [[3.0, np.nan, 4.0]])
