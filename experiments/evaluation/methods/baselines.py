"""Baselines: nothing asked, the same asked of everybody, everything known, an oracle's plan."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np

from envs.judges.simulated import SimulatedJudge
from experiments.evaluation.methods.greedy_sets import GREEDY_PEOPLE, StepwiseSets
from experiments.evaluation.methods.trajectories import BASELINE, REFERENCE, Method, Trajectory
from experiments.evaluation.setting import Setting, TrainScores, exact_table, people, spread
from search.population.set_table import sets_within

VANILLA, FULL, ORACLE = "vanilla", "full context", "oracle path"
BEST_STATIC, BEST_STATIC_ALL = "best static set per domain", "best static set"
"""Of at most `budget` attributes, with the domain known and not; their families bear the same names."""
STATIC_SETS = {
    "static-3": ("Emotional State", "Mental Health Status", "Past Self-Harm History"),
    "static-4": ("Age", "Emotional State", "Mental Health Status", "Profession"),
}
"""The paper's set, and the one that covers most of its authors' planned paths."""
RANDOM_ORDERS = 8
"""Orders that each person is asked in, for methods that ask at random; their mean counts."""


def random_name(k: int) -> str:
    """Return the name of asking k questions in random order."""
    return f"random order, {k} questions" if k > 1 else "random order, 1 question"


def static_name(k: int, domain_told: bool = True) -> str:
    """Return the name of the best static set of exactly k attributes, the domain known (`told`) or not."""
    return f"best static {k}{' per domain' if domain_told else ''}"


def random_orders(setting: Setting, i: int) -> np.ndarray:
    """Return int64[RANDOM_ORDERS, n], orders of all attributes for person `i`, the same in every method."""
    scenario = setting.test[i]
    words = np.frombuffer(hashlib.sha256(scenario.id.encode()).digest(), dtype="<u4")
    rng = np.random.default_rng(np.random.SeedSequence([setting.seed, *words.tolist()]))
    return np.array([rng.permutation(len(setting.schema)) for _ in range(RANDOM_ORDERS)])


def baselines(setting: Setting, scores: TrainScores) -> list[Method]:
    """Return all methods of this file; sets are enumerated where that is free, else searched greedily."""
    methods = [
        _fixed(setting, VANILLA, BASELINE, [()] * len(setting.test)),
        *(_random(setting, k) for k in range(1, min(setting.budget, len(setting.schema)) + 1)),
    ]
    for name, members in STATIC_SETS.items():
        if set(members) <= set(setting.schema.names):
            path = tuple(setting.schema.index(member) for member in members)
            methods.append(_fixed(setting, name, BASELINE, [path] * len(setting.test)))
    methods += _best_static(setting, scores)
    methods.append(_knowing(ORACLE, oracle_sets(setting) if setting.enumerable else _greedy_oracle(setting)))
    methods.append(_knowing(FULL, [_indices(s.askable) for s in setting.test]))
    return methods


def _knowing(name: str, sets: Sequence[tuple[int, ...]]) -> Method:
    """Return the reference that knows `sets[i]` of person i, whatever that person would answer."""
    return Method(name, REFERENCE, lambda i: [Trajectory(sets[i], sum(1 << a for a in sets[i]))])


def _fixed(
    setting: Setting, name: str, kind: str, paths: Sequence[tuple[int, ...]], curve: str = ""
) -> Method:
    """Return the method that asks person i for `paths[i]`, whatever the answers."""
    return Method(name, kind, lambda i: [setting.answers.trajectory(i, paths[i])], curve)


def _random(setting: Setting, k: int) -> Method:
    def converse(i: int) -> list[Trajectory]:
        orders = random_orders(setting, i)[:, :k].tolist()
        return [setting.answers.trajectory(i, order) for order in orders]

    return Method(random_name(k), BASELINE, converse, "random order")


def best_sets(
    judge_table: np.ndarray, masks: np.ndarray, domains: Sequence[str], budget: int | None = None
) -> dict[str, int]:
    """Return {domain: mask} of the highest mean in each domain, and under "" of all; the first wins ties.

    `judge_table`: float64[N, n_sets]; `budget`: exactly so many attributes (None: any).
    """
    sizes = np.array([int(mask).bit_count() for mask in masks])
    allowed = np.flatnonzero(sizes == budget) if budget is not None else np.arange(len(masks))
    of = np.array(domains)
    groups = {"": np.ones(len(of), dtype=bool), **{d: of == d for d in dict.fromkeys(domains)}}
    return {
        domain: int(masks[allowed[judge_table[np.ix_(rows, allowed)].mean(axis=0).argmax()]])
        for domain, rows in groups.items()
    }


def _best_static(setting: Setting, scores: TrainScores) -> list[Method]:
    """Return best static sets, of at most `budget` attributes and of each exact size, domain known and not.

    They are chosen on what plans are made from, one sample of each set of the train people.
    """
    found = _enumerated_static(scores) if setting.enumerable else _greedy_static(setting, scores)
    methods = []
    for size in (None, *range(1, scores.budget + 1)):
        best = found[size]
        for domain_told in (True, False):
            family = BEST_STATIC if domain_told else BEST_STATIC_ALL
            paths = [best.get(s.domain if domain_told else "", best[""]) for s in setting.test]
            if size is None:
                methods.append(_fixed(setting, family, BASELINE, paths))
            else:
                methods.append(_fixed(setting, static_name(size, domain_told), BASELINE, paths, family))
    return methods


_Static = dict[int | None, dict[str, tuple[int, ...]]]
"""Size, None = at most the budget -> domain, "" = all -> attributes."""


def _enumerated_static(scores: TrainScores) -> _Static:
    """Return the best of all sets; each person counts as often as they have scenarios."""
    counts = scores.weights.astype(np.int64)
    table = np.repeat(scores.seen, counts, axis=0)
    domains = [s.domain for s, n in zip(scores.scenarios, counts.tolist(), strict=True) for _ in range(n)]
    sizes = (None, *range(1, scores.budget + 1))
    found = {size: best_sets(table, scores.masks, domains, size) for size in sizes}
    return {size: {domain: _indices(mask) for domain, mask in best.items()} for size, best in found.items()}


def _greedy_static(setting: Setting, scores: TrainScores) -> _Static:
    """Return greedily grown sets of `GREEDY_PEOPLE` people; one of k questions begins with that of k - 1."""
    some = spread(scores.scenarios, GREEDY_PEOPLE)
    groups = {"": list(range(len(some)))}
    for i, scenario in enumerate(some):
        groups.setdefault(scenario.domain, []).append(i)
    search = StepwiseSets(scores.judge, some)
    found = dict(zip(groups, search.paths(list(groups.values()), scores.budget), strict=True))
    setting.n_searched += search.n_calls
    static: _Static = {
        k: {d: path[:k] for d, (path, _) in found.items()} for k in range(1, scores.budget + 1)
    }
    static[None] = {domain: path[:best] for domain, (path, best) in found.items()}
    return static


def _greedy_oracle(setting: Setting) -> list[tuple[int, ...]]:
    """Return for each very person what a greedy search finds under the judge, at its first sample."""
    search = StepwiseSets(setting.judge, setting.test)
    paths = search.paths([[i] for i in range(len(setting.test))], setting.budget)
    setting.n_searched += search.n_calls
    own = [path[:best] for path, best in paths]
    return [tuple(a for a in path if s.askable >> a & 1) for path, s in zip(own, setting.test, strict=True)]


def _indices(mask: int) -> tuple[int, ...]:
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def oracle_sets(setting: Setting) -> list[tuple[int, ...]]:
    """Return the best set of at most `budget` attributes for each very person, by enumeration."""
    judge = setting.judge
    assert isinstance(judge, SimulatedJudge)  # noqa: S101 - `enumerable` has checked it
    masks = sets_within(len(setting.schema), min(setting.budget, len(setting.schema)))
    first, of = people(setting.test)
    table = exact_table(judge, [setting.test[i] for i in first.tolist()], masks)
    paths = []
    for i, person in enumerate(of.tolist()):
        known = masks & np.uint64(setting.test[i].askable) == masks  # the rest only costs questions
        values = np.where(known, table[person], -np.inf)
        paths.append(_best_order(_indices(int(masks[values.argmax()])), masks, values))
    return paths


def _best_order(members: tuple[int, ...], masks: np.ndarray, values: np.ndarray) -> tuple[int, ...]:
    """Order a set for the highest mean score of its prefixes: the path rule as `dropout` goes to 0."""
    column = {int(mask): k for k, mask in enumerate(masks)}

    def total(order: tuple[int, ...]) -> float:
        prefixes = itertools.accumulate(1 << a for a in order)
        return sum(float(values[column[prefix]]) for prefix in prefixes)

    return max(itertools.permutations(members), key=total)
