"""Problems with unknown profiles for the tests, and naive twins that share no code with what they check."""

import itertools
import math

import numpy as np

from envs import Attribute, Level, Schema
from search.population.policy_tree import STOP
from search.population.population_problem import PopulationProblem

DECLINED = -1


def schema(n, levels=2, costs=None):
    names = "ABCDEFGHIJ"
    return Schema(
        Attribute(
            names[i] * 2,
            "?",
            cost=1.0 if costs is None else costs[i],
            levels=tuple(Level(f"{names[i].lower()}{k}", (f"{names[i].lower()}{k}",)) for k in range(levels)),
        )
        for i in range(n)
    )


def all_sets(n, budget):
    """Every set of at most `budget` attributes in the documented order: by size, then by value."""
    sets = [sum(1 << a for a in c) for k in range(budget + 1) for c in itertools.combinations(range(n), k)]
    return sorted(sets, key=lambda m: (m.bit_count(), m))


def random_problem(seed, n=3, budget=2, levels=2, profiles=5, missing=0.0, nan=0.0, **options):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, levels, (profiles, n))
    codes[rng.random((profiles, n)) < missing] = DECLINED
    scores = rng.uniform(1, 5, (profiles, len(all_sets(n, min(budget, n)))))
    scores[:, 1:][rng.random(scores[:, 1:].shape) < nan] = math.nan
    costs = rng.uniform(0, 1, n)
    weights = rng.uniform(0.1, 1, profiles)
    return PopulationProblem(schema(n, levels, costs), budget, codes, scores, weights=weights, **options)


def worlds(problem):
    """(profile, declined set, probability) of everything that may be the case."""
    n, d = len(problem.schema), problem.decline_rate
    for u, weight in enumerate(problem.weights.tolist()):
        for declined in range(1 << n):
            k = declined.bit_count()
            chance = weight * d**k * (1 - d) ** (n - k)
            if chance > 0:
                yield u, declined, chance


def score(problem, table, u, told):
    return float(table[u, all_sets(len(problem.schema), problem.budget).index(told)])


def table_of(problem):
    return problem.scores_with(all_sets(len(problem.schema), problem.budget))


def cost(problem, asked):
    return problem.cost_weight * sum(problem.schema.attributes[a].cost for a in asked)


def answer(problem, u, declined, a):
    return DECLINED if declined >> a & 1 else int(problem.codes[u, a])


def stop_value(problem, table, possible, asked):
    total = sum(chance for _, _, chance in possible)
    value = 0.0
    for u, declined, chance in possible:
        told = sum(1 << a for a in asked if not declined >> a & 1)
        value += chance * score(problem, table, u, told) / total
    return -math.inf if math.isnan(value) else value - cost(problem, asked)


def all_policies(problem, asked=()):
    """Every policy: None to stop, or (attribute, {code: policy})."""
    yield None
    if len(asked) == problem.budget:
        return
    n = len(problem.schema)
    for a in set(range(n)) - set(asked):
        codes = sorted({answer(problem, u, declined, a) for u, declined, _ in worlds(problem)})
        below = list(all_policies(problem, (*asked, a)))
        for chosen in itertools.product(below, repeat=len(codes)):
            yield a, dict(zip(codes, chosen, strict=True))


def policy_value(problem, table, policy):
    """Follow `policy` in every world."""
    total = 0.0
    for u, declined, chance in worlds(problem):
        asked, now = [], policy
        while True:
            told = sum(1 << a for a in asked if not declined >> a & 1)
            ends = chance * (1.0 if now is None else problem.dropout)
            if ends > 0:
                value = score(problem, table, u, told)
                if math.isnan(value):
                    return -math.inf
                total += ends * (value - cost(problem, asked))
            if now is None:
                break
            chance *= 1 - problem.dropout
            asked.append(now[0])
            now = now[1][answer(problem, u, declined, now[0])]
    return total


def best_value(problem, fallback=(), min_profiles=0):
    """The optimum by recursion over histories of worlds; few agreeing profiles go on with the fallback."""
    table = table_of(problem)

    def best(possible, asked):
        stop = stop_value(problem, table, possible, asked)
        if len(asked) == problem.budget:
            return stop
        choices = [a for a in range(len(problem.schema)) if a not in asked]
        total = sum(chance for _, _, chance in possible)
        few = total * problem.n_profiles < min_profiles * (1 - 1e-9)
        if few:
            choices = [a for a in fallback if a not in asked][:1]
        values = [] if few and choices else [stop]
        for a in choices:
            parts = {}
            for world in possible:
                parts.setdefault(answer(problem, *world[:2], a), []).append(world)
            value = sum(sum(w[2] for w in part) / total * best(part, (*asked, a)) for part in parts.values())
            d = problem.dropout
            values.append(value if d == 0 else d * stop + (1 - d) * value)
        return max(values)

    return best(list(worlds(problem)), ())


def follow(problem, tree):
    """What `tree` is worth to the people of `problem`, world by world, through its public interface."""
    table = table_of(problem)
    total = 0.0
    for u, declined, chance in worlds(problem):
        answers = {}
        while True:
            a = tree.next_attribute(answers)
            told = sum(1 << a for a in answers if not declined >> a & 1)
            ends = chance * (1.0 if a == STOP else problem.dropout)
            if ends > 0:
                total += ends * (score(problem, table, u, told) - cost(problem, answers))
            if a == STOP:
                break
            chance *= 1 - problem.dropout
            assert a not in answers
            answers[a] = answer(problem, u, declined, a)
        assert len(answers) <= problem.budget
    return total


def by_hand(**options):
    """Three people, worked out by hand: ask AA; after a1 ask BB; answer.

    Stop at once: 1. AA costs .5: a0 2 - .5 = 1.5, BB after it 2 - 1 = 1; a1 3 - .5 = 2.5, BB after it
    (5 + 3) / 2 - 1 = 3. So (1.5 + 2 * 3) / 3 = 2.5. BB first: b0 (2 + 5) / 2 - 1 = 2.5, b1 3 - 1 = 2: 7 / 3.
    Paths: AA 8/3 - .5 = 2.17, BB 1.5, both 10/3 - 1 = 7/3.
    """
    codes = [[0, 0], [1, 0], [1, 1]]
    scores = [[1, 2, 2, 2], [1, 3, 2, 5], [1, 3, 2, 3]]
    given = {"cost_weight": 0.5, "group": "health", **options}
    return PopulationProblem(schema(2), 2, np.array(codes), np.array(scores, float), **given)
