"""Any file gives scenarios or one error, and no value of a profile reaches a message."""

import gzip
import json
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.loading import ScenarioSet
from envs.scenario import DOMAINS
from envs.schema import is_missing, penguin_schema
from tests.envs.loading.scenario_files import jsonl, line, load, outcome, penguin

NAMES = penguin_schema().names


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenarios")


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
