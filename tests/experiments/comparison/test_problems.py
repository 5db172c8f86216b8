"""Problems of the comparison, their truth by enumeration, and the rows of a cell."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from envs import UserError
from envs.judges.landscapes import LandscapeJudge
from envs.judges.simulated import SimulatedJudge
from experiments.comparison.cells import COLUMNS, Cell, run_cell
from experiments.comparison.problems import (
    NAMES,
    ProblemSet,
    all_sets,
    best_and_empty,
    best_static,
    n_sets,
    true_scores,
)
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.greedy import GreedySearch
from search.algorithms.random_search import RandomSearch
from search.path_rule import best_plan, plan_of_path


def problems(landscape="sketch", **changes):
    return ProblemSet(
        **{
            "landscape": landscape,
            "n_attributes": 10,
            "model_seed": 0,
            "budget": 4,
            "n_problems": 3,
            **changes,
        }
    )


@pytest.mark.parametrize(("n", "count"), [(10, 386), (20, 6196), (40, 102091)])
def test_number_of_sets_of_the_sizes_that_are_compared(n, count):
    assert n_sets(n, 4) == count


def test_all_sets_are_those_within_the_budget_of_what_can_be_asked():
    found = all_sets(0b10110, 2).tolist()
    assert sorted(found) == [0, 0b10, 0b100, 0b110, 0b10000, 0b10010, 0b10100]
    assert found[0] == 0
    assert len(all_sets((1 << 10) - 1, 4)) == 386


@pytest.mark.parametrize("landscape", NAMES)
@pytest.mark.parametrize("n", [10, 12])
def test_best_is_what_an_exhaustive_search_finds(landscape, n):
    given = problems(landscape, n_attributes=n, n_problems=2)
    (rows, extremes) = (run_cell(Cell(given, "all", ExhaustiveSearch(), 800)), best_and_empty(given))
    for row, (best, empty) in zip(rows, extremes, strict=True):
        assert row["best"] == best
        assert row["empty"] == empty
        assert row["regret"] == pytest.approx(0.0, abs=1e-9)
        assert row["best"] >= row["true"] - 1e-9
        assert row["belief"] == pytest.approx(row["true"], abs=1e-9)


@pytest.mark.parametrize("landscape", ["published", "varied", "coverage"])
def test_truth_is_the_judges_mean_over_samples(landscape):
    given = problems(landscape, noise_std=0.3)
    judge, person = given.judge(), given.scenarios()[0]
    names = person.schema.names_of(0b101)
    looks = judge.score(person, [names] * 3000, range(3000))
    mean = np.mean([getattr(look, "value", look) for look in looks])
    true = true_scores(judge, person, np.array([0b101], np.uint64))[0]
    assert mean == pytest.approx(true, abs=4 * 0.3 / np.sqrt(3000))


def test_people_of_the_presets_are_the_bundled_ones_and_others_are_others():
    given = problems("varied", n_problems=20)
    people = given.scenarios()
    others = [person for group in given.others(15).values() for person in group]
    assert len({p.id for p in people}) == 20
    assert set(given.others(15)) == {p.domain for p in people}
    assert not {p.id for p in people} & {p.id for p in others}
    assert people != problems("varied", n_problems=20, model_seed=1).scenarios()
    assert people == problems("varied", n_problems=20, noise_std=0.3).scenarios()
    assert people[:5] == problems("varied", n_problems=5).scenarios()


@pytest.mark.parametrize("n", [6, 20])
def test_people_of_the_presets_with_other_attributes(n):
    """The ten of PENGUIN as far as they go, and made-up ones: some of all people's values matter."""
    given, ten = problems("varied", n_attributes=n, n_problems=14), problems("varied", n_problems=14)
    assert [p.id for p in given.scenarios()] == [p.id for p in ten.scenarios()]
    for person, same in zip(given.scenarios(), ten.scenarios(), strict=True):
        assert person.codes[:10].tolist() == same.codes[:n].tolist()
        assert (person.codes[10:] >= 0).all()
        assert person.askable >> 10 == (1 << max(n - 10, 0)) - 1
    judge, masks = given.judge(), all_sets((1 << n) - 1, 1)
    rows = {tuple(true_scores(judge, person, masks).round(9)) for person in given.scenarios()}
    assert len(rows) > 10
    if n > 10:
        gains = np.array(sorted(rows))[:, 11:]
        assert (gains.std(axis=0) > 0).all()


def test_one_domain():
    for landscape in ("varied", "sketch"):
        assert {p.domain for p in problems(landscape, domain="health").scenarios()} == {"health"}


def test_noise_and_searches_have_seeds_of_their_own_under_each_judge():
    seeds = {problems(model_seed=m, seed=s).run_seed for m in range(20) for s in range(20)}
    assert len(seeds) == 400
    assert isinstance(problems("published").judge(), SimulatedJudge)
    judge = problems("needle", noise_std=0.6, shared=0.25, model_seed=7).judge()
    assert isinstance(judge, LandscapeJudge)
    assert (judge.kind, judge.noise_std, judge.shared, judge.model_seed) == ("needle", 0.6, 0.25, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landscape": "flat"}, "landscapes: found 'flat', expected some of published"),
        ({"n_attributes": 0}, "n_attributes: found 0"),
        ({"n_attributes": 65}, "n_attributes: found 65"),
        ({"n_attributes": 40, "budget": 6}, "n_attributes=40, budget=6: 4,598,479 sets"),
        ({"landscape": "varied", "n_problems": 140}, "problems: found 140 of varied"),
    ],
)
def test_mistakes_are_one_line(changes, message):
    with pytest.raises(UserError, match=message) as error:
        problems(**changes)
    assert "\n" not in str(error.value)


def test_best_static_is_the_best_set_on_average_over_others():
    given = problems("varied", n_problems=10)
    judge = given.judge()
    found = best_static(given, 6)
    for domain, people in given.others(6).items():
        means = {
            mask: np.mean([true_scores(judge, p, np.array([mask], np.uint64))[0] for p in people])
            for mask in (
                sum(1 << a for a in c) for k in range(5) for c in itertools.combinations(range(10), k)
            )
        }
        assert means[found.sets[domain]] == pytest.approx(max(means.values()), abs=1e-12)


def test_best_static_is_planned_like_any_search():
    given = problems("varied", n_problems=4, noise_std=0.3)
    rows = run_cell(Cell(given, "best_static", None, 20))
    sets = best_static(replace(given, noise_std=0.0), 15).sets
    schema = given.scenarios()[0].schema
    for row in rows:
        assert schema.mask(row["path"]) == sets[row["domain"]]
        assert row["search_calls"] == 2


def test_row_by_hand():
    """Additive without noise: greedy takes the four best weights, and what it takes is known."""
    given = problems("additive", n_problems=2)
    (row, _) = run_cell(Cell(given, "greedy", GreedySearch(), 35))
    weights = given.judge().draws(given.scenarios()[0])[0]
    best = np.argsort(-weights)[:4]
    best = [int(a) for a in best if weights[a] > 0]
    assert set(row) == set(COLUMNS)
    names = given.scenarios()[0].schema.names
    assert row["path"] == [names[a] for a in best]
    assert row["empty"] == 2.0
    assert row["true"] == pytest.approx(2.0 + weights[best].sum())
    assert row["regret"] == pytest.approx(0.0, abs=1e-12)
    assert row["optimism"] == pytest.approx(0.0, abs=1e-12)
    assert row["search_calls"] == 35
    assert row["n_questions"] == len(best)


class Lucky:
    """Believes every score it sees."""

    def plan(self, problem, rng):
        sets = [0, *(sum(1 << int(a) for a in rng.choice(10, 4, replace=False)) for _ in range(40))]
        problem.evaluate(np.array(sets, np.uint64))
        return best_plan(problem)


def test_reported_is_fresh_and_belief_is_the_searchs_own():
    """The best of 60 noisy looks is believed too much; what the harness reports is not."""
    given = problems("needle", noise_std=0.3, n_problems=60)
    rows = run_cell(Cell(given, "lucky", Lucky(), 60))
    assert np.mean([row["belief_error"] for row in rows]) > 0.4
    assert abs(np.mean([row["optimism"] for row in rows])) < 4 * 0.3 / np.sqrt(8 * 60)


class Learner:
    """Plans nothing at first; once fitted, the attribute whose index is the number of fits."""

    def __init__(self, fits=0):
        self.fits = fits

    def fit(self, observations):
        return Learner(self.fits + 1)

    def plan(self, problem, rng):
        problem.evaluate(np.array([0, 1 << self.fits], np.uint64))
        return plan_of_path(problem, [self.fits])


def test_a_search_learns_only_where_the_cell_says_so():
    cell = Cell(problems("sketch", n_problems=5, domain="life"), "mine", Learner(), 20, learns=True, wave=2)
    first, second, third = cell.problems.scenarios()[0].schema.names[:3]
    assert [row["path"] for row in run_cell(cell)] == [[first], [first], [second], [second], [third]]
    alone = run_cell(replace(cell, learns=False))
    assert {tuple(row["path"]) for row in alone} == {(first,)}
    assert [row["order"] for row in alone] == [0, 1, 2, 3, 4]
    assert cell.key != replace(cell, learns=False).key


def test_the_key_tells_cells_apart_and_not_searchers():
    cell = Cell(problems(), "a", RandomSearch(5), 20)
    assert cell.key == replace(cell, searcher=RandomSearch(5)).key
    others = [replace(cell, calls=21), replace(cell, search="b"), replace(cell, problems=problems(seed=1))]
    assert len({other.key for other in [cell, *others]}) == 4


def test_nobody_is_better_than_chance_on_the_needle():
    """60 calls see at most 59 of 210 sets; 300 people, four standard errors."""
    given = problems("needle", n_problems=300)
    rows = run_cell(Cell(given, "random", RandomSearch(200), 60))
    hits = np.mean([row["regret"] < 1e-9 for row in rows])
    assert hits == pytest.approx(59 / 210, abs=4 * np.sqrt(0.28 * 0.72 / 300))
    greedy = run_cell(Cell(replace(given, n_problems=100), "greedy", GreedySearch(), 60))
    assert np.mean([row["regret"] < 1e-9 for row in greedy]) <= 0.2  # sees seven sets of four
