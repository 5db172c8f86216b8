"""Cross-validation of an evaluation, and plans that look at people of other domains too."""

import json

import numpy as np
import pandas as pd
import pytest

from envs.loading import load_scenarios, person_share
from envs.users import ProfileUser
from experiments.evaluation.methods.baselines import BEST_STATIC, best_sets
from experiments.evaluation.methods.compared_methods import MethodOptions
from experiments.evaluation.methods.population_plans import ALL, plan_tree
from experiments.evaluation.path_tables import plan_table, planned_once
from experiments.evaluation.run import Side, numbered, run
from experiments.evaluation.setting import TrainScores
from policies.composed import ComposedPolicy
from policies.embeddings import StaticEmbedding
from search.algorithms.exhaustive import ExhaustiveSearch
from search.population.exact import Solution, best_fixed_path
from search.population.population_problem import PopulationProblem
from search.rollouts import Serial
from tests.experiments.evaluation.evaluation_cases import simulated
from tests.experiments.run_cases import SERIAL, assert_one_line, record, write_scenarios

EVALUATE = "experiments.evaluate"
QUICK = (
    SERIAL,
    "search=exhaustive",
    "+budget=2",
    "variations=[]",
    "draws=50",
    "min_profiles=3",
    "output_dir=out",
)


@pytest.fixture(scope="module")
def sides():
    """(train, test) of the bundled scenarios, some of each."""
    return load_scenarios(split="train").scenarios[::4], load_scenarios(split="test").scenarios[::2]


def test_people_of_other_domains_count_less_in_a_domain_s_tree(sides):
    scores = TrainScores(sides[0], simulated(), 2)
    domain = scores.scenarios[0].domain
    own = np.array([s.domain == domain for s in scores.scenarios])
    problem = PopulationProblem(
        scores.schema,
        2,
        np.array([s.codes for s in scores.scenarios]),
        scores.exact,
        weights=scores.weights * np.where(own, 1.0, 0.25),
        n_profiles=int(own.sum() + 0.25 * (~own).sum()),
        cost_weight=0.1,
    )
    expected = Solution(problem, fallback=best_fixed_path(problem), min_profiles=4).tree()
    options = {"exact": True, "cost_weight": 0.1, "min_profiles": 4}
    found = plan_tree(scores, domain, other_domains=0.25, **options)
    assert (found.nodes, found.fallback) == (expected.nodes, expected.fallback)
    assert found.nodes != plan_tree(scores, domain, **options).nodes
    everybody = plan_tree(scores, ALL, **options)
    assert plan_tree(scores, domain, other_domains=1.0, **options).nodes == everybody.nodes


def test_every_person_is_asked_once_by_plans_of_the_own_fold(sides):
    train, test = sides
    folds = [Side([*train[4:], *test], train[:4]), Side(train, test[:5])]
    found = run(
        [simulated(), simulated(model_seed=3)],
        lambda judge, people: plan_table(people[:9], judge, ExhaustiveSearch(), 2, 0, Serial()),
        folds,
        ProfileUser(),
        2,
        MethodOptions(ComposedPolicy(), StaticEmbedding(), (0.1,), costs=(0.0,)),
    )
    rows = found.results[found.results["method"] == BEST_STATIC]
    asked = [*train[:4], *test[:5]]
    assert rows["scenario_id"].tolist() == 2 * [s.id for s in asked]
    assert rows["model_seed"].tolist() == [0] * 9 + [3] * 9
    assert rows["profile"].tolist() == 2 * numbered(asked)
    for fold, at in ((folds[0], 0), (folds[1], 4)):
        scores = TrainScores(fold.train[:9], simulated(), 2)
        best = best_sets(scores.seen, scores.masks, [s.domain for s in scores.scenarios])
        for i, scenario in enumerate(fold.test):
            mask = best.get(scenario.domain, best[""])
            names = [name for a, name in enumerate(scenario.schema.names) if mask >> a & 1]
            assert rows["asked"].iloc[at + i] == names


def test_planned_once_for_all_folds_is_planned_in_each(sides):
    train, test = sides
    folds = [train[:6], [*train[3:6], *test[:3]]]
    calls = []

    def planned(judge, scenarios):
        calls.append(len(scenarios))
        return plan_table(scenarios, judge, ExhaustiveSearch(), 2, 0, Serial())

    shared = planned_once(planned, folds)
    for judge in (simulated(noise_std=0.2), simulated(model_seed=3)):
        for fold, people in zip(folds, (train[:9], [*train[3:6], *test]), strict=True):
            table = shared(judge, people)
            assert table.table.table.equals(planned(judge, fold).table.table)
            assert table.source == "planned here for 6 train scenarios"
    assert [n for n in calls if n != 6] == [9, 9]


def test_folds_on_the_command_line(command, tmp_path):
    records = [record(i // 2, id=f"s{i}", query=f"Question {i}?") for i in range(40)]
    write_scenarios(tmp_path / "s.jsonl", records)
    done = command(*QUICK, "scenarios.path=s.jsonl", "folds=3", module=EVALUATE)
    assert (done.code, done.err) == (0, "")
    rows = pd.read_parquet(tmp_path / "out" / "results.parquet")
    one = rows[rows["method"] == "vanilla"]
    assert sorted(one["scenario_id"]) == sorted(r["id"] for r in records)
    # In the order of the folds; two scenarios of one person are in the same.
    fold = [int(3 * person_share(records[int(name[1:])]["profile"])) for name in one["scenario_id"]]
    assert fold == sorted(fold)
    assert len(set(fold)) == 3
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["folds"] == 3
    assert summary["n_train"] == 40 - max(fold.count(k) for k in range(3))
    assert "in 3 folds" in " ".join(done.out.split())


def test_the_first_of_five_folds_is_the_test_side_of_a_split():
    test = {s.id for s in load_scenarios(split="test").scenarios}
    assert test == {s.id for s in load_scenarios().scenarios if int(5 * person_share(s.profile)) == 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("folds=0",), "folds: found 0"),
        (("test_size=0",), "test_size: found 0"),
        (("table_size=-1",), "table_size: found -1"),
        (("folds=3", "paths=here"), "folds: found 3 with a stored table"),
        (("folds=4", "scenarios.limit=1"), "folds: found 4"),
    ],
)
def test_folds_that_cannot_be(command, arguments, message):
    done = command(*QUICK, *arguments, module=EVALUATE)
    assert_one_line(done)
    assert message in done.err
