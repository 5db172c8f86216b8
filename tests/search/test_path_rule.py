"""The path rule against brute force over all sets and all orders, and each of its clauses alone."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.path_rule import best_plan, best_set, order
from search.problem import PlanningFailed
from tests.search.search_cases import bits, mask_of, subsets, table_problem

NAN = math.nan
LIMITS = settings(deadline=None, max_examples=300)


def score(problem, masks):
    problem.evaluate(np.array(list(masks), dtype=np.uint64))
    return problem


def brute_best(table, scored, costs, weight, known):
    """Return the best of `scored`: objective, then fewer, cheaper, schema order."""

    def rank(mask):
        cost = sum(costs[a] for a in bits(mask & ~known))
        asked = sorted(bits(mask & ~known))
        return (-(table[mask] - weight * cost), len(asked), cost, asked)

    return min((m for m in scored if not math.isnan(table[m])), key=rank)


def brute_order(table, scored, costs, weight, known, target):
    """Return the order of `target` with the fewest unscored, then the best prefixes; ties: the first."""

    def rank(path):
        prefixes = [known | mask_of(path[:d]) for d in range(1, len(path))]
        values = [table[m] if m in scored else NAN for m in prefixes]
        worth = [
            v - weight * sum(costs[a] for a in bits(m & ~known))
            for v, m in zip(values, prefixes, strict=True)
        ]
        missing = sum(math.isnan(v) for v in values)
        return (missing, -sum(w for w in worth if not math.isnan(w)), path)

    return min(itertools.permutations(sorted(bits(target & ~known))), key=rank)


@st.composite
def scored_cases(draw):
    """Draw a table of quarters (ties are exact), NaN here and there, and the sets scored so far."""
    n = draw(st.sampled_from([1, 2, 3, 4, 4, 5, 6]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = rng.integers(4, draw(st.sampled_from([5, 6, 9, 20])) + 1, 1 << n) / 4.0
    table[rng.random(1 << n) < draw(st.sampled_from([0.0, 0.0, 0.3]))] = NAN
    known = draw(st.sampled_from([0, 0, 0, int(rng.integers(1 << n))]))
    table[known] = 1.5
    costs = rng.integers(1, 4, n).astype(float)
    weight = draw(st.sampled_from([0.0, 0.25, 0.5]))
    budget = draw(st.sampled_from([n, max(1, n - 1), 2]))
    sets = [known | m for m in subsets(sorted(bits((1 << n) - 1 - known)), budget)]
    keep = draw(st.sampled_from([0.2, 0.5, 0.8, 1.0]))
    scored = [known] + [m for m in sets if m != known and rng.random() < keep]
    if all(math.isnan(table[m]) for m in scored[1:]):
        scored = [known]
    return table, known, costs, weight, budget, scored


@LIMITS
@given(case=scored_cases())
def test_the_plan_is_the_best_by_brute_force(case):
    table, known, costs, weight, budget, scored = case
    problem = table_problem(table, budget, costs=costs, cost_weight=weight, known=known)
    plan = best_plan(score(problem, scored))
    seen = set(scored)
    target, before = brute_best(table, seen, costs, weight, known), None
    while target != before:
        inner = sorted(bits(target & ~known))
        seen |= {known | m for m in subsets(inner, len(inner))}  # prefix calls count, and so do their scores
        target, before = brute_best(table, seen, costs, weight, known), target
    assert plan.path == brute_order(table, seen, costs, weight, known, target)
    prefixes = [known | mask_of(plan.path[:d]) for d in range(len(plan.path) + 1)]
    np.testing.assert_array_equal(plan.scores, table[prefixes])
    assert not math.isnan(plan.scores[-1])
    assert set(problem.observations()[0].tolist()) == seen


@LIMITS
@given(case=scored_cases(), left=st.integers(0, 8))
def test_with_few_judge_calls_left_prefixes_without_a_score_come_last_in_the_order(case, left):
    table, known, costs, weight, budget, scored = case
    limit = len(scored) + left
    options = {"costs": costs, "cost_weight": weight, "known": known, "max_judge_calls": limit}
    problem = score(table_problem(table, budget, **options), scored)
    plan = best_plan(problem)
    assert problem.judge_calls <= limit
    seen = set(problem.observations()[0].tolist())
    target = known | mask_of(plan.path)
    assert target == best_set(problem) == brute_best(table, seen, costs, weight, known)
    assert plan.path == brute_order(table, seen, costs, weight, known, target)


@pytest.mark.parametrize("seed", range(4))
def test_with_a_surface_orders_of_seven_and_eight_are_exact(seed):
    n = 8 if seed == 0 else 7
    rng = np.random.default_rng(seed)
    table = rng.integers(4, 12, 1 << n) / 4.0
    everything = (1 << n) - 1
    table[everything] = 5.0
    problem = score(table_problem(table, n, compiled=True), [0, everything])
    assert order(problem, everything) == brute_order(table, range(1 << n), np.ones(n), 0.0, 0, everything)


def test_without_a_surface_a_long_path_takes_the_best_next_prefix():
    table = np.full(1 << 8, 2.0)
    table[255] = 5.0
    table[1 << 5] = 3.0  # first step: 5 is best
    table[1 << 5 | 1 << 2] = NAN  # unscored: worse than any score
    table[1 << 5 | 1 << 7] = 2.5
    problem = score(table_problem(table, 8), [0, 255])
    path = order(problem, 255)
    # after 5 and 7 every prefix scores 2: schema order
    assert path == (5, 7, 0, 1, 2, 3, 4, 6)
    assert problem.judge_calls == 2 + 8 + 7 + 6 + 5 + 4 + 3 + 2  # each step's next prefixes, no more


def test_unscored_prefixes_are_avoided_at_the_cost_of_a_lower_mean():
    table = np.array([2.0, 4.9, NAN, 3.0, 2.0, NAN, 2.0, 5.0])
    #  order 0, 1, 2: prefixes 4.9, 3.0; order 0, 2: 4.9, NaN; orders of 1 first: NaN; 2, 1: 2.0, 2.0
    assert order(score(table_problem(table, 3), range(8)), 7) == (0, 1, 2)
    table[3] = NAN  # now only 2, 1, 0 has every prefix scored
    assert order(score(table_problem(table, 3), range(8)), 7) == (2, 1, 0)


def tied(costs, *masks, n=4):
    """Return the best set when just `masks` score 4 and all else 2."""
    table = np.full(1 << n, 2.0)
    table[list(masks)] = 4.0
    return best_set(score(table_problem(table, n, costs=np.array(costs, float)), range(1 << n)))


def test_ties_between_sets_go_to_fewer_then_cheaper_then_schema_order():
    assert tied([1, 1, 1, 1], 0b0111, 0b1100) == 0b1100  # fewer, though later in the schema
    assert tied([9, 1, 1, 1], 0b0011, 0b1100) == 0b1100  # cheaper
    assert tied([1, 1, 1, 1], 0b0110, 0b1001) == 0b1001  # attribute 0 before attribute 1, not the lower mask
    assert tied([0.1, 0.2, 0.3, 0.0], 0b0011, 0b1100) == 0b0011  # .1 + .2 costs what 0 + .3 costs


def test_objectives_that_differ_by_rounding_are_tied():
    table = np.full(8, 1.0)
    table[0b011] = 0.1 + 0.2 + 2.0
    table[0b100] = 0.3 + 2.0 - 4e-16
    assert table[0b011] != table[0b100]
    assert best_set(score(table_problem(table, 2), [0, 3, 4])) == 0b100


def test_costs_make_the_path_shorter_and_zero_weight_ignores_them():
    table = np.array([2.0, 3.0, 2.5, 3.4])
    costs = np.array([1.0, 5.0])
    everything = range(4)
    assert best_plan(score(table_problem(table, 2, costs=costs), everything)).path == (0, 1)
    dear = table_problem(table, 2, costs=costs, cost_weight=0.1)  # the second brings .4 and costs .5
    assert best_plan(score(dear, everything)).path == (0,)
    dearer = table_problem(table, 2, costs=costs, cost_weight=1.0)  # the first brings 1 and costs 1: a tie
    plan = best_plan(score(dearer, everything))
    assert plan.path == ()
    assert plan.scores.tolist() == [2.0]  # scores are scores, without the cost


def test_costs_order_the_prefixes():
    table = np.array([2.0, 3.0, 3.1, 5.0])
    costs = np.array([1.0, 3.0])
    assert order(score(table_problem(table, 2, costs=costs), range(4)), 3) == (1, 0)
    assert order(score(table_problem(table, 2, costs=costs, cost_weight=0.1), range(4)), 3) == (0, 1)


def test_the_path_is_shorter_when_more_does_not_help():
    table = np.array([2.0, 3.0, 2.0, 3.0])
    assert best_plan(score(table_problem(table, 2), range(4))).path == (0,)


def test_the_path_is_empty_when_every_attribute_harms():
    table = 3.0 - 0.25 * np.array([m.bit_count() for m in range(16)])
    plan = best_plan(score(table_problem(table, 4), range(16)))
    assert plan.path == ()
    assert plan.scores.tolist() == [3.0]


def test_a_better_set_met_while_ordering_is_the_plan():
    """Only the full set was searched; its prefix {1} turns out to be better, so the path ends there."""
    table = np.array([2.0, 2.5, 4.0, 3.0])
    plan = best_plan(score(table_problem(table, 2), [0, 3]))
    assert plan.path == (1,)
    assert plan.scores.tolist() == [2.0, 4.0]


def test_known_attributes_are_no_part_of_the_path():
    table = np.arange(8) / 4.0 + 1.0
    plan = best_plan(score(table_problem(table, 2, known=0b010), [2, 3, 6, 7]))
    assert plan.path == (2, 0)
    assert plan.scores.tolist() == [1.5, 2.5, 2.75]


def test_alternatives_are_the_scored_questions_along_the_path():
    table = np.array([2.0, 3.0, NAN, 2.0, 2.5, 4.0, 2.0, 2.0])
    plan = best_plan(score(table_problem(table, 2), [0, 1, 2, 4, 5]))
    assert plan.path == (0, 2)
    found = [(a.step, a.attribute, a.visits, a.value) for a in plan.alternatives]
    expected = [(0, 0, -1, 3.0), (0, 1, -1, NAN), (0, 2, -1, 2.5), (1, 1, -1, NAN), (1, 2, -1, 4.0)]
    assert str(found) == str(expected)


@pytest.mark.parametrize(
    "table", [[NAN, 3.0, 3.0, 3.0], [2.0, NAN, NAN, NAN]], ids=["nothing known", "every candidate"]
)
def test_a_problem_without_scores_fails_at_the_judge(table):
    problem = score(table_problem(np.array(table), 2), range(4))
    with pytest.raises(PlanningFailed) as failed:
        best_plan(problem)
    assert failed.value.stage == "judge"


def test_only_first_looks_make_the_path():
    """A set seen at sample 1 alone has no score of its own: what a lucky second look says is not believed."""
    problem = table_problem(np.array([2.0, 3.0, 5.0, 2.5]), 2)
    problem.evaluate(np.array([0, 1], np.uint64))
    problem.evaluate(np.array([2], np.uint64), samples=[1])
    assert best_set(problem) == 1


def test_looking_twice_at_nothing_known_is_no_failure():
    problem = table_problem(np.array([2.0, 3.0]), 1, askable=0)
    problem.evaluate(np.array([0, 0], np.uint64), samples=[0, 1])
    assert best_plan(problem).path == ()


def test_beliefs_take_the_place_of_lucky_scores():
    table = [2.0, 3.0, 2.5, 4.9]  # 0b11 was lucky
    problem = score(table_problem(table, 2), range(4))
    believed = {0: 2.0, 1: 3.1, 2: 2.4, 3: 3.0}
    assert best_set(problem) == 3
    assert best_set(problem, believed) == 1
    plan = best_plan(problem, beliefs=believed)
    assert plan.path == (0,)
    assert plan.scores.tolist() == [2.0, 3.1]


def test_with_beliefs_nothing_is_asked_for_the_order():
    problem = score(table_problem(np.zeros(8), 3), [0, 7])
    believed = {0: 1.0, 1: 1.5, 2: 2.0, 4: 1.2, 3: 2.5, 5: 2.6, 6: 2.2, 7: 3.0}
    plan = best_plan(problem, beliefs={m: believed[m] for m in (0, 7)})
    assert plan.path == (0, 1, 2)  # nothing is believed of the prefixes: schema order
    assert order(problem, 7, believed) == (1, 0, 2)  # 2.0 + 2.5 is more than 1.5 + 2.6
    assert problem.judge_calls == 2


def test_the_order_of_beliefs_is_exact_beyond_what_a_judge_would_be_asked():
    n = 8
    rng = np.random.default_rng(0)
    believed = dict(enumerate(rng.uniform(2, 4, 1 << n).tolist()))
    problem = score(table_problem(np.zeros(1 << n), n), [0, (1 << n) - 1])
    path = order(problem, (1 << n) - 1, believed)

    def prefixes(way):
        return sum(believed[mask_of(way[:d])] for d in range(1, n))

    assert prefixes(path) == pytest.approx(max(prefixes(way) for way in itertools.permutations(range(n))))


def test_beliefs_are_objectives_once_costs_are_taken_off():
    problem = score(table_problem([0.0] * 4, 2, costs=[1.0, 3.0], cost_weight=0.5), range(4))
    assert best_set(problem, {0: 2.0, 1: 2.6, 2: 3.4, 3: 3.9}) == 1


def test_beliefs_without_the_start_or_about_it_alone_fail():
    problem = score(table_problem([2.0, 3.0, 3.0, 3.0], 2), range(4))
    with pytest.raises(PlanningFailed, match="nothing asked is unscored"):
        best_set(problem, {1: 3.0})
    with pytest.raises(PlanningFailed, match="every context"):
        best_set(problem, {0: 3.0})


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("seed", range(8))
def test_the_order_is_that_of_the_highest_expected_score_when_people_stop_answering(seed, dropout):
    table = np.random.default_rng(seed).uniform(1, 4, 1 << 4)
    table[15] = 5.0
    path = best_plan(score(table_problem(table, 4, dropout=dropout), range(16))).path

    def expected(order, d):
        scores = [table[mask_of(order[:k])] for k in range(5)]
        return sum(d * (1 - d) ** k * scores[k] for k in range(4)) + (1 - d) ** 4 * scores[4]

    d = dropout or 1e-6  # nobody stops: the limit of few who do
    best = max(expected(order, d) for order in itertools.permutations(range(4)))
    assert expected(path, d) == pytest.approx(best, abs=1e-12)


def test_the_more_people_stop_the_more_the_first_question_counts():
    """Prefixes of 0, 1, 2: early 3 then 2 then 2 again, or 2 then 3 then 3: sums 2 d^0 + ... by hand."""
    table = np.array([1.0, 3.0, 2.0, 2.0, 2.0, 2.0, 3.2, 5.0])
    # 0 first: 3 + s * 2; 1 first, then 2: 2 + s * 3.2, with s = 1 - dropout: equal at s = 5 / 6
    assert order(score(table_problem(table, 3, dropout=0.1), range(8)), 7) == (1, 2, 0)
    assert order(score(table_problem(table, 3, dropout=0.3), range(8)), 7)[0] == 0
