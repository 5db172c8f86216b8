"""The table and trees that ship with the package: what they are of, and that the scores are the judge's."""

import numpy as np

from envs.judges.simulated import SimulatedJudge
from envs.loading import load_scenarios
from policies.plan_index import SHIPPED, PlanIndex
from search.path_table import PathTable


def test_the_table_is_of_the_bundled_scenarios_and_says_what_made_it():
    table = PathTable.load(SHIPPED)
    scenarios = load_scenarios(None)
    assert [r.scenario_id for r in table.records()] == [s.id for s in scenarios.scenarios]
    assert [r.query for r in table.records()] == [s.query for s in scenarios.scenarios]
    assert table.provenance["scenarios"] == {"source": "bundled", "sha256": scenarios.sha256}
    assert table.provenance["config"]["output_dir"] == "shipped"
    assert {r.judge for r in table.records()} == {"simulated_varied"}
    assert {r.search for r in table.records()} == {"exhaustive"}


def test_every_score_along_a_path_is_the_judges():
    judge = SimulatedJudge("varied")
    for scenario, record in zip(
        load_scenarios(None).scenarios, PathTable.load(SHIPPED).records(), strict=True
    ):
        contexts = [
            tuple(n for n in scenario.schema.names if n in record.path[:k])
            for k in range(len(record.path) + 1)
        ]
        found = [score.value for score in judge.score(scenario, contexts)]
        np.testing.assert_allclose(found, record.path_scores, atol=1e-9)


def test_the_trees_are_of_the_same_scenarios_and_judge():
    trees = PlanIndex.load().trees
    table = PathTable.load(SHIPPED)
    assert trees.provenance["scenarios"] == table.provenance["scenarios"]
    assert trees.provenance["config"]["judge"] == table.provenance["config"]["judge"]
    assert trees.provenance["config"]["cost_weight"] == 0.1
    assert all(tree.budget == 4 for tree in trees.trees.values())
    # Twenty people a domain; those of others count .3 each.
    people = {name: tree.n_profiles for name, tree in trees.trees.items()}
    assert people == dict.fromkeys(people, 20 + 36) | {"all": 140}
