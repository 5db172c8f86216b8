"""Landscapes against their formulas written out in loops; bounds, noise, and what domains share."""

import itertools
import math

import numpy as np
import pytest

from envs import Attribute, Scenario, Schema, UserError
from envs.judges.landscapes import LANDSCAPES, NEEDLE_SIZE, LandscapeJudge

KINDS = tuple(LANDSCAPES)


def scenario(n=6, name="s", domain="health", missing=()):
    schema = Schema(Attribute(f"a{i:02d}", "?") for i in range(n))
    profile = {a: "yes" for i, a in enumerate(schema.names) if i not in missing}
    return Scenario(name, domain, "", profile, schema)


def all_masks(n):
    return np.arange(1 << n, dtype=np.uint64)


def naive(kind, draws, known):
    """The formulas of the module's docstring for one set of indices."""
    if kind == "additive":
        return 2.0 + sum(draws[0][a] for a in known)
    if kind == "pair_complement":
        weights, pairs = draws
        total = 1.5 + sum(weights[a] for a in known)
        return total + sum(k for i, j, k in pairs if int(i) in known and int(j) in known)
    if kind == "coverage":
        covers, values = draws
        total = 0.0
        for topic, value in enumerate(values):
            total += value / values.sum() * (1 - math.prod(1 - covers[a, topic] for a in known))
        return 2.0 + 2.8 * total
    if kind == "needle":
        return 4.5 if set(draws[0][0].tolist()) <= set(known) else 2.0
    weights, pairs, spread = draws
    x = sum(weights[a] for a in known) / weights.sum()
    for strength, (i, j) in zip(pairs, itertools.combinations(range(len(weights)), 2), strict=True):
        x += spread[0] * strength * (i in known and j in known)
    return 2.8 + 1.4 * math.tanh(1.3 * x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model_seed", [0, 1, 2])
def test_scores_are_the_formula_cut_at_the_scale(kind, model_seed):
    judge, person = LandscapeJudge(kind, model_seed), scenario()
    draws = judge.draws(person)
    found = judge.truth(person, all_masks(6))
    for mask, score in enumerate(found.tolist()):
        known = [i for i in range(6) if mask >> i & 1]
        assert score == pytest.approx(min(max(naive(kind, draws, known), 1.0), 5.0), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 10, 40, 64])
def test_scores_lie_on_the_scale_and_equal_score(kind, n):
    judge, person = LandscapeJudge(kind, 3), scenario(n)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 1 << min(n, 62), 50).tolist()
    masks = np.array([0, (1 << n) - 1, *drawn], dtype=np.uint64)
    found = judge.truth(person, masks)
    assert found.min() >= 1.0
    assert found.max() <= 5.0
    assert judge.score(person, [person.schema.names_of(mask) for mask in masks]) == found.tolist()


def test_drawn_parameters_are_those_of_the_docstring():
    """Moments over many people; tolerances of four standard errors."""
    people = [scenario(10, f"p{i}") for i in range(400)]

    def pooled(kind, part):
        judge = LandscapeJudge(kind)
        return np.concatenate([judge.draws(p)[part].ravel() for p in people])

    additive = pooled("additive", 0)
    assert additive.mean() == pytest.approx(0.2, abs=0.013)
    assert additive.std() == pytest.approx(0.2, abs=0.01)
    spread = pooled("sketch", 2)
    assert 0.015 <= spread.min() < 0.017
    assert 0.038 < spread.max() <= 0.04
    assert pooled("sketch", 0).mean() == pytest.approx(1.0, abs=0.064)
    covers = pooled("coverage", 0)
    assert (covers > 0).mean() == pytest.approx(0.15, abs=0.006)
    assert covers[covers > 0].min() >= 0.3
    assert covers.max() < 1.0
    pairs = np.concatenate([LandscapeJudge("pair_complement").draws(p)[1] for p in people])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert 0.2 <= pairs[:, 2].min() < pairs[:, 2].max() <= 1.0
    # every ordered pair of distinct attributes is as likely as any other: 4,000 draws of 90
    counts = np.unique(pairs[:, 0] * 10 + pairs[:, 1], return_counts=True)[1]
    assert len(counts) == 90
    assert ((counts - 4000 / 90) ** 2 / (4000 / 90)).sum() < 148  # chi-square, 89 degrees, p = 1e-4


def test_needle_is_one_set_of_four_and_nothing_else_tells():
    person = scenario(10)
    found = LandscapeJudge("needle", 5).truth(person, all_masks(10))
    fours = [m for m in range(1 << 10) if m.bit_count() == NEEDLE_SIZE and found[m] > 2.0]
    assert len(fours) == 1
    assert {m for m in range(1 << 10) if found[m] > 2.0} == {
        m for m in range(1 << 10) if m & fours[0] == fours[0]
    }
    assert set(found.tolist()) == {2.0, 4.5}


def test_coverage_is_monotone_and_submodular():
    found = LandscapeJudge("coverage", 1).truth(scenario(7), all_masks(7))
    for mask in range(1 << 7):
        for a, b in itertools.permutations([i for i in range(7) if not mask >> i & 1], 2):
            gain = found[mask | 1 << a] - found[mask]
            assert gain >= -1e-12
            assert found[mask | 1 << a | 1 << b] - found[mask | 1 << b] <= gain + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_draws_depend_on_judge_and_person_alone(kind):
    def found(model_seed=0, **changes):
        return LandscapeJudge(kind, model_seed).truth(scenario(**changes), all_masks(6)).tolist()

    assert found() == found()
    assert found() == found(domain="career")
    assert found() != found(model_seed=1)
    assert found() != found(name="t")


def test_a_value_that_is_missing_adds_nothing():
    judge = LandscapeJudge("additive")
    found = judge.truth(scenario(missing=[2]), all_masks(6))
    whole = judge.truth(scenario(), all_masks(6))
    for mask in range(1 << 6):
        assert found[mask] == whole[mask & ~(1 << 2)]


@pytest.mark.parametrize("kind", ["additive", "sketch", "coverage"])
def test_truth_is_the_mean_over_many_samples(kind):
    judge, person = LandscapeJudge(kind, 2, noise_std=0.3, seed=7), scenario()
    names = person.schema.names_of(0b1011)
    looks = judge.score(person, [names] * 4000, range(4000))
    true = float(judge.truth(person, np.array([0b1011], np.uint64))[0])
    assert judge.stochastic
    assert np.mean(looks) == pytest.approx(true, abs=4 * 0.3 / math.sqrt(4000))
    assert np.std(looks) == pytest.approx(0.3, abs=0.015)
    assert min(looks) >= 1.0
    assert max(looks) <= 5.0


def test_noise_next_to_the_edge_of_the_scale_keeps_the_mean():
    class Edge(LandscapeJudge):
        def truth(self, scenario, masks):
            return np.full(len(masks), 4.9)

    looks = Edge("sketch", noise_std=0.6).score(scenario(), [()] * 3000, range(3000))
    assert max(looks) <= 5.0
    assert min(looks) >= 4.8
    assert np.mean(looks) == pytest.approx(4.9, abs=4 * 0.1 / math.sqrt(3000))


def test_noise_is_a_function_of_its_key():
    person = scenario()
    names = person.schema.names

    def one(seed=0, contexts=(names[:2],), samples=(0,), who=person):
        return LandscapeJudge("additive", noise_std=0.3, seed=seed).score(who, list(contexts), list(samples))

    assert one() == one()
    assert one() == one(contexts=[(names[1], names[0])])
    assert one() == LandscapeJudge("additive", noise_std=0.3).score(person, [names[:2]])
    assert one() != one(seed=1)
    assert one() != one(samples=[1])
    both = one(contexts=[names[:2], names[2:3]], samples=[0, 5])
    assert both == one() + one(contexts=[names[2:3]], samples=[5])


@pytest.mark.parametrize("kind", ["additive", "sketch", "pair_complement", "coverage"])
def test_shared_is_the_chance_that_a_draw_is_the_domains(kind):
    people = [scenario(20, f"p{i}", domain) for domain in ("health", "career") for i in range(30)]

    def first_weights(shared):
        judge = LandscapeJudge(kind, shared=shared)
        rows = [judge.draws(p)[0].reshape(20, -1)[:, 0] for p in people]
        return np.array(rows).reshape(2, 30, 20)

    own, half, whole = first_weights(0.0), first_weights(0.5), first_weights(1.0)
    assert (whole == whole[:, :1]).all()
    assert (whole[0] != whole[1]).any()
    domain = whole[:, :1]
    differs = own != domain  # two draws of 0 are equal by chance
    assert np.mean((half == domain)[differs]) == pytest.approx(0.5, abs=0.06)
    assert ((half == own) | (half == domain)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "flat"}, r"judge\.kind: found 'flat', expected one of additive"),
        ({"noise_std": -0.1}, r"judge\.noise_std: found -0\.1"),
        ({"noise_std": math.nan}, r"judge\.noise_std: found nan"),
        ({"shared": 1.5}, r"judge\.shared: found 1\.5"),
    ],
)
def test_mistakes_are_one_line(changes, message):
    with pytest.raises(UserError, match=message) as error:
        LandscapeJudge(**changes)
    assert "\n" not in str(error.value)
