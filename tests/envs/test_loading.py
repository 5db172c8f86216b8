"""Scenario files: both layouts, every kind of mistake at its exact place, splits, and no leak of a value."""

import copy
import gzip
import hashlib
import json
import os
import pickle
import subprocess
import sys
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import loading
from envs.attributes import Attribute, Schema, is_missing, load_schema, penguin_schema
from envs.errors import UserError
from envs.loading import BadRecord, ScenarioSet, load_bundled, load_scenarios
from envs.records import MAX_ID, MAX_QUERY, MAX_VALUE, situations
from envs.scenario import DOMAINS, Profile, Scenario

NAMES = penguin_schema().names
ROOT = Path(__file__).parents[2]
PENGUIN = Path(os.environ.get("RAISE_PENGUIN", ROOT.parent / "shared/data/penguin"))
PENGUIN = PENGUIN / "penguin_synthetic_dev.json" if PENGUIN.is_dir() else PENGUIN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenarios")


def line(**changes):
    record = {
        "id": "a",
        "domain": "health",
        "query": "Shall I stop?",
        "profile": {"Age": "34", "Gender": "Male"},
    }
    record.update(changes)
    return {key: value for key, value in record.items() if value is not ...}


def jsonl(*records):
    rows = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    return b"\n".join(rows) + b"\n"


def penguin(**changes):
    record = {
        "Scenario": "Chronic Pain",
        "User_Profile": {"Scenario": "Chronic Pain", "Age": "34", "Gender": "Male"},
        "Queries": ["Shall I stop?", "Is it safe?"],
    }
    record.update(changes)
    return {key: value for key, value in record.items() if value is not ...}


def load(folder, data, **options):
    path = folder / "file.any"
    path.write_bytes(data)
    return load_scenarios(path, **options)


def failure(folder, data, **options):
    with pytest.raises(UserError) as caught:
        load(folder, data, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def outcome(folder, data):
    try:
        return load(folder, data), None
    except UserError as error:
        return None, error


# ---- layouts


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["no BOM", "BOM"])
@pytest.mark.parametrize("blank", [b"", b"\r\n \n\n"], ids=["", "blank lines first"])
def test_jsonl(folder, pack, bom, blank):
    text = jsonl(line(situation="Chronic Pain"), b"", line(id="ö", query="Où aller ?", domain="other"))
    found = load(folder, pack(bom + blank + text.replace(b"\n", b"\r\n")))
    assert [(s.id, s.domain, s.query) for s in found.scenarios] == [
        ("a", "health", "Shall I stop?"),
        ("ö", "other", "Où aller ?"),
    ]
    assert found.scenarios[0].profile == {"Age": "34", "Gender": "Male"}
    assert found.bad == ()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["no BOM", "BOM"])
@pytest.mark.parametrize("indent", [None, 1])
def test_penguin_layout(folder, pack, bom, indent):
    records = [penguin(), penguin(Scenario="Partner\u2019s  sudden death"), penguin(Scenario="Lost keys")]
    text = json.dumps(records, indent=indent, ensure_ascii=False).encode()
    found = load(folder, pack(bom + b"\n\n " + text))
    assert [s.id for s in found.scenarios] == [f"0000{i}-0{j}" for i in range(3) for j in range(2)]
    assert [s.domain for s in found.scenarios] == ["health"] * 2 + ["relationship"] * 2 + ["other"] * 2
    assert found.scenarios[1].query == "Is it safe?"
    assert found.scenarios[0].profile == {"Age": "34", "Gender": "Male"}
    assert found.scenarios[0].profile is found.scenarios[1].profile
    assert found.scenarios[0].codes is found.scenarios[1].codes


def test_layout_is_read_from_content_not_from_the_name(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(json.dumps([penguin()]).encode()))
    (tmp_path / "b.json.gz").write_bytes(jsonl(line()))
    assert [s.id for s in load_scenarios(tmp_path / "a.jsonl").scenarios] == ["00000-00", "00000-01"]
    assert [s.id for s in load_scenarios(str(tmp_path / "b.json.gz")).scenarios] == ["a"]


def test_first_jsonl_line_may_be_a_bad_list(folder):
    found = load(folder, jsonl([1, 2], line()))
    assert [s.id for s in found.scenarios] == ["a"]
    assert found.bad == (
        BadRecord("line 1", None, "found a list of 2, expected an object with id, domain, query and profile"),
    )


def test_last_line_needs_no_newline(folder):
    assert len(load(folder, jsonl(line(), line(id="b")).rstrip()).scenarios) == 2


def test_more_than_a_hundred_queries_keep_distinct_ids(folder):
    found = load(folder, json.dumps([penguin(Queries=["Why?"] * 101)]).encode())
    assert found.scenarios[-1].id == "00000-100"
    assert len({s.id for s in found.scenarios}) == 101


# ---- values


def test_numbers_become_their_text_and_missing_values_are_left_out(folder):
    raw = (
        b'{"id":"a","domain":"life","query":"Go?","profile":{"Age":34,"Gender":3.50,"Profession":null,'
        b'"Marital Status":" Unknown ","Health Status":"","Education Level":"not specified",'
        b'"Past Self-Harm History":"None"}}\n'
    )
    (scenario,) = load(folder, raw).scenarios
    assert scenario.profile == {"Age": "34", "Gender": "3.50", "Past Self-Harm History": "None"}
    assert all(type(value) is str for value in scenario.profile.values())
    assert penguin_schema().names_of(scenario.askable) == ("Age", "Gender", "Past Self-Harm History")


def test_a_profile_of_missing_values_loads_with_nothing_to_ask(folder):
    (scenario,) = load(folder, jsonl(line(profile={"Age": None}))).scenarios
    assert scenario.askable == 0
    assert (scenario.codes == -1).all()


def test_other_attributes(folder, tmp_path):
    (tmp_path / "schema.yaml").write_text("- name: Budget\n- name: Health Status\n", encoding="utf-8")
    schema = load_schema(tmp_path / "schema.yaml")
    profile = {"Budget": "tight", "Health Status": "good", "Age": "34"}
    (scenario,) = load(folder, jsonl(line(profile=profile)), schema=schema).scenarios
    assert scenario.profile == {"Budget": "tight", "Health Status": "good"}  # Age: left out on purpose
    assert scenario.schema is schema
    message = failure(folder, jsonl(line(profile={"Budgett": "tight"})), schema=schema)
    assert message.endswith("line 1: field profile: unknown attribute 'Budgett', did you mean 'Budget'")
    respelt = Schema([Attribute("marital status", "?"), Attribute("Age", "?")])
    message = failure(folder, jsonl(line(profile={"Age": "34", "Marital Status": "x"})), schema=respelt)
    assert "unknown attribute 'Marital Status', did you mean 'marital status'" in message


# ---- bad records, each at its place

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
    "number id": (line(id=7), None, "field id: found a number"),
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
    "boolean": (
        line(id="b", profile={"Age": True}),
        "b",
        f"{PROFILE}.Age: found true or false, expected text,",
    ),
    "object": (line(id="b", profile={"Age": {"a": 1}}), "b", f"{PROFILE}.Age: found an object of 1 keys"),
    "NaN": (line(id="b", profile={"Age": float("nan")}), "b", f"{PROFILE}.Age: found NaN or Infinity"),
    "Infinity": (line(id="b", profile={"Age": float("-inf")}), "b", f"{PROFILE}.Age: found NaN or Infinity"),
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
    "case": (line(id="b", profile={"age": "34"}), "b", "unknown attribute 'age', did you mean 'Age'"),
    "foreign": (
        line(id="b", profile={"Age": "34", "zzzz": "x"}),
        "b",
        "key 2 is no attribute, expected Age,",
    ),
    "PENGUIN's extra key": (
        line(id="b", profile={"Age": "34", "Scenario": "x"}),
        "b",
        "key 2 is no attribute",
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
    monkeypatch.setattr(loading, "MAX_LINE", 300)
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


# ---- files that cannot be used


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "found no record, expected JSONL scenarios or a JSON list in the PENGUIN layout"),
        (b"\xef\xbb\xbf \n\n", "found no record"),
        (b"[]", "found no record"),
        (gzip.compress(b""), "found no record"),
        (b"\x1f\x8bnot gzip at all", "the gzip data is damaged or ends early"),
        (gzip.compress(jsonl(line()) * 50)[:-20], "the gzip data is damaged or ends early"),
        (b"Age,Gender\n34,Male\n", "line 1: not valid JSON at column 1, expected one complete object"),
        (json.dumps(line()).encode("utf-16"), "line 1: not UTF-8 at byte 1"),
        (json.dumps(line(), indent=1).encode(), "line 1: not valid JSON at column 2, expected one complete"),
        (b"\n[1,\n 2", "not valid JSON at line 3 column 3, expected a JSON list in the PENGUIN layout"),
        (b'[{"Scenario":\n "\xff"}]', "not UTF-8 at line 2 byte 3"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (json.dumps([line()]).encode(), "index 0: field Queries: found nothing"),
        (json.dumps({"data": [penguin()]}).encode(), "line 1: field id: found nothing"),
    ],
)
def test_unusable_file_gets_one_error(folder, data, reason):
    assert failure(folder, data).startswith(f"{folder / 'file.any'}: {reason}")


def test_unusable_path(tmp_path):
    for path, reason in [(tmp_path, "found a directory"), (tmp_path / "none", "no such file")]:
        with pytest.raises(UserError, match=reason) as caught:
            load_scenarios(path)
        assert str(path) in str(caught.value)


def test_oversized_list(folder, monkeypatch):
    monkeypatch.setattr(loading, "MAX_LIST", 100)
    assert "a JSON list of over 0 MiB" in failure(folder, json.dumps([penguin()] * 9).encode())


@pytest.mark.parametrize(
    "options",
    [{"limit": 0}, {"limit": -3}, {"split": "dev"}, {"test_fraction": 1.1}, {"test_fraction": float("nan")}],
)
def test_arguments_out_of_range(options):
    with pytest.raises(UserError, match=rf"scenarios\.{next(iter(options))}: found .*, expected"):
        load_scenarios(**options)


def test_empty_split_is_an_error(folder):
    assert "split test holds none of 1 scenarios" in failure(
        folder, jsonl(line()), split="test", test_fraction=0.0
    )


# ---- limit, split, hash

PEOPLE = [line(id=str(i), profile={"Age": str(i)}) for i in range(400)]


def ids(found):
    return [s.id for s in found.scenarios]


def test_limit_keeps_the_first_of_the_split_in_file_order(folder):
    data = jsonl(*PEOPLE)
    train = ids(load(folder, data, split="train"))
    assert ids(load(folder, data, split="train", limit=7)) == train[:7]
    assert ids(load(folder, data, limit=3)) == ["0", "1", "2"]
    assert len(ids(load(folder, data, limit=10_000))) == 400


def test_split_parts_the_people_whatever_their_order_and_company(folder):
    data = jsonl(*PEOPLE)
    train, test = (ids(load(folder, data, split=side)) for side in ("train", "test"))
    assert sorted(train + test, key=int) == [str(i) for i in range(400)]
    assert train == sorted(train, key=int)
    assert 50 <= len(test) <= 110  # 80 expected, sd 8
    assert ids(load(folder, jsonl(*PEOPLE[::-2]), split="test")) == [i for i in test[::-1] if int(i) % 2]
    other = ids(load(folder, data, split="test", split_seed=1))
    assert len(set(other) & set(test)) < 40  # independent: 16 expected
    more = ids(load(folder, data, split="test", test_fraction=0.5))
    assert set(test) < set(more)  # a larger fraction only adds


def test_split_by_profile_not_by_query(folder):
    queries = [
        line(id=f"{i}-{q}", query=f"{q}?", profile={"Age": str(i)}) for i in range(60) for q in range(3)
    ]
    sides = {s: ids(load(folder, jsonl(*queries), split=s)) for s in ("train", "test")}
    people = {side: {i.split("-")[0] for i in found} for side, found in sides.items()}
    assert people["test"]
    assert not people["train"] & people["test"]


def test_equal_profiles_are_on_the_same_side_whatever_their_spacing_and_order(folder):
    for i in range(60):
        a = {"Age": f"{i} years", "Gender": "Male"}
        b = {"Gender": " Male\t", "Profession": None, "Age": f"{i}  years "}
        data = jsonl(line(id="a", profile=a), line(id="b", profile=b), line(id="c", profile={"Age": "x"}))
        try:
            test = ids(load(folder, data, split="test", test_fraction=0.5))
        except UserError:
            continue
        assert ("a" in test) == ("b" in test)


def test_split_is_the_same_in_another_process(folder):
    path = folder / "people.jsonl"
    path.write_bytes(jsonl(*PEOPLE))
    code = (
        "import sys; from envs.loading import load_scenarios as f; x = f(sys.argv[1], split='test');"
        "print(x.sha256, *(s.id for s in x.scenarios))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    here = load_scenarios(path, split="test")
    assert outputs == {" ".join([here.sha256, *ids(here)]) + "\n"}


def test_hash_is_of_content_and_schema(folder):
    data = jsonl(line(), line(id="b"))
    plain = load(folder, data)
    assert plain.sha256 == load(folder, gzip.compress(data), limit=1).sha256
    assert plain.sha256 != load(folder, data + b"\n").sha256
    assert plain.sha256 != load(folder, data, schema=Schema([Attribute("Age", "?"), *others()])).sha256
    as_list = json.dumps([penguin()]).encode()
    assert load(folder, as_list).sha256 == load(folder, gzip.compress(as_list)).sha256
    assert len(plain.sha256) == len(hashlib.sha256().hexdigest())


def others():
    return penguin_schema().attributes[1:]


# ---- profiles and scenarios


def test_profile_is_an_immutable_mapping():
    values = {"Age": "34", "Gender": "Male"}
    profile = Profile(values)
    values["Age"] = "99"
    assert profile["Age"] == "34"
    assert profile == {"Age": "34", "Gender": "Male"}
    assert hash(profile) == hash(Profile({"Gender": "Male", "Age": "34"}))
    assert profile.get("Profession") is None
    assert dict(profile) == {**profile}
    with pytest.raises(TypeError):
        profile["Age"] = "1"
    assert repr(profile) == "Profile(2 attributes)"


def test_profile_and_scenario_survive_pickling_and_copying():
    cloudpickle = pytest.importorskip("cloudpickle")
    scenario = load_bundled()[0]
    codes = scenario.codes
    for twin in (
        pickle.loads(pickle.dumps(scenario)),  # noqa: S301
        cloudpickle.loads(cloudpickle.dumps(scenario)),
        copy.deepcopy(scenario),
    ):
        assert (twin.id, twin.query, twin.profile) == (scenario.id, scenario.query, scenario.profile)
        assert isinstance(twin.profile, Profile)
        np.testing.assert_array_equal(twin.codes, codes)
        assert twin.askable == scenario.askable


def test_scenario_takes_any_mapping_and_reads_it_by_its_own_schema():
    profile = Profile({"Age": "34", "Gender": "Male"})
    small = Schema([Attribute("Gender", "?")])
    whole, part = Scenario("a", "life", "?", profile), Scenario("b", "life", "?", profile, small)
    for _ in range(2):
        assert len(whole.codes) == 10
        assert len(part.codes) == 1
        assert (whole.askable, part.askable) == (3, 1)
    plain = Scenario("c", "life", "?", {"Age": "34"})
    assert plain.profile == {"Age": "34"}
    np.testing.assert_array_equal(whole.codes, penguin_schema().codes(profile))
    with pytest.raises(ValueError, match="read-only"):
        whole.codes[0] = 3


# ---- properties

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)
IDS = TEXT.filter(str.isprintable)
PROFILES = st.dictionaries(st.sampled_from(NAMES), TEXT, min_size=1)
RECORDS = st.builds(
    lambda *parts: dict(zip(("id", "domain", "query", "profile"), parts, strict=True)),
    IDS,
    st.sampled_from(DOMAINS),
    TEXT,
    PROFILES,
)


@given(
    records=st.lists(RECORDS, min_size=1, max_size=6, unique_by=lambda r: r["id"]),
    ascii_only=st.booleans(),
    packed=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_round_trip_of_jsonl(folder, records, ascii_only, packed):
    data = "".join(json.dumps(r, ensure_ascii=ascii_only) + "\n" for r in records).encode()
    found = load(folder, gzip.compress(data) if packed else data)
    assert found.bad == ()
    back = [{"id": s.id, "domain": s.domain, "query": s.query, "profile": s.profile} for s in found.scenarios]
    assert back == [
        {**r, "profile": {k: v for k, v in r["profile"].items() if not is_missing(v)}} for r in records
    ]
    assert [list(s.profile) for s in found.scenarios] == [
        [n for n in NAMES if n in s.profile] for s in found.scenarios
    ]


@given(st.lists(st.tuples(PROFILES, st.lists(TEXT, min_size=1, max_size=4)), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_round_trip_of_the_penguin_layout(folder, people):
    records = [penguin(User_Profile=profile, Queries=queries) for profile, queries in people]
    found = load(folder, json.dumps(records).encode())
    assert [(s.id, s.query) for s in found.scenarios] == [
        (f"{i:05d}-{j:02d}", query)
        for i, (_, queries) in enumerate(people)
        for j, query in enumerate(queries)
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6) | st.sampled_from(["id", "domain", "query", "profile", "Queries", *NAMES]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
ALMOST = st.fixed_dictionaries(
    {
        "id": IDS | JSON,
        "domain": st.sampled_from(DOMAINS) | JSON,
        "query": TEXT | JSON,
        "profile": PROFILES | JSON,
    }
)
ALMOST_PENGUIN = st.fixed_dictionaries(
    {"Scenario": TEXT | JSON, "User_Profile": PROFILES | JSON, "Queries": st.lists(TEXT | JSON) | JSON}
)
FILES = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda tail: b"\x1f\x8b\x08" + tail),
    st.lists(JSON | ALMOST, max_size=5).map(lambda rows: jsonl(*rows)),
    st.lists(JSON | ALMOST_PENGUIN, max_size=5).map(lambda rows: json.dumps(rows).encode()),
)


@given(data=FILES, cut=st.integers(0, 400), flip=st.integers(0, 3000))
@settings(max_examples=400, deadline=None)
def test_any_bytes_give_a_set_or_a_user_error(folder, data, cut, flip):
    data = bytearray(data[: len(data) - cut] if cut < 100 else data)
    if flip < len(data):
        data[flip] ^= 1 << flip % 8
    found, error = outcome(folder, bytes(data))
    if found is None:
        assert str(error).startswith(str(folder))
        assert str(error).isprintable()
        return
    assert isinstance(found, ScenarioSet)
    assert found.scenarios
    assert len({s.id for s in found.scenarios}) == len(found.scenarios)
    for scenario in found.scenarios:
        assert scenario.domain in DOMAINS
        assert all(type(value) is str and not is_missing(value) for value in scenario.profile.values())
        scenario.query.encode()
    assert all(b.reason.isprintable() for b in found.bad)


MARKER = "qzxmarkerqzx"
SPOILT = st.sampled_from(
    [MARKER, [MARKER], {MARKER: MARKER}, MARKER * 900, f"{MARKER}\ud800", f"{MARKER}\n", True, 1e400, ""]
)


@given(
    people=st.lists(
        st.dictionaries(st.sampled_from([*NAMES, "Agee", "zzz"]), SPOILT), min_size=1, max_size=4
    ),
    queries=st.lists(SPOILT, min_size=1, max_size=3),
    domain=st.sampled_from(["health", MARKER]),
    layout=st.booleans(),
    cut=st.integers(0, 60),
    swap=st.sampled_from([(b"", b""), (b"Gender", b"Age"), (MARKER.encode(), MARKER.encode() + b"\xff")]),
)
@settings(max_examples=300, deadline=None)
def test_no_value_reaches_a_message(folder, people, queries, domain, layout, cut, swap):
    if layout:
        data = json.dumps(
            [penguin(User_Profile=p, Queries=queries, Scenario=domain) for p in people]
        ).encode()
    else:
        records = [line(id=str(i), profile=p, query=queries[0], domain=domain) for i, p in enumerate(people)]
        data = jsonl(*records)
    data = data.replace(*swap) if swap[0] else data
    data = data[: len(data) - cut] if cut < 30 else data
    found, error = outcome(folder, data)
    if found is None:
        assert MARKER not in "".join(traceback.format_exception(error))
    else:
        assert MARKER not in repr(found)
        assert MARKER not in str([*found.bad, *(s.profile for s in found.scenarios)])


# ---- the published file


@pytest.fixture(scope="module")
def published():
    if not PENGUIN.exists():
        pytest.skip("the PENGUIN development file is not here (RAISE_PENGUIN)")
    return load_scenarios(PENGUIN)


def test_published_file(published):
    assert published.bad == ()
    assert len(published.scenarios) == 5600
    people = {s.id[:5]: s for s in published.scenarios}
    assert len(people) == 560
    assert Counter(s.domain for s in people.values()) == dict.fromkeys(DOMAINS[:7], 80)
    assert len({id(s.profile) for s in published.scenarios}) == 560
    raw = json.loads(PENGUIN.read_text(encoding="utf-8"))
    for scenario in published.scenarios[::97]:
        record = raw[int(scenario.id[:5])]
        assert scenario.query == record["Queries"][int(scenario.id[6:])]
        assert {"Scenario": record["Scenario"], **scenario.profile} == record["User_Profile"]
        assert scenario.askable == 2**10 - 1  # `None` in the self-harm history is a value
        assert situations()[record["Scenario"]] == scenario.domain


def test_published_file_splits_by_person(published):
    test = {s.id[:5] for s in load_scenarios(PENGUIN, split="test").scenarios}
    train = {s.id[:5] for s in load_scenarios(PENGUIN, split="train").scenarios}
    assert not test & train
    assert len(test | train) == 560
    assert 80 <= len(test) <= 145  # 112 expected, sd 9.5
