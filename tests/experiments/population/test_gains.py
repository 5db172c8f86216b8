"""What branching and stopping gain: in sample, held out by person, and how it is told."""

import io
import math
from dataclasses import asdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from envs import Scenario, UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from experiments.population import gains_report
from experiments.population.compared_trees import (
    BRANCHING,
    EVERYBODY,
    FIXED,
    MIN_SUPPORT,
    STOPPING,
    TREE,
    PopulationOptions,
    groups,
    plans,
    pooled,
)
from experiments.population.gains import BY_DOMAIN, ORACLE, gains
from search.population.exact import Solution, best_fixed_path, fixed_tree
from search.population.population_problem import PopulationProblem
from search.population.scenario_population import Population
from search.population.tree_building import worth

SCENARIOS = tuple(load_bundled()[:8]) + tuple(load_bundled()[20:28])  # relationship, career
PLANS = (FIXED, STOPPING, BRANCHING, TREE, MIN_SUPPORT)


def population(scenarios=SCENARIOS, budget=2, seed=0):
    return Population(scenarios, SimulatedJudge("varied", seed), budget)


def by_key(rows):
    return {(row.domain, row.plan): row for row in rows}


@pytest.fixture(scope="module")
def found():
    return by_key(gains(population(), PopulationOptions(cost_weight=0.1, min_profiles=3, folds=4), 7))


def test_in_sample_values_are_those_of_the_plans(found):
    rows = np.arange(8)
    problem = population().problem(rows, cost_weight=0.1, dropout=PopulationOptions().dropout)
    path = best_fixed_path(problem)
    assert found["relationship", FIXED].objective == pytest.approx(fixed_tree(problem, path).value)
    assert found["relationship", TREE].objective == pytest.approx(Solution(problem).value)
    # The careful tree also looks at the eight of the other domain, whom it counts less.
    everybody = PopulationProblem(
        problem.schema,
        2,
        population().codes,
        population().scores,
        weights=[1.0] * 8 + [0.3] * 8,
        n_profiles=10,  # 8 + 8 * .3, a whole person at a time
        cost_weight=0.1,
        dropout=problem.dropout,
    )
    min_support = Solution(everybody, fallback=best_fixed_path(everybody), min_profiles=3).tree()
    assert found["relationship", MIN_SUPPORT].objective == pytest.approx(
        problem.weights @ worth(problem, min_support).objective
    )
    assert found["relationship", MIN_SUPPORT].n_nodes == len(min_support.nodes)
    for (domain, _), row in found.items():
        assert row.gain == pytest.approx(row.objective - found[domain, FIXED].objective)
        assert (row.model_seed, row.budget, row.cost_weight, row.min_profiles) == (7, 2, 0.1, 3)


def test_plans_are_in_order(found):
    for domain in ("relationship", "career", BY_DOMAIN, EVERYBODY):
        value = {plan: found[domain, plan].objective for plan in (*PLANS, ORACLE)}
        for plan in (STOPPING, BRANCHING):
            assert value[FIXED] - 1e-9 <= value[plan] <= value[TREE] + 1e-9
        assert value[MIN_SUPPORT] <= value[TREE] + 1e-9  # it is planned for others too
        assert domain != EVERYBODY or value[MIN_SUPPORT] >= value[FIXED] - 1e-9
        assert found[domain, BRANCHING].questions >= found[domain, FIXED].questions - 1e-9
        assert found[domain, STOPPING].questions <= found[domain, FIXED].questions + 1e-9


def test_oracle_is_each_persons_best_set(found):
    problem = population().problem(np.arange(8), cost_weight=0.1, merge=False)
    best = np.full(8, -math.inf)
    for mask in range(1 << 10):
        if mask.bit_count() <= 2:
            best = np.maximum(best, problem.scores_with([mask])[:, 0] - problem.penalty(mask))
    assert found["relationship", ORACLE].objective == pytest.approx(best.mean())


def test_by_domain_is_the_mean_over_scenarios(found):
    for plan in PLANS:
        parts = [found[domain, plan].objective for domain in ("relationship", "career")]
        assert found[BY_DOMAIN, plan].objective == pytest.approx(np.mean(parts))
        held = [found[domain, plan].held_gain for domain in ("relationship", "career")]
        assert found[BY_DOMAIN, plan].held_gain == pytest.approx(np.mean(held))
    assert found[BY_DOMAIN, TREE].n_people == 16


def test_leave_one_person_out_by_hand():
    """Each person, with both queries, is followed by plans made from the others alone."""
    twice = [
        Scenario(f"{s.id}-{i}", s.domain, "", s.profile, s.schema) for s in SCENARIOS[:6] for i in range(2)
    ]
    options = PopulationOptions(cost_weight=0.1, min_profiles=2, folds=6)
    rows = by_key(gains(population(twice), options))
    whole = population(twice)
    differences = {plan: [] for plan in PLANS}
    for person in range(6):
        mine = np.arange(12) // 2 == person
        problem = whole.problem(np.flatnonzero(~mine), cost_weight=0.1, dropout=options.dropout)
        trees = plans(problem, problem, options)  # there is no other domain
        test = whole.problem(np.flatnonzero(mine), cost_weight=0.1, dropout=options.dropout, merge=False)
        base = worth(test, trees[FIXED]).objective.mean()
        for plan in PLANS:
            differences[plan].append(worth(test, trees[plan]).objective.mean() - base)
    for plan in PLANS:
        row = rows["relationship", plan]
        assert row.n_people == 6
        assert row.held_gain == pytest.approx(np.mean(differences[plan]), abs=1e-9)
        assert row.held_stderr == pytest.approx(np.std(differences[plan], ddof=1) / math.sqrt(6), abs=1e-9)


def test_nobody_held_out_is_among_the_people_of_other_domains():
    """The same two people under another domain: who is tested stays out of the plan altogether."""
    elsewhere = [Scenario(f"{s.id}-2", "career", "", s.profile, s.schema) for s in SCENARIOS[:2]]
    both = population([*SCENARIOS[:2], *elsewhere])
    options = PopulationOptions(other_domains=0.5, min_profiles=2)
    assert pooled(both, np.arange(2), options, "relationship").weights.tolist() == [
        1 / 3,
        1 / 3,
        1 / 6,
        1 / 6,
    ]
    kept = pooled(both, np.arange(1), options, "relationship", without=[1])
    assert kept.weights.tolist() == [2 / 3, 1 / 3]
    assert kept.codes.tolist() == [both.codes[0].tolist()] * 2
    assert kept.n_profiles == 1
    assert len(pooled(both, np.arange(2), PopulationOptions(other_domains=0), "relationship").weights) == 2
    assert len(pooled(both, np.arange(4), options, EVERYBODY).weights) == 4


def test_nothing_is_held_out_without_folds_or_with_one_person():
    rows = by_key(gains(population(), PopulationOptions(folds=0)))
    assert math.isnan(rows[EVERYBODY, TREE].held_gain)
    alone = by_key(gains(population(SCENARIOS[:1]), PopulationOptions()))
    assert math.isnan(alone["relationship", TREE].held_gain)


def test_same_seed_same_rows_another_seed_other_folds():
    options = [PopulationOptions(cost_weight=0.1, min_profiles=2, folds=3, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (by_key(gains(population(), o)) for o in options)
    assert [repr(asdict(row)) for row in first.values()] == [repr(asdict(row)) for row in again.values()]
    assert first[EVERYBODY, TREE].held_gain != other[EVERYBODY, TREE].held_gain
    assert first[EVERYBODY, TREE].objective == other[EVERYBODY, TREE].objective


def test_tree_search_in_place_of_dynamic_programming():
    options = PopulationOptions(cost_weight=0.1, min_profiles=3, folds=2, solver="mcts", num_simulations=1000)
    rows = by_key(gains(population(), options))
    exact = by_key(gains(population(), PopulationOptions(cost_weight=0.1, min_profiles=3, folds=2)))
    assert ("career", BRANCHING) not in rows
    for plan in (FIXED, STOPPING, TREE, MIN_SUPPORT):
        for domain in ("relationship", EVERYBODY):
            assert rows[domain, plan].objective == pytest.approx(exact[domain, plan].objective)


def test_rows_without_all_scores_belong_to_no_group():
    class Partly:
        def score(self, scenario, contexts):
            return [math.nan if scenario.id == SCENARIOS[0].id and names else 3.0 for names in contexts]

    parts = groups(Population(SCENARIOS, Partly(), 1))
    assert list(parts) == ["relationship", "career", EVERYBODY]
    assert parts["relationship"].tolist() == list(range(1, 8))
    assert len(parts[EVERYBODY]) == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "x"}, "solver: found 'x', expected one of exact, mcts"),
        ({"folds": 1}, "folds: found 1"),
        ({"folds": -1}, "folds: found -1"),
        ({"min_profiles": -1}, "min_profiles: found -1"),
        ({"num_simulations": 0}, "num_simulations: found 0"),
        ({"seed": -1}, "seed: found -1"),
        ({"other_domains": 1.5}, "other_domains: found 1.5, expected a weight, 0 to 1"),
        ({"decline_rate": 2.0}, "decline_rate: found 2"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(UserError, match=message):
        PopulationOptions(**options)


def test_tables_say_simulated_and_fit_eighty_columns(found, tmp_path):
    rows = list(found.values())
    console = Console(file=io.StringIO(), width=80)
    console.print(gains_report.gains_table(rows, "simulated_varied", True))
    text = console.file.getvalue()
    assert "SIMULATED scores" in text
    assert "\u2026" not in text
    assert max(map(len, text.splitlines())) <= 80
    tree = found["career", TREE]
    assert f"{tree.gain:+.3f}".replace("0.", ".") in text
    gains_report.save_gains(tmp_path, rows, {"judge": "simulated_varied", "simulated": True})
    table = pq.read_table(tmp_path / "gains.parquet")
    assert [row["plan"] for row in table.to_pylist()] == [row.plan for row in rows]
    assert table.column("objective").to_pylist() == [row.objective for row in rows]
    markdown = (tmp_path / "gains.md").read_text(encoding="utf-8")
    assert "SIMULATED" in markdown
    assert markdown.count("\n| ") == 6
    assert "SIMULATED" not in gains_report.markdown(rows, "mine", False)


def test_draws_of_the_judge_are_counted():
    rows = [
        row
        for seed in range(3)
        for row in gains(
            population(seed=seed), PopulationOptions(cost_weight=0.1, min_profiles=3, folds=3), seed
        )
    ]
    text = gains_report.notes(rows)
    own = [row for row in rows if (row.domain, row.plan) == (EVERYBODY, TREE)]
    up = sum(row.held_gain > 1.96 * row.held_stderr for row in own)
    assert f"above 0 in {up}, below 0" in text
    assert "of 3 draws of the judge" in text
    summary = gains_report.summarise(rows, 16, 0, "simulated_varied", True)
    assert summary["judge_is_simulated"] is True
    assert summary["model_seeds"] == [0, 1, 2]
    mean = np.mean([r.objective for r in rows if (r.domain, r.plan) == (BY_DOMAIN, TREE)])
    assert summary["mean_objective_tree"] == pytest.approx(mean)
    assert summary["one_tree_held_out_gain_tree"] == pytest.approx(np.mean([r.held_gain for r in own]))
