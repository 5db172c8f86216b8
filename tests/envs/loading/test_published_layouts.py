"""Every published layout as it is, in made-up records: what loads, its counts, and what is refused."""

import csv
import gzip
import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.checking.json_values import RecordError, decode
from envs.errors import UserError
from envs.loading import ScenarioStream, load_scenarios, scenario_files, streams
from envs.loading.seen_ids import SeenIds
from envs.schema import Attribute, Schema
from tests.envs.loading.scenario_files import failure, ids, jsonl, line, load, penguin

PROFILE = {
    "age": "41",
    "gender": "Female",
    "marital_status": "Widowed",
    "profession": "baker",
    "economic_status": "tight",
    "health_status": "asthma",
    "education_level": "trade school",
    "mental_health_status": "low mood",
    "emotional_state": "worn out",
}
FLAT = {"query": "Should I sell the oven?", "scenario": "Sudden Job Loss", "source": "made up", **PROFILE}
NAMES = [
    *("Age", "Gender", "Marital Status", "Profession", "Economic Status", "Health Status"),
    *("Education Level", "Mental Health Status", "Emotional State"),
]


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def as_csv(*rows, delimiter=","):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_parquet(*rows):
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


FORMS = {
    "list": lambda *rows: json.dumps(rows).encode(),
    "indented list": lambda *rows: json.dumps(rows, indent=2).encode(),
    "lines": lambda *rows: jsonl(*rows),
    "csv": as_csv,
    "semicolons": lambda *rows: as_csv(*rows, delimiter=";"),
    "tabs": lambda *rows: as_csv(*rows, delimiter="\t"),
    "parquet": as_parquet,
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gz", "zst"])
@pytest.mark.parametrize("form", FORMS)
def test_flat_records(folder, form, pack):
    if form == "parquet" and pack is not bytes:
        pytest.skip("Parquet compresses by itself")
    rows = [FLAT, {**FLAT, "age": "not specified", "scenario": "health"}, {**FLAT, "query": " "}]
    found = load(folder, pack(FORMS[form](*rows)))
    assert found.layout == "flat records"
    assert ids(found) == ["00000", "00001"]
    first, second = found.scenarios
    assert (first.domain, second.domain) == ("career", "health")
    assert dict(first.profile) == dict(zip(NAMES, PROFILE.values(), strict=True))
    assert list(second.profile) == NAMES[1:]
    assert first.metadata == {"source": "made up"}
    (bad,) = found.bad
    assert (bad.scenario_id, found.n_bad) == ("00002", 1)
    assert bad.reason.startswith("field query: found blank text")


def test_posts_of_the_real_half_take_the_domain_of_their_folder(folder):
    post = {key.replace("_", " "): value for key, value in PROFILE.items()} | {"query": "Leave or stay?"}
    place = folder / "relationships"
    place.mkdir()
    (place / "posts.json").write_text(json.dumps([post, {**post, "scenario": "Gambling Debts"}]))
    found = load_scenarios(place / "posts.json")
    assert [s.domain for s in found.scenarios] == ["relationship", "financial"]
    assert list(found.scenarios[0].profile) == NAMES  # no self-harm history: it was not extracted


def test_a_folder_of_posts_is_read_as_one_file_a_domain_each(folder):
    post = {key.replace("_", " "): value for key, value in PROFILE.items()} | {"query": "Leave or stay?"}
    folder = folder / "real_data"
    folder.mkdir()
    for domain, n, pack in (("career", 2, bytes), ("life_transition", 3, gzip.compress), ("social", 1, zstd)):
        (folder / domain).mkdir()
        end = {bytes: "", gzip.compress: ".gz", zstd: ".zst"}[pack]
        data = json.dumps([*[post] * n, {**post, "query": ""}]).encode()
        (folder / domain / f"posts.json{end}").write_bytes(pack(data))
    found = load_scenarios(folder)
    assert [s.domain for s in found.scenarios] == ["career"] * 2 + ["life"] * 3 + ["social"]
    assert ids(found) == ["00000", "00001", "00003", "00004", "00005", "00007"]
    assert [b.place for b in found.bad] == [
        "index 2 of career/posts.json",
        "index 3 of life_transition/posts.json.gz",
        "index 1 of social/posts.json.zst",
    ]
    assert found.sha256 == load_scenarios(folder).sha256
    above = load_scenarios(folder.parent)  # as in a clone of the whole repository
    assert [s.domain for s in above.scenarios] == [s.domain for s in found.scenarios]
    (folder / "social" / "posts.json.zst").unlink()
    assert found.sha256 != load_scenarios(folder).sha256


def test_a_table_in_parts(folder):
    for i in range(3):
        (folder / f"train-0000{i}-of-00003.parquet").write_bytes(as_parquet(*[{**FLAT, "age": str(i)}] * 2))
    found = load_scenarios(folder)
    assert ids(found) == [f"0000{i}" for i in range(6)]
    assert [s.profile["Age"] for s in found.scenarios] == list("001122")


def test_splits_as_lines_in_a_folder(folder):
    for name, age in (("test", "8"), ("train", "9")):
        (folder / f"{name}.jsonl").write_bytes(jsonl({**FLAT, "age": age}))
    assert [s.profile["Age"] for s in load_scenarios(folder).scenarios] == ["8", "9"]


def halves(folder, n_queries=30, suffix="", pack=bytes):
    one = {"Scenario": "Chronic Pain", "Gender": "m", "Profession": "x"}
    profiles = [{**one, "Age": str(20 + i)} for i in range(3)]
    queries = [{"query_id": f"Question {i}?"} for i in range(n_queries)]
    for name, rows in (("user_profiles_list.json", profiles), ("queries_list.json", queries)):
        (folder / f"{name}{suffix}").write_bytes(pack(json.dumps(rows).encode()))


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zstd)])
@pytest.mark.parametrize("named", ["queries_list.json", "user_profiles_list.json", ""])
def test_two_parallel_files(folder, named, suffix, pack):
    halves(folder, suffix=suffix, pack=pack)
    found = load_scenarios(folder / f"{named}{suffix}" if named else folder)
    assert len(found.scenarios) == 30
    for i, scenario in enumerate(found.scenarios):
        assert scenario.id == f"{i // 10:05d}-{i % 10:02d}"
        assert scenario.query == f"Question {i}?"
        assert scenario.profile["Age"] == str(20 + i // 10)
        assert scenario.domain == "health"


@pytest.mark.parametrize(
    ("n_queries", "reason"), [(29, "found 29 queries for 3"), (31, "found more queries")]
)
def test_two_files_that_do_not_belong_together(folder, n_queries, reason):
    halves(folder, n_queries=n_queries)
    with pytest.raises(UserError, match=reason):
        load_scenarios(folder / "queries_list.json")


def test_one_half_alone_names_the_other(folder):
    halves(folder)
    (folder / "queries_list.json").unlink()
    with pytest.raises(UserError, match=r"without queries, expected queries_list\.json in the same folder"):
        load_scenarios(folder / "user_profiles_list.json")


@pytest.mark.parametrize("key", ["query", "hard_query"])
def test_aidms(folder, key):
    record = {
        "scenario_id": "edu-7",
        "domain": "Academic",
        "template": "t",
        "attributes": {"Age": 19, "emotional_state": "tense"},
        key: "Drop the course?",
    }
    found = load(
        folder, json.dumps([record, {**record, "scenario_id": "x", "attributes": {"Agee": 3}}]).encode()
    )
    assert found.layout == "AIDMS's layout"
    (scenario,) = found.scenarios
    assert (scenario.id, scenario.domain, scenario.query) == ("edu-7", "education", "Drop the course?")
    assert scenario.profile == {"Age": "19", "Emotional State": "tense"}
    assert scenario.metadata == {"template": "t"}
    assert "did you mean 'Age'" in found.bad[0].reason


@pytest.mark.parametrize("indent", [None, 2])
def test_records_under_a_key_beside_what_a_file_says_of_itself(folder, indent):
    """AIDMS's third phase, and the file that joins all phases."""
    hard = {"scenario_id": "h", "domain": "Academic", "attributes": {"Age": "20"}, "hard_query": "Why?"}
    about = {"total": 1, "phases": [1, 3], "breakdown": {"phase1": 1}}
    data = json.dumps({"metadata": about, "hard_scenarios": [hard]}, indent=indent).encode()
    found = load(folder, data)
    assert (ids(found), found.layout, found.bad) == (["h"], "AIDMS's layout", ())
    first = {"scenario_id": "f", "domain": "Health", "attributes": {"Age": "3"}, "query": "So?"}
    expert = {"scenario_id": "e", "expert_domain": "Finance & Investing", "query": "Sell?"}
    whole = {
        "metadata": about,
        "phase1": [first],
        "phase2": {"good_scenarios": [first]},
        "phase3": [hard],
        "phase4": [{**expert, "attributes": {"Age": "50"}}],
    }
    found = load(folder, json.dumps(whole, indent=indent).encode())
    assert ids(found) == ["f", "h", "e"]
    assert [s.domain for s in found.scenarios] == ["health", "education", "financial"]
    assert [(b.place, b.scenario_id) for b in found.bad] == [("index 1", "f")]


def test_a_line_with_texts_of_its_own_is_a_record_whatever_lists_it_has(folder):
    found = load(folder, jsonl({**FLAT, "messages": [{"role": "user", "content": "Hm."}]}))
    assert (ids(found), found.scenarios[0].query) == (["00000"], FLAT["query"])


def test_a_line_with_a_text_beside_its_records(folder):
    assert ids(load(folder, json.dumps({"version": "1", "data": [penguin()]}).encode())) == [
        "00000-00",
        "00000-01",
    ]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_key_for_each_record(folder, indent):
    about = {"name": "n", "license": "MIT"}
    found = load(folder, json.dumps({"about": about, "a": FLAT, "b": FLAT}, indent=indent).encode())
    assert (ids(found), found.bad) == (["00000", "00001"], ())


def test_indented_objects_one_after_the_other(folder):
    one = json.dumps(line(), indent=2)
    assert ids(load(folder, one.encode())) == ["a"]
    other = json.dumps(line(id="b"), indent=2)
    assert ids(load(folder, f"{one}\n{other}\n".encode())) == ["a", "b"]


@pytest.mark.parametrize("indent", [None, 2])
def test_the_key_over_a_list_tells_the_domain_where_nothing_else_does(folder, indent):
    post = {**FLAT, "scenario": "somewhere"}
    value = {"relationships": [post], "Life Transition": [post, FLAT]}
    found = load(folder, json.dumps(value, indent=indent).encode())
    assert [s.domain for s in found.scenarios] == ["relationship", "life", "career"]


@pytest.mark.parametrize(
    "queries",
    [
        [{"query_id": "Shall I stop?"}, {"query_id": "Is it safe?"}],
        [{"id": 1, "query": "Shall I stop?"}, {"id": 2, "query": "Is it safe?"}],
        {"query_1": "Shall I stop?", "query_2": "Is it safe?"},
    ],
    ids=["query_id", "objects", "numbered"],
)
def test_queries_that_are_no_plain_list(folder, queries):
    found = load(folder, json.dumps([penguin(Queries=queries)]).encode())
    assert [s.query for s in found.scenarios] == ["Shall I stop?", "Is it safe?"]


def test_a_person_with_one_query_and_a_situation(folder):
    record = {**penguin(Queries=...), "Query": "Is it safe?"}
    found = load(folder, json.dumps([record, {**record, "id": 7}]).encode())
    assert (ids(found), found.bad) == (["00000", "7"], ())
    assert {s.domain for s in found.scenarios} == {"health"}
    assert found.scenarios[0].profile == {"Age": "34", "Gender": "Male"}


def test_tables_that_pandas_wrote_of_nested_records(folder):
    """Python literals in the cells of CSV, and keys that were joined by a dot."""
    people = [penguin(), penguin(Queries=['It\u2019s "safe"?'])]
    queries = ["Shall I stop?", "Is it safe?", 'It\u2019s "safe"?']
    literal = [{key: str(value) for key, value in person.items()} for person in people]
    dotted = [
        {"Scenario": p["Scenario"], "Queries": str(p["Queries"])}
        | {f"User_Profile.{key}": value for key, value in p["User_Profile"].items()}
        for p in people
    ]
    for rows in (literal, dotted):
        found = load(folder, as_csv(*rows))
        assert ([s.query for s in found.scenarios], found.bad) == (queries, ())
        assert {(s.domain, s.profile["Age"], len(s.profile)) for s in found.scenarios} == {
            ("health", "34", 2)
        }
    row = {"User Query": str({"query_id": "Is it safe?"}), "profile_age": "34"}
    assert load(folder, as_csv(row)).scenarios[0].query == "Is it safe?"
    said = {**row, "User Query": "{not} a literal (1 +"}
    assert load(folder, as_csv(said)).scenarios[0].query == said["User Query"]


def test_a_flat_record_of_a_domain_that_the_schema_lacks_is_bad_and_the_others_load(folder):
    schema = Schema([Attribute("Age", "How old are you?")], domains=("climbing", "diving"))
    ids = [{"id": f"c{i}", "domain": domain} for i, domain in enumerate(("diving", "sailing", "climbing"))]
    found = load(
        folder, as_csv(*({**own, "query": "Is it safe?", "Age": "34"} for own in ids)), schema=schema
    )
    assert [(s.id, s.domain) for s in found.scenarios] == [("c0", "diving"), ("c2", "climbing")]
    (bad,) = found.bad
    assert bad.scenario_id == "c1"
    assert bad.reason.startswith("field domain: found text of 7 characters")
    named = as_csv({"query": "Is it safe?", "situation": "Sudden Job Loss", "Age": "34"})
    (bad,) = load(folder, named + b"Is it so?,climbing,35\r\n", schema=schema).bad
    assert bad.reason.startswith("field situation: found text of 15 characters")


def test_bytes_of_another_encoding_are_said_to_be_no_utf8(folder):
    row = {**FLAT, "query": "Sell the \u201coven\u201d?"}
    found = load(folder, as_csv(FLAT) + as_csv(row).splitlines()[1].decode().encode("cp1252"))
    assert (found.bad[0].place, len(found.scenarios)) == ("line 3", 1)
    assert "bytes that are not UTF-8" in found.bad[0].reason


def test_a_first_record_without_queries_is_bad_and_no_other_layout(folder):
    found = load(folder, json.dumps([penguin(Queries=...), penguin(), penguin()]).encode())
    assert ids(found) == ["00001-00", "00001-01", "00002-00", "00002-01"]
    assert found.bad[0].reason.startswith("field Queries: found nothing")


@pytest.mark.parametrize("key", ["Scenario", "scenario", "SCENARIO"])
def test_a_situation_inside_the_profile_gives_the_domain(folder, key):
    record = penguin(Scenario=..., User_Profile={key: "Gambling Debts", "age": "34"})
    assert load(folder, json.dumps([record]).encode()).scenarios[0].domain == "financial"


def test_a_person_without_a_query_is_said_to_lack_it(folder):
    record = {**PROFILE, "text": "Should I sell the oven?"}
    assert "index 0: field query: found nothing" in failure(folder, json.dumps([record]).encode())


def test_penguin_records_as_lines_and_own_records_as_a_list(folder):
    lines = load(folder, jsonl(penguin(), b"", 7, penguin()))
    assert ids(lines) == ["00000-00", "00000-01", "00002-00", "00002-01"]
    assert (lines.layout, lines.bad[0].place) == ("PENGUIN's layout", "line 3")
    own = load(folder, json.dumps([line(), line(id="b", metadata={"n": 1})]).encode())
    assert ids(own) == ["a", "b"]
    assert own.scenarios[1].metadata == {"n": 1}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_own_records_as_a_table(folder, form):
    profile = {"Age": "34", "Gender": "Male"}
    row = line(profile=json.dumps(profile) if form == "csv" else profile)
    found = load(folder, FORMS[form](row))
    assert (ids(found), found.layout) == (["a"], "this project's layout")
    assert found.scenarios[0].profile == profile


def test_a_row_of_a_table_that_is_no_utf8_is_bad_by_itself(folder):
    data = as_parquet(line(id="a"), line(id="b", query="Is that SAFE?"), line(id="c"))
    found = load(folder, data.replace(b"SAFE", b"SA\xeeE"))
    assert ids(found) == ["a", "c"]
    assert [(bad.place, bad.reason.split(":")[0]) for bad in found.bad] == [("row 1", "query")]


def test_a_table_whose_column_is_no_utf8_is_one_line(folder):
    with pytest.raises(UserError) as error:
        load(folder, as_parquet(line()).replace(b"domain", b"dom\xeein"))
    assert str(error.value).startswith(f"{folder / 'file.any'}: ")
    assert "\n" not in str(error.value)


def test_a_saved_dataset(folder):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([FLAT, FLAT]).save_to_disk(folder / "saved")
    found = load_scenarios(folder / "saved")
    assert ids(found) == ["00000", "00001"]
    assert list(found.scenarios[0].profile) == NAMES


def test_mapping_file(folder):
    mapping = folder / "mapping.yaml"
    mapping.write_text("Frage: query\nAlter: Age\nnotes on health: null\nid: null\n", encoding="utf-8")
    data = jsonl({"Frage": "Was nun?", "Alter": 51, "notes on health": "x", "id": "zzz", "gender": "f"})
    (scenario,) = load(folder, data, mapping=mapping).scenarios
    assert (scenario.id, scenario.query) == ("00000", "Was nun?")
    assert scenario.profile == {"Age": "51", "Gender": "f"}
    assert scenario.metadata == {}
    assert load(folder, data, mapping=mapping).sha256 != load(folder, jsonl(FLAT), mapping=mapping).sha256
    mapping.write_text("frage: query\nage_group: Age\n", encoding="utf-8")  # spelt loosely, as keys are
    (scenario,) = load(folder, jsonl({"Frage": "Was nun?", "Age Group": "5"}), mapping=mapping).scenarios
    assert (scenario.query, scenario.profile) == ("Was nun?", {"Age": "5"})
    mapping.write_text("Alter: Aeg\n", encoding="utf-8")
    assert "scenarios.mapping: Alter: found 'Aeg', expected one of id, domain" in failure(
        folder, data, mapping=mapping
    )


def test_a_misspelt_attribute_is_refused_not_dropped(folder):
    record = {key: value for key, value in FLAT.items() if key != "marital_status"} | {"martial_status": "x"}
    message = failure(folder, jsonl(record))
    assert "'martial_status', did you mean 'Marital Status' (read as flat records" in message
    assert "Widowed" not in message


def test_damaged_zst(folder):
    data = zstd(jsonl(*[line(id=str(i)) for i in range(500)]))
    for broken in (data[:-9], data[:20] + b"garbage" + data[27:]):
        assert "the zst data is damaged or ends early" in failure(folder, broken)


def test_only_so_many_bad_records_are_listed(folder, monkeypatch):
    monkeypatch.setattr(scenario_files, "MAX_BAD", 5)
    found = load(folder, jsonl(line(), *[line(id="")] * 12, line(id="z")))
    assert (len(found.bad), found.n_bad, ids(found)) == (5, 12, ["a", "z"])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("query"), inner),
    max_leaves=20,
)


@settings(deadline=None, max_examples=15)
@given(st.dictionaries(st.text() | st.just("query"), JSON_VALUES, max_size=4), st.integers(1, 9))
def test_records_in_an_object_in_pieces_are_those_of_the_object(value, size):
    """The naive twin: the whole text parsed, and walked."""

    def naive(of):
        if "query" in of:
            yield of
            return
        for own in of.values():
            if isinstance(own, dict):
                yield from naive(own)
            elif isinstance(own, list):
                yield from (element for element in own if isinstance(element, dict))

    text = json.dumps(value, indent=1)
    data = b"{\n" + text.encode()[1:]
    assert repr(elements(data, size)) == repr(list(naive(decode(data, ""))))


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet='[]{},:"1e. \n\tru', max_size=30), st.integers(1, 7))
def test_a_broken_object_fails_as_the_whole_does(text, size):
    data = ("{\n" + text).encode()
    try:
        json.loads(data)
    except json.JSONDecodeError:
        with pytest.raises(UserError, match="not valid JSON at line"):
            elements(data, size)
    else:
        elements(data, size)


def elements(data, size):
    """Read a list whose first line is its bracket, in pieces of `size` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "CHUNK", size)
        found = streams.raw_records(io.BufferedReader(io.BytesIO(data)), hashlib.sha256(), "file")
        assert found.form == "JSON list"
        return [row.value for row in found.rows]


@settings(deadline=None, max_examples=25)
@given(st.lists(JSON_VALUES), st.integers(1, 9), st.booleans())
def test_a_list_in_pieces_is_the_list(value, size, spaced):
    """The naive twin: the whole text parsed at once; here in pieces that cut inside of characters."""
    text = json.dumps(value, ensure_ascii=False, indent=1 if spaced else None)
    data = b"[\n" + text.encode("utf-8", "surrogatepass")[1:]
    try:
        whole = decode(data, "")
    except RecordError:
        with pytest.raises(UserError, match="not UTF-8"):
            elements(data, size)
        return
    assert repr(elements(data, size)) == repr(whole)


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet='[]{},:"1e. \n\\tru', max_size=30), st.integers(1, 7))
def test_a_broken_list_fails_as_the_whole_does(text, size):
    data = ("[\n" + text).encode()
    try:
        whole = json.loads(data)
    except json.JSONDecodeError:
        with pytest.raises(UserError, match="not valid JSON at line"):
            elements(data, size)
    else:
        assert len(elements(data, size)) == len(whole)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 40), max_size=200))
def test_seen_ids(numbers):
    naive, seen = {}, SeenIds()
    for n, i in enumerate(numbers):
        assert seen.add(str(i), n) == naive.get(i)
        naive.setdefault(i, n)
        if n % 7 == 0:
            seen._pack()


def test_reading_is_a_stream(folder, monkeypatch):
    """Records come out before the file was read to its end, so that memory holds a chunk and no more."""
    monkeypatch.setattr(streams, "CHUNK", 1024)
    (folder / "many.json").write_bytes(json.dumps([line(id=str(i)) for i in range(5000)], indent=0).encode())
    reading = ScenarioStream(folder / "many.json")
    before = reading.sha256
    assert next(iter(reading)).id == "0"
    early = reading.sha256
    assert sum(1 for _ in ScenarioStream(folder / "many.json")) == 5000
    assert early != before
    assert early != load_scenarios(folder / "many.json").sha256
