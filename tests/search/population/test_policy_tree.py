"""Trees that branch on answers: following them, what is refused, and their file."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from search.population.exact import Solution, best_fixed_path
from search.population.policy_tree import DECLINED, STOP, PolicyNode, PolicyTree
from search.population.policy_tree_file import FILE_NAME, PolicyTrees, load_trees, row_of, save_trees
from tests.search.population.population_cases import by_hand, follow, random_problem

NAMES = ("Age", "Mood", "Work")
LEVELS = (("young", "old"), ("low", "high"), ("none", "some", "much"))


def tree(**changes):
    """Age; after young Mood, then answer; after old answer; else Mood, then Work."""
    given = {
        "names": NAMES,
        "levels": LEVELS,
        "budget": 2,
        "nodes": (
            PolicyNode(0, 1.0, 3.5, 2.0, {0: 1, 1: 3}),
            PolicyNode(1, 0.5, 4.0, 2.5, {DECLINED: 2}),
            PolicyNode(STOP, 0.25, 4.0, 4.0),
            PolicyNode(STOP, 0.5, 3.0, math.nan),
        ),
        "fallback": (1, 2),
        "group": "health",
        "n_profiles": 8,
        "planner": "exact",
    }
    return PolicyTree(**{**given, **changes})


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, "Age"),
        ({"Age": 0}, "Mood"),
        ({0: 0}, "Mood"),
        ({"Age": 0, "Mood": DECLINED}, None),
        ({"Age": 1}, None),
        ({"Age": 1, "Mood": 1}, None),
        ({"Age": DECLINED}, "Mood"),  # no branch: the rest of the fallback, as far as the budget reaches
        ({"Age": DECLINED, "Mood": 0}, None),
        ({"Age": 7}, "Mood"),  # nor for a code of another list of levels
        ({"Age": 0, "Mood": 1}, None),  # the budget is spent
        ({"Mood": 1}, "Age"),  # told unasked
        ({"Mood": DECLINED, "Age": 0}, None),
        ({"Work": 2}, "Age"),
        ({"Work": 2, "Age": DECLINED}, "Mood"),
        ({"Age": DECLINED, "Mood": 1, "Work": 0}, None),
    ],
)
def test_next_question(answers, expected):
    assert tree().next_attribute(answers) == place(expected)


def place(name):
    return STOP if name is None else NAMES.index(name)


def test_fallback_goes_on_within_the_budget():
    longer = tree(budget=3)
    assert longer.next_attribute({"Age": DECLINED}) == place("Mood")
    assert longer.next_attribute({"Age": DECLINED, "Mood": 0}) == place("Work")
    assert longer.next_attribute({"Age": DECLINED, "Mood": 0, "Work": 0}) == STOP
    assert tree(fallback=()).next_attribute({"Age": DECLINED}) == STOP


def test_nodes_and_depth():
    assert tree().node({"Age": 0}) is tree().nodes[1] or tree().node({"Age": 0}) == tree().nodes[1]
    assert tree().node({"Age": DECLINED}) is None
    assert (tree().depth, tree().value) == (2, 3.5)
    assert tree(nodes=(PolicyNode(STOP, 1.0, 2.0, 2.0),)).depth == 0


@pytest.mark.parametrize("answers", [{"Height": 0}, {3: 0}, {-1: 0}])
def test_an_unknown_attribute_is_a_key_error(answers):
    with pytest.raises(KeyError):
        tree().next_attribute(answers)


STOPS = PolicyNode(STOP, 0.5, 3.0, 3.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("Age", "Age", "Work")}, "names"),
        ({"levels": LEVELS[:2]}, "lists of levels"),
        ({"budget": 0}, "budget of 0"),
        ({"fallback": (1, 1)}, "fallback"),
        ({"fallback": (3,)}, "fallback"),
        ({"nodes": ()}, "no nodes"),
        ({"nodes": (PolicyNode(3, 1.0, 3.0, 3.0),)}, "node 0 asks attribute 3"),
        ({"nodes": (PolicyNode(STOP, 1.0, 3.0, 3.0, {0: 1}), STOPS)}, "node 0 stops and has children"),
        ({"nodes": (PolicyNode(0, 1.0, 3.0, 3.0, {0: 1}), PolicyNode(0, 1.0, 3.0, 3.0))}, "a second time"),
        ({"nodes": (PolicyNode(0, 1.0, 3.0, 3.0, {0: 0}),)}, "leads to node 0"),
        ({"nodes": (PolicyNode(0, 1.0, 3.0, 3.0, {0: 2}), STOPS)}, "leads to node 2"),
        ({"nodes": (PolicyNode(0, 1.0, 3.0, 3.0, {2: 1}), STOPS)}, "no level"),
        ({"nodes": (PolicyNode(0, 1.0, 3.0, 3.0, {0: 1, 1: 1}), STOPS)}, "node 1 has 2 parents"),
        ({"nodes": (PolicyNode(0, 1.0, 3.0, 3.0), STOPS)}, "node 1 has 0 parents"),
        ({"nodes": (PolicyNode(0, 1.5, 3.0, 3.0),)}, "probability"),
        ({"nodes": (PolicyNode(0, math.nan, 3.0, 3.0),)}, "probability"),
        (
            {"budget": 1, "nodes": (PolicyNode(0, 1.0, 3.0, 3.0, {0: 1}), PolicyNode(1, 1.0, 3.0, 3.0))},
            "beyond the budget",
        ),
    ],
)
def test_what_is_no_tree_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tree(**changes)


def same(one, two):
    """Equal, with NaN equal to NaN."""
    return row_of(one) == row_of(two)


def test_round_trip_and_the_documented_format(tmp_path):
    path = tmp_path / FILE_NAME
    other = tree(group="all", fallback=(), nodes=(PolicyNode(STOP, 1.0, 2.0, 2.0),))
    save_trees(path, [tree(), other], {"seed": 3})
    loaded = load_trees(tmp_path)
    assert isinstance(loaded, PolicyTrees)
    assert list(loaded.trees) == ["health", "all"]
    assert loaded.provenance == {"seed": 3}
    assert same(loaded.trees["health"], tree())
    assert math.isnan(loaded.trees["health"].nodes[3].stop_value)
    assert loaded.trees["all"] == other
    header, first, _ = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert header == {"format": "raise-planner policy trees", "schema_version": 1, "provenance": {"seed": 3}}
    assert first["attributes"][2] == {"name": "Work", "levels": ["none", "some", "much"]}
    assert first["fallback"] == ["Mood", "Work"]
    assert first["nodes"][1] == {
        "ask": "Mood",
        "probability": 0.5,
        "value": 4.0,
        "stop_value": 2.5,
        "answers": [{"code": -1, "level": None, "node": 2}],
    }
    assert first["nodes"][0]["answers"][1] == {"code": 1, "level": "old", "node": 3}
    assert first["nodes"][3] == {
        "ask": None,
        "probability": 0.5,
        "value": 3.0,
        "stop_value": None,
        "answers": [],
    }


def test_golden_file_of_the_tree_by_hand(tmp_path):
    problem = by_hand()
    save_trees(tmp_path / "t.jsonl", [Solution(problem, fallback=best_fixed_path(problem)).tree()], {})
    row = json.loads((tmp_path / "t.jsonl").read_text().splitlines()[1])
    assert [(n["ask"], [(a["level"], a["node"]) for a in n["answers"]]) for n in row["nodes"]] == [
        ("AA", [("a0", 1), ("a1", 2)]),
        (None, []),
        ("BB", [("b0", 3), ("b1", 4)]),
        (None, []),
        (None, []),
    ]
    assert (row["domain"], row["planner"], row["n_profiles"], row["budget"]) == ("health", "exact", 3, 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]), st.sampled_from([0, 3]))
def test_a_stored_tree_is_worth_what_it_was(tmp_path_factory, seed, decline_rate, min_profiles):
    problem = random_problem(seed, n=4, budget=3, profiles=9, missing=0.2, decline_rate=decline_rate)
    path = best_fixed_path(problem)
    planned = Solution(problem, fallback=path, min_profiles=min_profiles).tree()
    file = tmp_path_factory.mktemp("trees") / FILE_NAME
    save_trees(file, [planned], {})
    loaded = load_trees(file).trees["all"]
    assert loaded == planned
    assert follow(problem, loaded) == pytest.approx(planned.value, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 3, 100]), st.data())
def test_whatever_is_answered_a_conversation_ends_within_the_budget(seed, min_profiles, data):
    """Answers that nobody gave in planning among them, and things told unasked."""
    problem = random_problem(seed, n=5, budget=3, profiles=9, cost_weight=0.1)
    path = best_fixed_path(problem)
    planned = Solution(problem, fallback=path, min_profiles=min_profiles).tree()
    unasked = data.draw(st.dictionaries(st.integers(0, 4), st.integers(-1, 3), max_size=2))
    answers = dict(unasked)
    asked = []
    while (a := planned.next_attribute(answers)) != STOP:
        assert a not in answers
        asked.append(a)
        answers[a] = data.draw(st.integers(-1, 3))
    assert len(asked) <= problem.budget
    if min_profiles == 100 and not unasked:
        assert tuple(asked) == path


def test_domain_falls_back_to_all(tmp_path):
    for_all = tree(group="all")
    assert PolicyTrees({"health": tree(), "all": for_all}, {}).for_domain("health").group == "health"
    assert PolicyTrees({"health": tree(), "all": for_all}, {}).for_domain("career").group == "all"
    assert PolicyTrees({"health": tree()}, {}).for_domain("career") is None


def test_saving_is_all_or_nothing(tmp_path):
    path = tmp_path / FILE_NAME
    save_trees(path, [tree()], {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_trees(path, [tree()], {"not JSON": object()})
    with pytest.raises(ValueError, match="two trees"):
        save_trees(path, [tree(), tree()], {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]


def _edit(change):
    rows = [
        {"format": "raise-planner policy trees", "schema_version": 1, "provenance": {}},
        json.loads(json.dumps(row_of(tree()))),
    ]
    change(rows)
    return "".join(json.dumps(row) + "\n" for row in rows)


BROKEN = [
    ("not JSON", "line 1 is not JSON"),
    ("[1]\n", "line 1: found a list"),
    ("", "line 1 is no header"),
    (_edit(lambda rows: rows[0].update(format="x")), "line 1 is no header"),
    (_edit(lambda rows: rows[0].update(schema_version=2)), "schema version 2, expected 1"),
    (_edit(lambda rows: rows[0].pop("provenance")), "no provenance"),
    (_edit(lambda rows: rows.pop()), "found no tree"),
    (_edit(lambda rows: rows.append(rows[1])), "line 3: a second tree for 'health'"),
    (_edit(lambda rows: rows[1].pop("budget")), "field budget: found nothing, expected int"),
    (_edit(lambda rows: rows[1].update(budget=True)), "field budget: found bool"),
    (_edit(lambda rows: rows[1].update(budget=0)), "budget of 0"),
    (_edit(lambda rows: rows[1].update(attributes=3)), "field attributes: found int, expected list"),
    (_edit(lambda rows: rows[1]["attributes"][0].update(levels=[1])), "a level is not text"),
    (_edit(lambda rows: rows[1].update(fallback=["Height"])), "fallback: found an attribute that is not"),
    (_edit(lambda rows: rows[1]["nodes"][0].update(ask="Height")), "node 0: found an attribute"),
    (
        _edit(lambda rows: rows[1]["nodes"][0].update(ask=3)),
        "node 0: field ask: found int, expected str or null",
    ),
    (_edit(lambda rows: rows[1]["nodes"][0].update(probability="1")), "field probability: found str"),
    (_edit(lambda rows: rows[1]["nodes"][0]["answers"][0].update(node=9)), "leads to node 9"),
    (_edit(lambda rows: rows[1]["nodes"][0]["answers"][0].update(level="old")), "do not belong together"),
    (_edit(lambda rows: rows[1]["nodes"][0]["answers"][0].update(code=5)), "do not belong together"),
    (
        _edit(lambda rows: rows[1]["nodes"][0]["answers"].append(rows[1]["nodes"][0]["answers"][0])),
        "two branches",
    ),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_file_is_one_line(tmp_path, text, message):
    path = tmp_path / FILE_NAME
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        load_trees(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(UserError, match="no such file, expected policy trees"):
        load_trees(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as UTF-8"):
        load_trees(tmp_path)


def test_numbers_of_numpy_are_stored(tmp_path):
    nodes = (PolicyNode(STOP, float(np.float64(1.0)), 2.0, 2.0),)
    save_trees(tmp_path / "t.jsonl", [tree(nodes=nodes, fallback=(np.int64(1),))], {})
    assert load_trees(tmp_path / "t.jsonl").trees["health"].fallback == (1,)
