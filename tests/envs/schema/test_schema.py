"""Schemas of one's own: files, domains, missing words, booleans, and more attributes than a plan has bits."""

import json
import math
import pickle

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import DOMAINS, Attribute, Level, Scenario, Schema, UserError, load_schema, penguin_schema
from envs.judges.llm.prompting import attributes_block, known_names
from envs.scenario import within_one_plan
from envs.schema.schema_file import write_schema
from tests.envs.loading.scenario_files import failure, jsonl, line, load, penguin


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def schema_of(tmp_path, text):
    path = tmp_path / "attributes.yaml"
    path.write_text(text, encoding="utf-8")
    return load_schema(path)


# ---- files

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12) | st.sampled_from(
    ["yes", "no", "null", "1.5", "~", "a: b", "- x", "#", "'", '"', "true"]
)
NAME = TEXT.filter(str.strip)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def levels(draw):
    name, phrases = draw(NAME), tuple(draw(st.lists(NAME, max_size=2)))
    if draw(st.booleans()):
        return Level(name, phrases)
    low, high = sorted((draw(FINITE | st.just(-math.inf)), draw(FINITE | st.just(math.inf))))
    return Level(name, phrases, low, high)


ATTRIBUTES = st.builds(
    Attribute,
    NAME,
    TEXT,
    TEXT,
    st.floats(0, 1e9),
    st.integers(1, 5),
    st.lists(levels(), max_size=3, unique_by=lambda level: level.name).map(tuple),
    reworded=TEXT,
    reads=st.dictionaries(
        st.just("number"), st.lists(st.sampled_from(["a b", r"my #+", "x:"])).map(tuple)
    ).map(lambda found: tuple(found.items())),
    unit=TEXT,
    past=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ATTRIBUTES, min_size=1, max_size=4, unique_by=lambda a: a.name),
    st.lists(NAME.filter(lambda d: d != "all"), min_size=1, max_size=3, unique=True),
    st.lists(NAME, max_size=3),
)
def test_a_written_schema_reads_as_the_very_same(tmp_path_factory, attributes, domains, missing):
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    schema = Schema(attributes, domains, missing)
    write_schema(path, schema)
    again = load_schema(path)
    assert again == schema
    assert (again.attributes, again.domains, again.missing) == (
        schema.attributes,
        schema.domains,
        schema.missing,
    )


@pytest.mark.parametrize("pattern", ["[[a-z]bad", "[a--b]", "[a&&b]", "(bad"])
def test_a_pattern_that_python_may_read_otherwise_is_refused_in_one_line(tmp_path, recwarn, pattern):
    (tmp_path / "a.yaml").write_text(
        f"- {{name: A, levels: {{bad: [bad]}}, reads: {{bad: ['{pattern}']}}}}\n"
    )
    with pytest.raises(UserError, match=r"attribute 0 \(A\).*reads\.bad") as error:
        load_schema(tmp_path / "a.yaml")
    assert "\n" not in str(error.value)
    assert not recwarn.list


def test_penguins_schema_reads_as_written(tmp_path):
    write_schema(tmp_path / "schema.yaml", penguin_schema())
    assert load_schema(tmp_path / "schema.yaml") == penguin_schema()
    assert penguin_schema().domains == DOMAINS


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([], "attributes: found 0, expected at least 1"),
        ([Attribute(" ")], "attributes: found a blank name"),
        ([Attribute("A"), Attribute("A")], "attributes: the name 'A' occurs twice"),
        ([Attribute("A", levels=(Level("x"), Level("x")))], "attribute A: levels: the name 'x' occurs twice"),
    ],
)
def test_attributes_that_are_no_schema(attributes, message):
    with pytest.raises(UserError, match=message):
        Schema(attributes)


def test_schemas_that_differ_in_domains_or_missing_words_are_not_equal():
    attributes = [Attribute("A")]
    assert Schema(attributes) == Schema(attributes)
    assert Schema(attributes) != Schema(attributes, domains=["x"])
    assert Schema(attributes) != Schema(attributes, missing=["x"])


# ---- domains


def test_a_schema_brings_its_domains(folder, tmp_path):
    schema = schema_of(tmp_path, "{domains: [ward, clinic], attributes: [{name: Age}]}")
    good, bad = line(domain="clinic", profile={"Age": 3}), line(id="b", domain="health", profile={"Age": 3})
    found = load(folder, jsonl(good, bad), schema=schema)
    assert [s.domain for s in found.scenarios] == ["clinic"]
    assert [b.reason for b in found.bad] == [
        "field domain: found text of 6 characters, expected one of ward, clinic"
    ]


@pytest.mark.parametrize(
    ("domains", "situation", "expected"),
    [
        ("[health, other]", "Chronic Pain", "health"),
        ("[health, other]", "Being lost", "other"),
        ("[Being lost, other]", "Being lost", "Being lost"),
        ("[ward, other]", "Chronic Pain", "other"),
    ],
)
def test_a_situation_has_a_domain_of_the_schema(folder, tmp_path, domains, situation, expected):
    schema = schema_of(tmp_path, f"{{domains: {domains}, attributes: [{{name: Age}}]}}")
    record = penguin(Scenario=situation, User_Profile={"Age": 3})
    assert {s.domain for s in load(folder, json.dumps([record]).encode(), schema=schema).scenarios} == {
        expected
    }


def test_a_situation_of_no_domain_of_the_schema_is_refused(folder, tmp_path):
    schema = schema_of(tmp_path, "{domains: [ward], attributes: [{name: Age}]}")
    message = failure(folder, json.dumps([penguin(User_Profile={"Age": 3})]).encode(), schema=schema)
    assert "field Scenario: found text of 12 characters, expected one of ward" in message


def test_the_environment_has_the_schemas_domains():
    schema = Schema([Attribute("A"), Attribute("B")], ["ward", "clinic", "home"])
    scenario = Scenario("x", "home", "?", {"A": "1"}, schema)
    env = gymnasium.make("envs/AttributeAcquisition-v0", scenarios=[scenario]).unwrapped
    assert env.observation_space["domain"].n == 3
    assert env.reset(seed=0)[0]["domain"] == 2
    with pytest.raises(UserError, match="domain 'health', expected one of ward, clinic, home"):
        gymnasium.make("envs/AttributeAcquisition-v0", scenarios=[Scenario("x", "health", "?", {}, schema)])


# ---- missing words and booleans

WORDS = ["unknown", "Not Specified", " unspecified ", "not mentioned", "NOT GIVEN", "n/a", "", "  ", None]


@pytest.mark.parametrize("value", WORDS)
def test_what_is_missing_cannot_be_asked(folder, value):
    (scenario,) = load(folder, jsonl(line(profile={"Age": value, "Gender": "None"}))).scenarios
    assert scenario.schema.names_of(scenario.askable) == ("Gender",)
    assert dict(scenario.profile) == {"Gender": "None"}


def test_missing_words_of_a_schema_take_the_place_of_the_usual_ones(folder, tmp_path):
    text = "{missing: ['?'], attributes: [{name: A, levels: [unknown, known]}, {name: B}, {name: C}]}"
    schema = schema_of(tmp_path, text)
    profile = {"A": "unknown", "B": " ? ", "C": " "}
    (scenario,) = load(folder, jsonl(line(profile=profile)), schema=schema).scenarios
    assert dict(scenario.profile) == {"A": "unknown"}
    assert scenario.codes.tolist() == [0, -1, -1]
    assert Scenario("x", "health", "?", profile, schema).askable == 1


def test_true_and_false_are_yes_and_no(folder, tmp_path):
    text = (
        "- {name: A, type: boolean, reads: {yes: [yep]}}\n- {name: B, levels: [yes, no]}\n"
        "- {name: C, levels: {true: [yes, daily], false: [no]}}\n- {name: D}\n"
        "- {name: E, type: boolean, levels: {never: [false], ever: [true]}}\n"
    )
    schema = schema_of(tmp_path, text)
    names = [[level.name for level in a.levels] for a in schema.attributes]
    assert schema.attributes[0].reads == (("yes", ("yep",)),)
    assert names == [["no", "yes"], ["yes", "no"], ["yes", "no"], [], ["never", "ever"]]
    yes = jsonl(
        line(profile=dict.fromkeys("ABCDE", True)), line(id="b", profile=dict.fromkeys("ABCDE", False))
    )
    one, other = load(folder, yes, schema=schema).scenarios
    assert dict(one.profile) == dict.fromkeys("ABCDE", "yes")
    assert one.codes.tolist() == [1, 0, 0, -1, 1]
    assert other.codes.tolist() == [0, 1, 1, -1, 0]


def test_an_open_range_has_no_end(tmp_path):
    text = "- {name: A, levels: {cold: {max: 0}, mild: {min: 1, max: 20, phrases: [mild]}, hot: {min: 21}}}"
    schema = schema_of(tmp_path, text)
    assert [schema.attributes[0].code(v) for v in ("0", "7", "mild", "4000")] == [0, 1, 1, 2]


def test_a_number_of_a_file_has_the_level_of_that_number(folder, tmp_path):
    levels = "levels: {low: {max: 37.5}, high: {min: 37.6}}"
    schema = schema_of(tmp_path, "\n".join(f"- {{name: {name}, {levels}}}" for name in "ABCDE"))
    profile = {"A": 37.125, "B": 38.125, "C": 37, "D": "37.125", "E": "about 37.125"}
    (one,) = load(folder, jsonl(line(profile=profile)), schema=schema).scenarios
    assert one.codes.tolist() == [0, 1, 0, 0, -1]


# ---- metadata

METADATA = {"reference": "see a doctor", "n": 3, "x": -0.5, "deep": [{"a": None, "b": True}, 1e3]}
PRIVATE = "see a doctor"


@pytest.mark.parametrize(
    "data",
    [jsonl(line(metadata=METADATA)), json.dumps([penguin(metadata=METADATA)]).encode()],
    ids=["jsonl", "penguin"],
)
def test_metadata_is_kept_and_not_shown(folder, data):
    for scenario in load(folder, data).scenarios:
        assert scenario.metadata == METADATA
        assert type(scenario.metadata["n"]) is int
        assert type(scenario.metadata["deep"][1]) is float
        assert PRIVATE not in repr(scenario)
        assert pickle.loads(pickle.dumps(scenario)) == scenario  # noqa: S301 - made here
        assert hash(scenario) == hash(pickle.loads(pickle.dumps(scenario)))  # noqa: S301 - made here


def test_without_metadata_there_is_none(folder):
    for record in (line(), line(metadata=None)):
        assert load(folder, jsonl(record)).scenarios[0].metadata == {}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (b"[1]", "field metadata: found a list of 1, expected an object"),
        (b'"x"', "field metadata: found text of 1 characters"),
        (b'{"a": 1e999}', "field metadata: found a number out of range"),
        (b'{"a": [Infinity]}', "field metadata: found a number out of range"),
        (b'{"a": %b}' % (b"9" * 9999), "field metadata: found a number out of range"),
        (b'{"a": {"b": 1, "b": 2}}', "field metadata: found key 1 twice"),
        (b'{"a": %b1%b}' % (b"[" * 600, b"]" * 600), None),
    ],
)
def test_metadata_that_is_no_json_object_is_one_bad_record(folder, metadata, reason):
    good = jsonl(line(id="good"))
    bad = jsonl(line())[:-2] + b', "metadata": ' + metadata + b"}\n"
    found = load(folder, good + bad)
    assert found.scenarios[0].id == "good"
    if reason is not None:
        assert found.bad[0].reason.startswith(reason)


# ---- more attributes than a plan has bits

MANY = Schema([Attribute(f"q{i}", cost=1.0 + (i % 3)) for i in range(100)], domains=["ward"])


def test_those_most_often_present_are_planned_with_then_the_cheaper_ones():
    """q40 to q99 twice, q0 to q39 once: of these the four cheapest, cost 1 being that of every third."""
    everything = dict.fromkeys(MANY.names, "x")
    fewer = dict.fromkeys(MANY.names[40:], "x")
    both = [Scenario("a", "ward", "?", everything, MANY), Scenario("b", "ward", "?", fewer, MANY)]
    one, other = within_one_plan(both)
    assert one.schema is other.schema
    assert one.schema.names == ("q0", "q3", "q6", "q9", *MANY.names[40:])
    assert one.schema.whole is MANY
    assert one.schema.left_out == tuple(n for n in MANY.names[:40] if n not in ("q0", "q3", "q6", "q9"))
    assert one.schema.domains == ("ward",)
    assert (one.askable, other.askable) == (2**64 - 1, 2**64 - 2**4)
    assert one.profile == everything
    assert within_one_plan([one, other]) == [one, other]


def test_up_to_64_attributes_stay_as_they_are():
    scenario = Scenario("a", "ward", "?", {"q1": "x"}, Schema(MANY.attributes[:64]))
    assert within_one_plan([scenario])[0] is scenario
    assert scenario.schema.whole is scenario.schema
    assert scenario.schema.left_out == ()


def test_both_sides_of_a_split_have_the_same_attributes(folder):
    rng = np.random.default_rng(0)
    rows = [
        line(id=f"s{i}", domain="ward", profile={n: f"{i}" for n in MANY.names if rng.random() < 0.5})
        for i in range(30)
    ]
    sides = [load(folder, jsonl(*rows), schema=MANY, split=split) for split in ("train", "test", "all")]
    assert len({s.schema for side in sides for s in side.scenarios}) == 1
    assert len(sides[0].scenarios[0].schema) == 64


def test_a_part_of_a_schema_is_written_as_its_whole(tmp_path):
    write_schema(tmp_path / "schema.yaml", MANY.restricted(["q3", "q99"]))
    assert load_schema(tmp_path / "schema.yaml") == MANY
    assert MANY.restricted(["q3", "q99"]) != Schema([MANY.attributes[3], MANY.attributes[99]], ["ward"])


def test_a_judge_that_reads_words_sees_what_is_beyond_the_plan():
    person = Scenario("a", "ward", "?", {n: f"v{n}" for n in MANY.names}, MANY)
    (part,) = within_one_plan([person])
    assert known_names(part) == MANY.names
    assert "q99: vq99" in attributes_block("profile", part, known_names(part))


def test_the_environment_takes_100_attributes():
    person = Scenario("a", "ward", "?", dict.fromkeys(MANY.names[30:], "x"), MANY)
    env = gymnasium.make("envs/AttributeAcquisition-v0", scenarios=[person], budget=2)
    env.reset(seed=0)
    assert env.action_space.n == 65
    first = env.step(63)[4]
    assert first["illegal"] is False


MONTHS = """
- name: Arrears
  unit: months
  levels: {none: {max: 0}, some: {min: 1, max: 2}, grave: {min: 3}}
"""


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("none", "none"), ("1 month", "some"), ("one month", "some"), ("2 months", "some"),
        ("five months", "grave"), ("1 mont", None), ("3 weeks", None), ("some", "some"), ("rent", None),
    ],
)  # fmt: skip
def test_a_value_of_a_range_is_one_unit_or_the_name_of_a_level(tmp_path, value, level):
    (attribute,) = schema_of(tmp_path, MONTHS).attributes
    assert attribute.code(value) == attribute.level_code(level)
