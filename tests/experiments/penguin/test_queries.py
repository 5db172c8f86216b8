"""Queries: the grammar, a model at an endpoint, what is thrown out, and the files that are written."""

import json

import numpy as np
import pytest

from envs import penguin_schema
from envs.llm.scripted.scripted_replies import Completion
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from envs.loading import load_scenarios
from experiments.penguin.file_checks import check_file
from experiments.penguin.generating.generation import draw_people, generate
from experiments.penguin.generating.profile_makers import GraphProfiles
from experiments.penguin.generating.query_checks import leaks, near_duplicates, thrown_out, unit_vectors
from experiments.penguin.generating.query_writers import GrammarWriter, ModelWriter
from experiments.penguin.generating.written_layouts import write_layouts
from policies.embeddings import static_embedding


@pytest.fixture(scope="module")
def made():
    return generate(14, 10, GraphProfiles(seed=0), GrammarWriter(), static_embedding())


def test_everybody_has_distinct_queries_that_tell_nothing(made):
    assert [len(queries) for queries in made.queries] == [10] * 14
    found = check_file(made.scenarios(), static_embedding())
    assert (found.scenarios, found.people, found.bad) == (140, 14, 0)
    assert (found.n_leaking, found.repeated, found.near) == (0, 0, 0)
    assert {off for _, off, _ in found.values.values()} == {0}
    assert made.written == 140 + sum(made.thrown_out.values())


def test_the_same_seed_gives_the_same_and_at_once_changes_nothing(made):
    again = generate(14, 10, GraphProfiles(seed=0), GrammarWriter(), static_embedding(), at_once=4)
    assert again.queries == made.queries
    np.testing.assert_array_equal(again.codes, made.codes)
    other = generate(14, 10, GraphProfiles(seed=1), GrammarWriter(seed=1), static_embedding())
    assert not set(sum(other.queries, ())) >= set(sum(made.queries, ()))


def test_all_written_layouts_load_as_the_same_scenarios(made, tmp_path):
    names = write_layouts(tmp_path, made)
    assert len(names) == 5
    wanted = [(s.query, s.domain, dict(s.profile)) for s in made.scenarios()]
    for name in names:
        found = load_scenarios(tmp_path / name)
        assert found.n_bad == 0
        assert [(s.query, s.domain, dict(s.profile)) for s in found.scenarios] == wanted


def test_parallel_files_need_ten_queries_each(tmp_path):
    few = generate(3, 2, GraphProfiles(seed=0), GrammarWriter(), static_embedding())
    assert write_layouts(tmp_path, few) == ["scenarios.jsonl", "penguin.json", "flat.parquet"]


def test_what_is_thrown_out_and_why():
    schema, taken = penguin_schema(), {"is this seen before?"}
    queries = [
        "Should I sell the boat this year?",
        "Should I sell the boat this year??",
        "Is this seen before?",
        "I am 52 and my wife left. What now?",
        "word " * 80,
    ]
    good, reasons = thrown_out(queries, [], taken, schema, static_embedding())
    assert good == queries[:1]
    assert reasons == {
        "near-duplicate of the same person's": 1,
        "repeated": 1,
        "tells an attribute": 1,
        "length": 1,
    }
    assert "should i sell the boat this year?" in taken


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("You are now 25, is that too late?", ("Age",)),
        ("You're 25. Your wife left, and now?", ("Age", "Marital Status")),
        ("Do you think that I should sell it?", ()),
        ("Would you lend your brother the money?", ()),
    ],
)
def test_what_is_told_to_the_person_in_place_of_by_them(query, told):
    assert leaks(query, penguin_schema()) == told


def test_near_duplicates_against_every_pair():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1500, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    naive = [bool((cosines[i, :i] >= 0.95).any()) for i in range(len(vectors))]
    assert near_duplicates(vectors).tolist() == naive
    assert 0 < sum(naive) < 1500
    assert unit_vectors([""], static_embedding()).tolist() == [[0.0] * 256]


def test_a_model_writes_over_http_is_asked_again_and_paid_for_once(tmp_path):
    """The first reply of a person holds a leak and a wrong form comes in between; nobody pays twice."""
    bodies = []

    def reply(body):
        bodies.append(body)
        text = json.dumps(body["messages"])
        if "Sudden Job Loss" in text:
            return Completion("I would rather not.")
        n = len(bodies)
        queries = [f"Shall I cross bridge number {n}-{i} by the {w}?" for i, w in enumerate(("sea", "moor"))]
        if "Write 2 different" in text:
            queries[0] = "I am 52 years old, is that bad?"
        return Completion(json.dumps({"queries": [f"{i}. {query}" for i, query in enumerate(queries, 1)]}))

    with ScriptedServer(Script(rule=reply)) as server:
        options = {"base_url": server.url, "cache": str(tmp_path / "replies.sqlite"), "max_retries": 0}
        writer = ModelWriter(model="m", **options)
        made = generate(2, 2, GraphProfiles(seed=0), writer, static_embedding(), attempts=3)
        assert len(made.queries[0]) == 2
        assert all(query.startswith("Shall I cross") for query in made.queries[0])
        assert made.queries[1] == ()
        assert made.thrown_out["tells an attribute"] >= 1
        assert writer.n_invalid == 3
        n = len(bodies)
        cached = ModelWriter(model="m", **options)
        again = generate(2, 2, GraphProfiles(seed=0), cached, static_embedding(), attempts=1)
        # The reply that could not be used is asked for again, the other one is not.
        assert all("Sudden Job Loss" in json.dumps(body["messages"]) for body in bodies[n:])
        assert set(again.queries[0]) <= set(made.queries[0])


def test_people_of_every_domain():
    people, _, situations, _ = draw_people(140, GraphProfiles())
    assert len({p.domain for p in people}) == 7
    assert len(set(situations.tolist())) == 140
