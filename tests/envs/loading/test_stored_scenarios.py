"""Scenarios outside memory are those that were put there, whole and in part."""

import json

import numpy as np
import pytest

from envs import Attribute, Scenario, Schema
from envs.loading import StoredScenarios, load_bundled, load_scenarios
from envs.loading.seen_ids import key_of
from envs.loading.stored_scenarios import askable_counts, unpacked

PEOPLE = [
    *load_bundled()[:20],
    Scenario("no profile", "other", "q", {}),
    Scenario("line\u2028ends\x85", "health", 'a\r\n"b"\\', {"Age": "4\n5", "Gender": "\U0001f600"}),
    Scenario("more", "health", "q", {"Age": "45"}, metadata={"a": [1, 2.5, None, {"b": True}], "c": "é\x00"}),
]


@pytest.fixture(params=[0, 10**9], ids=["file", "memory"])
def stored(request):
    found = StoredScenarios(PEOPLE[0].schema, in_memory=request.param or 1)
    for scenario in PEOPLE:
        found.append(scenario)
    return found


def test_all_of_them_come_back(stored):
    assert list(stored) == PEOPLE
    assert len(stored) == len(PEOPLE)
    assert [stored[i] for i in range(-len(PEOPLE), len(PEOPLE))] == PEOPLE * 2
    with pytest.raises(IndexError):
        stored[len(PEOPLE)]
    assert list(unpacked(stored.packed(), stored.schema)) == PEOPLE


@pytest.mark.parametrize("part", [slice(3, 9), slice(None, None, 4), slice(5, 5), slice(-2, None)])
def test_a_slice_is_that_of_a_list_and_so_is_a_slice_of_it(stored, part):
    assert list(stored[part]) == PEOPLE[part]
    assert list(stored[part][1:3]) == PEOPLE[part][1:3]
    assert stored[part].keys.tolist() == [key_of(s.id) for s in PEOPLE[part]]


def test_chosen_ones_have_gaps(stored):
    wanted = np.array([i % 3 != 1 for i in range(len(PEOPLE))])
    kept = [s for s, own in zip(PEOPLE, wanted, strict=True) if own]
    part = stored.chosen(wanted)
    assert list(part) == kept
    assert list(part[2:5]) == kept[2:5]
    stored.append(PEOPLE[0])  # after views were made
    assert list(part) == kept


def test_what_can_be_asked_is_counted_as_in_memory(stored):
    assert stored.n_askable.tolist() == [s.askable.bit_count() for s in PEOPLE]
    assert list(askable_counts(stored)) == list(askable_counts(PEOPLE))


def test_queries_of_one_person_share_what_was_read_of_the_profile():
    person = PEOPLE[0]
    stored = StoredScenarios(person.schema)
    for i in range(3):
        stored.append(Scenario(f"s{i}", person.domain, f"q{i}", person.profile))
    assert len({id(s.profile) for s in stored}) == 1


@pytest.mark.parametrize("n", [3, 70])
@pytest.mark.parametrize("options", [{}, {"limit": 5}, {"split": "test", "split_seed": 1}])
def test_a_file_is_read_alike_either_way(n, options, tmp_path):
    names = [f"attribute {i}" for i in range(n)]
    schema = Schema([Attribute(name) for name in names])
    lines = []
    for i in range(40):
        profile = {name: f"v{i}" for k, name in enumerate(names) if (i * 7 + k) % 5 or k == i % n}
        lines.append(json.dumps({"id": f"s{i}", "domain": "health", "query": "q", "profile": profile}))
    lines[6:6] = [lines[2], "nonsense"]  # an id twice, and no record
    path = tmp_path / "s.jsonl"
    path.write_text("\n".join(lines))
    plain, stored = (load_scenarios(path, schema, stored=way, **options) for way in (False, True))
    assert tuple(stored.scenarios) == plain.scenarios
    assert isinstance(stored.scenarios, StoredScenarios)
    assert (stored.bad, stored.n_bad, stored.sha256) == (plain.bad, plain.n_bad, plain.sha256)
    assert stored.scenarios.schema == plain.scenarios[0].schema
    assert stored.scenarios.n_askable.tolist() == [s.askable.bit_count() for s in plain.scenarios]
