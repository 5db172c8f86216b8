"""The table and trees that ship with the package: what they are of, and that the scores are the judge's."""

from collections import Counter

import numpy as np

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_scenarios
from policies import Agent
from policies.plan_index import SHIPPED, PlanIndex
from search.path_table import PathTable
from search.population.history_building import history_values
from search.population.scenario_population import Population


def test_the_table_is_of_the_bundled_scenarios_and_says_what_made_it():
    table = PathTable.load(SHIPPED)
    scenarios = load_scenarios(None)
    assert [r.scenario_id for r in table.records()] == [s.id for s in scenarios.scenarios]
    assert [r.query for r in table.records()] == [s.query for s in scenarios.scenarios]
    assert table.provenance["scenarios"] == {"source": "bundled", "sha256": scenarios.sha256}
    assert table.provenance["config"]["output_dir"] == "shipped"
    assert {r.judge for r in table.records()} == {"simulated_varied"}
    assert table.provenance["config"]["judge"]["draws"] == 20
    assert table.provenance["config"]["judge"]["model_seed"] == 1000
    assert {r.search for r in table.records()} == {"exhaustive"}


def test_every_score_along_a_path_is_the_judges():
    judge = SimulatedJudge("varied", 1000, draws=20)
    for scenario, record in zip(
        load_scenarios(None).scenarios, PathTable.load(SHIPPED).records(), strict=True
    ):
        contexts = [
            tuple(n for n in scenario.schema.names if n in record.path[:k])
            for k in range(len(record.path) + 1)
        ]
        found = [score.value for score in judge.score(scenario, contexts)]
        np.testing.assert_allclose(found, record.path_scores, atol=1e-9)


def test_the_plans_are_of_the_same_scenarios_and_judge():
    index = PlanIndex.load()
    table = PathTable.load(SHIPPED)
    assert index.trees.provenance["scenarios"] == table.provenance["scenarios"]
    assert index.trees.provenance["config"]["judge"] == table.provenance["config"]["judge"]
    assert index.trees.provenance["config"]["dropout"] == 0.1
    assert all(tree.budget == 4 for tree in index.trees.trees.values())
    # Twenty people a domain; those of others count .3 each.
    people = {name: tree.n_profiles for name, tree in index.trees.trees.items()}
    assert people == dict.fromkeys(people, 20 + 36) | {"all": 140}


def test_histories_are_what_the_same_people_and_judge_give_and_tell_of_no_few():
    scenarios, judge = load_scenarios(None).scenarios, SimulatedJudge("varied", 1000, draws=20)
    population = Population(scenarios, judge, 4)
    made, stored = history_values(population.problem(dropout=0.1), 20), PlanIndex.load().histories
    np.testing.assert_array_equal(stored.codes, made.codes)
    for name in ("people", "stop", "fallback", "rest", "after", "path_scores"):
        np.testing.assert_allclose(getattr(stored, name), getattr(made, name), rtol=1e-5)
    assert stored.people.sum(axis=1).min() >= 20 * (1 - 1e-6)


def test_first_questions_hang_on_the_query_and_not_on_one_draw():
    """A draw of the judge made it Education Level for nearly everybody; the mean of them does not."""
    index, first = PlanIndex.load(), Counter()
    for scenario in load_scenarios(None).scenarios:
        first[Agent(index).start(scenario.query).attribute] += 1
    assert first.most_common(1)[0][0] == "Mental Health Status"
