"""Plans from sums over people by domain are those of people weighed by their domain's probability."""

import io
import itertools
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import UserError
from search.population.exact import Solution
from search.population.history_building import history_values
from search.population.history_values import NOT_ASKED, load_histories, save_histories
from search.population.policy_tree import DECLINED
from search.population.population_problem import PopulationProblem
from search.problem import PlanningFailed
from tests.search.population.population_cases import by_hand, random_problem, table_of

DOMAINS = ("health", "social")


def with_domains(problem, weights=None):
    """`problem` with its people of two domains in turn, weighed by `weights`."""
    domains = [DOMAINS[u % 2] for u in range(len(problem.codes))]
    given = None if weights is None else [weights[d] for d in domains] * problem.weights
    return PopulationProblem(
        problem.schema,
        problem.budget,
        problem.codes,
        table_of(problem),
        weights=problem.weights if given is None else given,
        cost_weight=problem.cost_weight,
        decline_rate=problem.decline_rate,
        dropout=problem.dropout,
        row_domains=domains,
    )


CASES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "n": st.integers(2, 4),
        "budget": st.integers(1, 4),
        "levels": st.integers(1, 3),
        "profiles": st.integers(2, 8),
        "missing": st.sampled_from([0.0, 0.3]),
        "cost_weight": st.sampled_from([0.0, 0.5]),
        "decline_rate": st.sampled_from([0.0, 0.25]),
        "dropout": st.sampled_from([0.0, 0.2]),
    }
)


@settings(max_examples=60, deadline=None)
@given(CASES, st.sampled_from([(1.0, 0.0), (0.3, 0.7), (0.5, 0.5)]), st.sampled_from([0.0, 0.1, 1.0]))
def test_any_mix_of_domains_gets_the_optimum_of_people_weighed_so(case, shares, other):
    problem = with_domains(random_problem(**case))
    mix = dict(zip(DOMAINS, shares, strict=True))
    plan = history_values(problem, 0).plan(mix, other)
    weights = {d: p + other * (1 - p) for d, p in mix.items()}
    best = Solution(with_domains(random_problem(**case), weights))
    value = max(plan.stop[0], plan.q[0].max())
    assert value == pytest.approx(best.value, abs=1e-4)
    tree = best.tree()
    for answers, node in _nodes(tree):
        if len(answers) == problem.budget:
            continue
        place = plan.find(answers)
        assert plan.stop[place] == pytest.approx(node.stop_value, abs=1e-4)
        assert max(plan.stop[place], plan.q[place].max()) == pytest.approx(node.value, abs=1e-4)


def _nodes(tree):
    waiting = [({}, tree.nodes[0])]
    while waiting:
        answers, node = waiting.pop()
        yield answers, node
        waiting += [({**answers, node.attribute: c}, tree.nodes[i]) for c, i in node.children.items()]


@pytest.mark.parametrize("min_profiles", [2, 3, 50])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_few_people_go_on_with_the_fixed_path_and_no_history_tells_of_them(seed, dropout, min_profiles):
    options = {"n": 4, "budget": 3, "profiles": 9, "cost_weight": 0.2, "dropout": dropout}
    problem = random_problem(seed, **options)
    values = history_values(problem, min_profiles)
    assert values.domains == ("all",)
    path = tuple(values.paths[0][values.paths[0] >= 0].tolist())
    plan = values.plan({"all": 1.0}, 1.0)
    best = Solution(problem, fallback=path, min_profiles=min_profiles)
    assert max(plan.stop[0], plan.q[0].max()) == pytest.approx(best.value, abs=1e-4) or plan.few[0]
    for row, people in zip(values.codes[1:], values.people[1:, 0], strict=True):
        agree = (problem.codes == row) | (row == NOT_ASKED)
        expected = problem.weights[agree.all(axis=1)].sum() * problem.n_profiles
        assert people == pytest.approx(expected, rel=1e-5)
        assert expected >= min_profiles * (1 - 1e-9)


def test_by_hand():
    """See `by_hand`: AA first is worth 2.5; answered right after AA 8/3 - .5, after BB 2 - .5."""
    values = history_values(by_hand(), 0)
    plan = values.plan({"health": 1.0}, 0.0)
    assert plan.q[0].tolist() == pytest.approx([2.5, 7 / 3], abs=1e-6)
    assert plan.after[0].tolist() == pytest.approx([8 / 3 - 0.5, 1.5], abs=1e-6)
    assert plan.best(plan.q[0], np.array([True, True])) == 0
    assert plan.best(plan.q[0], np.array([False, True])) == 1
    assert plan.best(plan.q[0], np.array([False, False])) is None
    assert plan.path == pytest.approx({0: 8 / 3 - 0.5 - 1, 1: 7 / 3 - (8 / 3 - 0.5)}, abs=1e-6)
    assert plan.stop[plan.find({0: 1})] == pytest.approx(2.5)
    assert plan.find({0: 1, 1: 0}) is None  # nothing is asked after two


def test_a_declined_question_tells_nothing_where_nobody_is_known_to_decline():
    plan = history_values(by_hand(), 0).plan({"health": 1.0}, 0.0)
    assert plan.find({1: DECLINED}) == plan.find({}) == 0
    assert plan.find({0: 1, 1: DECLINED}) == plan.find({0: 1})


def test_the_path_is_the_best_one_for_the_mix():
    """Domain one gains from AA alone, two from BB alone."""
    scores = np.array([[1, 3, 1, 3], [1, 1, 3, 3]], float)
    base = by_hand()
    problem = PopulationProblem(
        base.schema, 2, np.zeros((2, 2)), scores, cost_weight=0.5, row_domains=["health", "social"]
    )
    values = history_values(problem, 0)
    assert list(values.plan({"health": 1.0}, 0.0).path) == [0]
    assert list(values.plan({"social": 1.0}, 0.0).path) == [1]


def test_a_query_of_no_domain_that_was_planned_for_is_anybodys():
    problem = with_domains(random_problem(3, profiles=6))
    values = history_values(problem, 0)
    anybody, even = values.plan({"career": 1.0}, 0.0), values.plan(dict.fromkeys(DOMAINS, 1.0), 0.0)
    np.testing.assert_array_equal(anybody.q, even.q)


def test_many_attributes_keep_histories_of_few_answers(monkeypatch):
    monkeypatch.setattr("search.population.history_building.MAX_SETS", 5)
    problem = random_problem(1, n=4, budget=3, profiles=9, dropout=0.1)
    values = history_values(problem, 0)
    assert (values.codes != NOT_ASKED).sum(axis=1).max() == 1
    plan = values.plan({"all": 1.0}, 1.0)
    assert max(plan.stop[0], plan.q[0].max()) <= Solution(problem).value + 1e-4


def test_unscored_sets_are_no_histories():
    problem = random_problem(0, n=3, budget=2, profiles=6, nan=0.5)
    with pytest.raises(PlanningFailed, match="unscored"):
        history_values(problem, 0)


def test_what_is_saved_is_what_is_loaded_byte_for_byte(tmp_path):
    values = history_values(with_domains(random_problem(2, profiles=8, dropout=0.1)), 2)
    for name in ("one.npz", "two.npz"):
        save_histories(tmp_path / name, values, {"judge": "simulated"})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = load_histories(tmp_path / "one.npz")
    for shares, other in itertools.product(({"health": 1.0}, {"social": 0.4}), (0.0, 0.3)):
        np.testing.assert_array_equal(loaded.plan(shares, other).q, values.plan(shares, other).q)
    assert (loaded.names, loaded.levels, loaded.domains) == (values.names, values.levels, values.domains)


def _without(path, name):
    with np.load(path) as file:
        np.savez(path, **{key: file[key] for key in file.files if key != name})


def _shortened(path):
    with np.load(path) as file:
        np.savez(path, **{key: file[key][:1] if key == "stop" else file[key] for key in file.files})


def _with_a_torn_head(path):
    """Of its first array: a parenthesis is never closed, and there is a NUL."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            held = io.BytesIO()
            np.save(held, array)
            archive.writestr(f"{name}.npy", held.getvalue().replace(b"), }", b"\0, }"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        _with_a_torn_head,
        lambda path: path.write_bytes(b"no archive"),
        lambda path: _without(path, "rest"),
        _shortened,
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, damage):
    path = tmp_path / "h.npz"
    save_histories(path, history_values(random_problem(2), 0), {})
    damage(path)
    with pytest.raises(UserError, match=r"^[^\n]*h\.npz[^\n]+$"):
        load_histories(path)
