"""Scenario files: both layouts, what makes a file unusable, limit, split and hash."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from envs.errors import UserError
from envs.loading import BadRecord, load_scenarios, streams
from envs.loading.records import situations
from envs.scenario import DOMAINS
from envs.schema import Schema, load_schema, penguin_schema
from envs.schema.attribute import Attribute
from tests.envs.loading.scenario_files import failure, ids, jsonl, line, load, penguin

ROOT = Path(__file__).parents[3]
PENGUIN = Path(os.environ.get("RAISE_PENGUIN", ROOT.parent / "shared/data/penguin"))
PENGUIN = PENGUIN / "penguin_synthetic_dev.json" if PENGUIN.is_dir() else PENGUIN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenarios")


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
        b'"Economic Status":NaN,"Past Self-Harm History":"None"}}\n'
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
    assert "line 1: field profile: unknown attribute 'Budgett', did you mean 'Budget' (" in message
    respelt = Schema([Attribute("marital status", "?"), Attribute("Age", "?")])
    data = jsonl(line(profile={"Age": "34", "Marital Status": "x"}))
    (scenario,) = load(folder, data, schema=respelt).scenarios
    assert scenario.profile == {"marital status": "x", "Age": "34"}


# ---- files that cannot be used


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "found no record, expected scenarios as JSON Lines, a JSON list, CSV or Parquet"),
        (b"\xef\xbb\xbf \n\n", "found no record"),
        (b"[]", "found no record"),
        (gzip.compress(b"", mtime=0), "found no record"),
        (b"\x1f\x8bnot gzip at all", "the gzip data is damaged or ends early"),
        (gzip.compress(jsonl(line()) * 50)[:-20], "the gzip data is damaged or ends early"),
        (b"Age,Gender\n34,Male\n", "line 2: field query: found nothing"),
        (json.dumps(line()).encode("utf-16"), "found UTF-16 text, expected JSON or CSV in UTF-8"),
        (json.dumps({"about": {"n": 1}}, indent=1).encode(), "found no record"),
        (b'{\n "rows": [{"query": "a"},],\n}', "not valid JSON at line 2 column 26"),
        (b"id,query" + b"y" * 140_000 + b"\n1,2\n", "line 1: not CSV"),
        (b"PK\x03\x04 of an archive", "found a zip archive, expected JSON or CSV"),
        (b"\n[1,\n 2", "not valid JSON at line 3 column 3, expected a JSON list in the PENGUIN layout"),
        (b'[{"Scenario":\n "\xff"}]', "not UTF-8 at line 2 byte 3"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (json.dumps([{"id": "a"}]).encode(), "index 0: field Queries: found nothing"),
    ],
)
def test_unusable_file_gets_one_error(folder, data, reason):
    assert failure(folder, data).startswith(f"{folder / 'file.any'}: {reason}")


def test_unusable_path(tmp_path):
    for path, reason in [(tmp_path, "found a directory"), (tmp_path / "none", "no such file")]:
        with pytest.raises(UserError, match=reason) as caught:
            load_scenarios(path)
        assert str(path) in str(caught.value)


def test_oversized_record_of_a_list(folder, monkeypatch):
    data = b"[\n" + json.dumps([penguin(), penguin(Queries=["x" * 900])], indent=1).encode()[1:]
    monkeypatch.setattr(streams, "CHUNK", 64)
    assert len(load(folder, data).scenarios) == 3
    monkeypatch.setattr(streams, "MAX_LINE", 300)
    assert "a record of over 0 MiB" in failure(folder, data)


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
