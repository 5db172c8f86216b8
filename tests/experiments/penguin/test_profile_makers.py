"""Profiles by a model: printed values and rules are held, the rest is asked for again; a reader of leaks."""

import json
from collections import Counter

import numpy as np
import pytest

from envs import UserError, penguin_schema
from envs.llm.scripted.scripted_replies import Completion
from experiments.penguin.consistency_rules import RuleCount, check_rules
from experiments.penguin.generating.generation import draw_people, generate
from experiments.penguin.generating.profile_makers import GraphProfiles, ModelProfiles, checked_profile
from experiments.penguin.generating.profile_sampling import balanced_situations
from experiments.penguin.generating.query_checks import thrown_out
from experiments.penguin.generating.query_writers import GrammarWriter
from experiments.penguin.published_values import published_values, value_names
from policies.embeddings import static_embedding
from policies.understanding.reading import Reading, Value
from tests.envs.llm_cases import server

NAMES = published_values().names
GOOD = {name: value_names(name)[1] for name in NAMES} | {
    "Mental Health Status": "Severe Depression",
    "Emotional State": "despair",
}


def changed(**values):
    return {**GOOD, **{name.replace("_", " "): value for name, value in values.items()}}


def maker(url, tmp_path, **more):
    return ModelProfiles(
        model="m", base_url=url, key_variable="TEST_KEY", cache=str(tmp_path / "c.sqlite"), **more
    )


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("TEST_KEY", "none")


@pytest.mark.parametrize(
    ("profile", "reasons"),
    [
        (changed(Age="30-39"), ["profile: Age is no printed value"]),
        (changed(Gender=None), ["profile: Gender is no printed value"]),
        (changed(Age="18-24", Education_Level="PhD"), ["profile: rule 1 no PhD at 18-24"]),
        (
            changed(Emotional_State="happiness"),
            ["profile: rule 5b positive emotions only in good situations"],
        ),
        (
            changed(Mental_Health_Status="None"),
            ["profile: rule 5a despair only with severe depression"],
        ),
        (
            changed(Profession="legal", Economic_Status="Severe Difficulty"),
            ["profile: rule 6 no severe difficulty for financial and legal practitioners"],
        ),
    ],
)
def test_what_one_profile_may_not_be(profile, reasons):
    assert checked_profile(profile, "health") == (None, reasons)


def test_a_profile_that_keeps_all_is_its_codes():
    row, reasons = checked_profile(GOOD, "relationship")
    assert reasons == []
    assert [value_names(name)[code] for name, code in zip(NAMES, row, strict=True)] == [
        GOOD[n] for n in NAMES
    ]


def test_what_is_thrown_out_is_asked_for_again_and_who_has_nothing_is_left_out(tmp_path):
    """The second person's first try breaks a rule, the third one's all have a value of the model's own."""
    tries = Counter()

    def rule(body):
        text = body["messages"][-1]["content"]
        number = int(text.split("Person number ")[1].split(" ")[0])
        tries[number] += 1
        if number == 2 and tries[number] == 1:
            return Completion(json.dumps(changed(Age="18-24", Education_Level="PhD")))
        return Completion(json.dumps(changed(Age="30s") if number == 3 else GOOD))

    with server(rule=rule, keep_bodies=True) as running:
        made = maker(running.url, tmp_path, attempts=3).make(balanced_situations(4))
        assert made.made.tolist() == [True, True, False, True]
        assert tries == {1: 1, 2: 2, 3: 3, 4: 1}
        assert made.thrown_out == {
            "profile: rule 1 no PhD at 18-24": 1,
            "profile: Age is no printed value": 3,
        }
        never = [
            r for r in check_rules(made.codes[made.made], np.full(3, "life")) if isinstance(r, RuleCount)
        ]
        assert all(rule.holds for rule in never)
        assert all(GOOD["Profession"] in json.dumps(body["messages"]) for body in running.seen.bodies)
        sent = running.seen.requests
        again = draw_people(4, maker(running.url, tmp_path, attempts=3))
        assert running.seen.requests == sent
        assert [person.number for person in again.people] == [0, 1, 3]
        assert again.people[0].profile == GOOD


def test_people_of_a_model_get_queries_with_their_own_numbers(tmp_path):
    def rule(body):
        return Completion(json.dumps(GOOD if "number 2 " not in body["messages"][-1]["content"] else {}))

    with server(rule=rule) as running:
        own = maker(running.url, tmp_path, attempts=1)
        made = generate(3, 2, own, GrammarWriter(), static_embedding())
    assert [scenario.id for scenario in made.scenarios()] == ["00000-00", "00000-01", "00002-00", "00002-01"]
    assert len(made.codes) == len(made.situations) == 2
    assert sum(made.no_profile.values()) == 10


def test_nothing_is_sent_for_a_price(tmp_path):
    with server() as running:
        cost = maker(running.url, tmp_path).cost(0, 0)
        assert cost.tokens[0] > 200
        assert running.seen.requests == 0


def test_a_model_is_needed():
    with pytest.raises(UserError, match="model"):
        ModelProfiles()


class SeesWork:
    """Reads a profession in whatever speaks of shifts, which the rules do not."""

    def read(self, text, schema, asked=None, dialogue=None):
        values = {"Profession": Value("shifts", None, None, 0.9)} if "shifts" in text else {}
        return Reading(values, "new_query")


def test_a_reader_looks_beside_the_rules():
    queries = ["How do I swap my shifts?", "I am 47 years old. What now?", "Should I wait?"]
    given = ([], set(), penguin_schema(), static_embedding())
    good, reasons = thrown_out(queries, *given, SeesWork())
    assert good == ["Should I wait?"]
    assert reasons == {"tells an attribute, as the reader reads it": 1, "tells an attribute": 1}
    assert thrown_out(queries, [], set(), penguin_schema(), static_embedding())[0][0] == queries[0]


def test_the_graph_is_the_same_whatever_the_number():
    few, many = (draw_people(n, GraphProfiles(seed=5)) for n in (10, 40))
    assert [p.profile for p in few.people] == [p.profile for p in many.people[:10]]
