"""Every kind of bad record, at its exact place, beside the good ones."""

import json

import pytest

from envs.loading import streams
from envs.loading.records import MAX_ID, MAX_QUERY, MAX_VALUE
from tests.envs.loading.scenario_files import failure, jsonl, line, load, penguin


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenarios")


PROFILE = "field profile"
BAD_LINES = {
    "not JSON": (b'{"id": "b",', None, "not valid JSON at column 12"),
    "two objects": (b'{"id": "b"} {}', None, "not valid JSON at column 13"),
    "not UTF-8": (b'{"id": "\xff"}', None, "not UTF-8 at byte 9"),
    "too deep": (b'{"a":' * 100_000, None, "JSON nested too deeply"),
    "text": (b'"text"', None, "found text of 4 characters, expected an object with id"),
    "number": (b"12", None, "found a number"),
    "null": (b"null", None, "found null"),
    "no id": (line(id=...), None, "field id: found nothing, expected text"),
    "blank id": (line(id=" "), None, "field id: found blank text"),
    "truth as id": (line(id=True), None, "field id: found true or false"),
    "control id": (line(id="b\n"), None, "field id: found control characters"),
    "long id": (line(id="b" * (MAX_ID + 1)), None, f"field id: found text of {MAX_ID + 1} characters"),
    "no domain": (
        line(id="b", domain=...),
        "b",
        "field domain: found nothing, expected one of relationship,",
    ),
    "domain": (line(id="b", domain="Health"), "b", "field domain: found text of 6 characters"),
    "list domain": (line(id="b", domain=["health"]), "b", "field domain: found a list of 1"),
    "no query": (line(id="b", query=...), "b", "field query: found nothing, expected text"),
    "blank query": (line(id="b", query="\t"), "b", "field query: found blank text"),
    "query list": (line(id="b", query=["x"]), "b", "field query: found a list of 1"),
    "query number": (line(id="b", query=5), "b", "field query: found a number"),
    "long query": (line(id="b", query="x" * (MAX_QUERY + 1)), "b", f"expected at most {MAX_QUERY}"),
    "surrogate query": (line(id="b", query="\ud800"), "b", "field query: found half of a surrogate pair"),
    "no profile": (line(id="b", profile=...), "b", f"{PROFILE}: found nothing, expected an object"),
    "profile list": (line(id="b", profile=[]), "b", f"{PROFILE}: found a list of 0"),
    "empty profile": (line(id="b", profile={}), "b", f"{PROFILE}: found no attribute of the schema"),
    "object": (line(id="b", profile={"Age": {"a": 1}}), "b", f"{PROFILE}.Age: found an object of 1 keys"),
    "NaN": (line(id="b", query=float("nan")), "b", "field query: found null"),
    "Infinity": (line(id="b", profile={"Age": float("-inf")}), "b", f"{PROFILE}.Age: found Infinity"),
    "overflow": (
        b'{"id":"b","domain":"life","query":"x","profile":{"Age":1e999}}',
        "b",
        "a number out of range",
    ),
    "long number": (
        b'{"id":"b","domain":"life","query":"x","profile":{"Age":%b}}' % (b"9" * 9999),
        "b",
        f"{PROFILE}.Age: found a number out of range",
    ),
    "surrogate": (line(id="b", profile={"Age": "\udfff"}), "b", f"{PROFILE}.Age: found half of a surrogate"),
    "long value": (
        line(id="b", profile={"Age": "x" * (MAX_VALUE + 1)}),
        "b",
        f"{PROFILE}.Age: found text of {MAX_VALUE + 1} characters, expected at most {MAX_VALUE}",
    ),
    "misspelt": (
        line(id="b", profile={"Age": "34", "Martial Status": "single"}),
        "b",
        "unknown attribute 'Martial Status', did you mean 'Marital Status'",
    ),
    "two spellings": (
        line(id="b", profile={"age": "34", "Age": "35"}),
        "b",
        f"{PROFILE}: found Age under two keys, expected one",
    ),
    "foreign": (
        line(id="b", profile={"Age": "34", "zzzz": "x"}),
        "b",
        f"{PROFILE}: key 2, of 4 characters, is no attribute, expected Age,",
    ),
    "PENGUIN's extra key": (
        line(id="b", profile={"Age": "34", "Scenario": "x"}),
        "b",
        "key 2, of 8 characters, is no attribute",
    ),
    "key twice": (b'{"id":"b","id":"b"}', None, "found key 1 twice in one object, expected distinct keys"),
    "attribute twice": (
        b'{"id":"b","domain":"life","query":"x","profile":{"Gender":"m","Age":"3","Age":"4"}}',
        "b",
        f"{PROFILE}: found key 2 twice",
    ),
    "duplicate id": (line(), "a", "field id: the same as at line 1, expected distinct ids"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_bad_line_is_listed_and_the_good_ones_load(folder, kind):
    record, scenario_id, reason = BAD_LINES[kind]
    found = load(folder, jsonl(line(), b"", record, line(id="c")))
    assert [s.id for s in found.scenarios] == ["a", "c"]
    (bad,) = found.bad
    assert (bad.place, bad.scenario_id) == ("line 3", scenario_id)
    assert reason in bad.reason
    if kind != "duplicate id":
        message = failure(folder, jsonl(record, record))
        assert message.startswith(f"{folder / 'file.any'}: line 1: {bad.reason}")
        assert "no record can be used" in message


def test_first_good_record_of_an_id_counts(folder):
    found = load(folder, jsonl(line(query=""), line(query="Good?"), line(query="Late?")))
    assert [s.query for s in found.scenarios] == ["Good?"]
    assert [(b.place, b.scenario_id) for b in found.bad] == [("line 1", "a"), ("line 3", "a")]
    assert "line 2" in found.bad[1].reason


def test_overlong_line_is_skipped_whole(folder, monkeypatch):
    monkeypatch.setattr(streams, "MAX_LINE", 300)
    found = load(folder, jsonl(line(), line(id="b", query="x" * 2000), line(id="c")))
    assert [s.id for s in found.scenarios] == ["a", "c"]
    assert [b.place for b in found.bad] == ["line 2"]


BAD_RECORDS = {
    "not an object": (7, [None], "found a number, expected an object with Scenario"),
    "key twice": (..., ["00001-00"], "found key 2 twice"),
    "no queries": (penguin(Queries=...), [None], "field Queries: found nothing"),
    "empty queries": (penguin(Queries=[]), [None], "field Queries: found a list of 0"),
    "queries text": (penguin(Queries="why?"), [None], "field Queries: found text of 4 characters"),
    "scenario": (penguin(Scenario=[]), ["00001-00", "00001-01"], "field Scenario: found a list of 0"),
    "no profile": (penguin(User_Profile=...), ["00001-00", "00001-01"], "field User_Profile: found nothing"),
    "only extra": (penguin(User_Profile={"Scenario": "x"}), ["00001-00", "00001-01"], "found no attribute"),
    "value": (
        penguin(User_Profile={"Age": []}, Queries=["one?"]),
        ["00001-00"],
        "field User_Profile.Age: found a list of 0",
    ),
    "misspelt": (penguin(User_Profile={"Agee": "3"}, Queries=["one?"]), ["00001-00"], "did you mean 'Age'"),
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_bad_penguin_record_keeps_the_ids_of_the_others(folder, kind):
    record, ids, reason = BAD_RECORDS[kind]
    text = json.dumps([penguin(), record if record is not ... else 0, penguin()])
    if record is ...:
        text = text.replace(", 0,", ', {"Queries": ["x"], "Scenario": "a", "Scenario": "a"},')
        ids = [None]  # which of two values of a key is meant cannot be known
    found = load(folder, text.encode())
    assert [s.id for s in found.scenarios] == ["00000-00", "00000-01", "00002-00", "00002-01"]
    assert [(b.place, b.scenario_id) for b in found.bad] == [("index 1", i) for i in ids]
    assert all(reason in b.reason for b in found.bad)


def test_a_bad_query_spares_the_others_of_its_profile(folder):
    queries = ["One?", "", None, "Four?", 5, "x" * (MAX_QUERY + 1)]
    found = load(folder, json.dumps([penguin(Queries=queries)]).encode())
    assert [s.id for s in found.scenarios] == ["00000-00", "00000-03"]
    assert [(b.place, b.scenario_id) for b in found.bad] == [
        (f"index 0 query {i}", f"00000-0{i}") for i in (1, 2, 4, 5)
    ]
    assert found.bad[0].reason == "field Queries[1]: found blank text, expected text that is not blank"
