"""A schema of one's own from file to conversation: a clinic's 20 attributes, and more than a plan weighs."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from envs import Attribute, Level, Schema, load_schema
from envs.loading import load_scenarios
from envs.schema.schema_file import write_schema
from policies import Agent, converse
from policies.abstention import NeverAbstention
from policies.acquisition import ConditionalAcquisition, VoteAcquisition
from policies.composed import ComposedPolicy
from policies.plan_index import PlanIndex
from search.population.history_values import FILE_NAME as HISTORIES
from search.population.history_values import load_histories
from search.population.policy_tree_file import FILE_NAME as TREES
from search.population.policy_tree_file import load_trees
from tests.experiments.run_cases import TRAIN, rows, summary, write_scenarios

CLINIC = Path(__file__).parents[1] / "clinic"
POPULATION = "experiments.plan_population"
DOMAINS = ("fever", "diabetes", "heart", "medicines")


def planned(commands, folder, attributes, scenarios, *more):
    """Plan paths and trees for the files in `folder`, which then lose their schema: a run holds its own."""
    shutil.copy(attributes, folder / "attributes.yaml")
    common = (
        f"scenarios.path={scenarios}", "scenarios.attributes=attributes.yaml", "judge=simulated_varied", *more
    )  # fmt: skip
    done = commands.run(folder, *common, "budget=3", "parallel=serial", "output_dir=run")
    assert done.code == 0, done.err
    trees = commands.run(
        folder, *common, "budget=2", "folds=0", "min_profiles=2", "pictures=none", "beside=run",
        "output_dir=trees", module=POPULATION,
    )  # fmt: skip
    assert trees.code == 0, trees.err
    (folder / "attributes.yaml").unlink()
    return done


@pytest.fixture(scope="module")
def clinic(commands, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    planned(commands, folder, CLINIC / "attributes.yaml", CLINIC / "scenarios.jsonl")
    return folder


@pytest.fixture(scope="module")
def schema():
    return load_schema(CLINIC / "attributes.yaml")


def people(schema):
    return load_scenarios(CLINIC / "scenarios.jsonl", schema).scenarios


class Calm:
    """Hears no danger: these tests are about what is asked, whatever a detector makes of a fever."""

    def check(self, text, asked=None, dialogue=None):
        return None


def policy(acquisition=None):
    return ComposedPolicy(acquisition, NeverAbstention()) if acquisition else ComposedPolicy()


def test_the_clinics_files_say_what_they_are_to_show(schema):
    assert len(schema) == 20
    assert schema.domains == DOMAINS
    found = people(schema)
    assert Counter(s.domain for s in found) == dict.fromkeys(DOMAINS, 6)
    assert all(15 <= s.askable.bit_count() <= 17 for s in found)
    assert all(set(s.metadata["reference"]) == {"see a doctor", "within_hours"} for s in found)
    assert not any(value in ("not recorded", "n/a", "?") for s in found for value in s.profile.values())


@pytest.mark.parametrize(
    ("name", "text", "level"),
    [
        ("Temperature", "37.8", "raised"),
        ("Temperature", "37,8 °C", "raised"),
        ("Temperature", "38.45", "raised"),
        ("Temperature Change", "-0.6", "falling"),
        ("Dose Taken", "4500.5", "too much"),
        ("Dose Taken", "4,500 mg", "too much"),
        ("HbA1c", "6.4", "in range"),
        ("HbA1c", "6.5", "above"),
        ("Oxygen", "91.7", "too low"),
        ("Smoker", "yes", "smoking"),
        ("Chest Pain", "no", "no"),
    ],
)
def test_decimals_and_signs_are_read_whole(schema, name, text, level):
    attribute = schema.attributes[schema.index(name)]
    assert attribute.levels[attribute.code(text)].name == level


def test_a_run_holds_the_very_schema(clinic, schema):
    for folder in ("run", "trees"):
        assert load_schema(clinic / folder / "schema.yaml") == schema
    assert {row["domain"] for row in rows(clinic / "run")} == set(DOMAINS)
    assert "attributes_left_out" not in summary(clinic / "run")
    assert PlanIndex.load(clinic / "run").schema == schema
    assert PlanIndex.load(clinic / "run" / "paths.parquet").schema == schema


@pytest.mark.parametrize("acquisition", [None, ConditionalAcquisition()], ids=["default", "conditional"])
def test_a_conversation_by_the_run_alone(clinic, schema, acquisition):
    """Each person answers with the words of the profile, and every one that tells a level is known by it."""
    agent = Agent.load(clinic / "run", policy(acquisition), detector=Calm())
    asked = Counter()
    for person in people(schema)[:8]:
        turn = converse(agent, person.query, lambda turn, person=person: person.profile.get(turn.attribute))
        assert turn.kind == "answer"
        assert len(turn.path) <= 3
        asked.update(turn.path)
        for name in turn.path:
            told = schema.askable({name: person.profile.get(name)}) != 0
            assert (name in turn.context) == told or name in turn.declined
    assert set(asked) <= set(schema.names)
    assert len(asked) > 1


def test_the_commands_take_the_schema_of_the_run(clinic, commands):
    path = f"scenarios.path={CLINIC / 'scenarios.jsonl'}"
    shown = commands.run(clinic, "run", "heart-2", module="experiments.show")
    assert shown.code == 0, shown.err
    assert "heart-2  heart" in shown.out
    asked = commands.run(
        clinic, "paths=run", path, "users=profile", "scenario=heart-2", module="experiments.ask"
    )
    assert asked.code == 0, asked.err
    assert "questions asked" in asked.out


@pytest.mark.slow
def test_an_evaluation_takes_the_schema_of_the_run(clinic, commands):
    done = commands.run(
        clinic, "paths=run", "judge=simulated_varied", f"scenarios.path={CLINIC / 'scenarios.jsonl'}",
        "budget=2", "scenarios.test_fraction=0.5", "draws=50", "output_dir=evaluation",
        module="experiments.evaluate",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "vanilla" in summary(clinic / "evaluation")["methods"]


def test_no_output_holds_metadata_or_values(clinic):
    secret = ("within_hours", "see a doctor", "dialysis twice a week", "hepatitis in the past")
    for path in (path for path in clinic.rglob("*") if path.is_file()):
        text = path.read_bytes()
        assert not any(word.encode() in text for word in secret), path


# ---- more attributes than a plan has bits


@pytest.fixture(scope="module")
def large(commands, tmp_path_factory):
    """100 attributes of two levels, of which the first 40 are known of nobody but s0."""
    folder = tmp_path_factory.mktemp("large")
    schema = Schema(
        (
            Attribute(f"Finding {i}", levels=(Level("low", ("low",)), Level("high", ("high",))))
            for i in range(100)
        ),
        ["ward", "home"],
    )
    write_schema(folder / "large.yaml", schema)
    records = [
        {
            "id": f"s{k}",
            "domain": ("ward", "home")[k % 2],
            "query": f"Is finding number {k} a bad one?",
            "profile": {
                name: ("low", "high")[(k * 7 + i * 3) % 5 % 2]
                for i, name in enumerate(schema.names)
                if i >= 40 or not k
            },
        }
        for k in range(8)
    ]
    write_scenarios(folder / "s.jsonl", records)
    done = planned(commands, folder, folder / "large.yaml", "s.jsonl")
    return folder, schema, done


def test_of_100_attributes_64_are_planned_with_and_the_others_told(large):
    folder, schema, done = large
    left_out = list(schema.names[4:40])
    assert summary(folder / "run")["attributes_left_out"] == left_out
    line = "the schema has 100 attributes; planned with are the 64 that most scenarios have a value of."
    assert done.out.count(line) == 1
    assert (folder / "run" / "train_mcts.log").read_text(encoding="utf-8").count(line) == 1
    assert load_schema(folder / "run" / "schema.yaml") == schema
    asked = {name for row in rows(folder / "run") for name in row["path"]}
    assert asked
    assert asked.isdisjoint(left_out)


@pytest.mark.parametrize("stored", ["neither", "trees", "histories"])
def test_a_conversation_with_100_attributes(large, stored):
    """Trees and histories are of 64 attributes; what they ask is asked under the numbers of all 100."""
    folder, schema, _ = large
    whole = PlanIndex.load(folder / "run")
    assert whole.schema == schema
    trees, histories = whole.trees, whole.histories
    index = PlanIndex(
        whole.table, whole.index, schema, "", None if stored == "neither" else trees,
        histories if stored == "histories" else None,
    )  # fmt: skip
    acquisition = VoteAcquisition() if stored == "neither" else ConditionalAcquisition()
    agent = Agent(index, policy(acquisition), detector=Calm())
    own_trees, own_histories = load_trees(folder / "run" / TREES), load_histories(folder / "run" / HISTORIES)
    assert len(own_histories.names) == 64
    for text in (folder / "s.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(text)
        turn = agent.start(record["query"], domain=record["domain"])
        if stored == "trees":
            tree = own_trees.for_domain(record["domain"])
            assert turn.attribute == tree.names[tree.nodes[0].attribute]
        if stored == "histories":
            plan = own_histories.plan({record["domain"]: 1.0}, acquisition.other_domains)
            assert turn.attribute == own_histories.names[plan.best(plan.q[0], plan.q[0] > -1)]
        asked = []
        while turn.kind == "ask":
            asked.append(turn.attribute)
            turn = agent.reply(record["profile"].get(turn.attribute))
        assert set(turn.context) == {name for name in asked if name in record["profile"]}
        assert set(asked) <= {*schema.names[:4], *schema.names[40:]}
        assert asked


def test_the_table_is_the_same_with_a_part_of_the_schema(large, commands):
    """Whoever names the 64 attributes at once gets the same rows."""
    folder, schema, _ = large
    kept = Schema([*schema.attributes[:4], *schema.attributes[40:]], schema.domains)
    write_schema(folder / "kept.yaml", kept)
    records = [json.loads(line) for line in (folder / "s.jsonl").read_text(encoding="utf-8").splitlines()]
    for record in records:
        record["profile"] = {n: v for n, v in record["profile"].items() if n in kept.names}
    write_scenarios(folder / "kept.jsonl", records)
    done = commands.run(
        folder, "scenarios.path=kept.jsonl", "scenarios.attributes=kept.yaml",
        "judge=simulated_varied", "budget=3", "parallel=serial", "output_dir=kept", module=TRAIN,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert rows(folder / "kept") == rows(folder / "run")
