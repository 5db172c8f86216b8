"""The simulated judge: a function of levels and domain, bounded, the same everywhere, and twice the same."""

import dataclasses
import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.judges.simulated import SimulatedJudge
from envs.judges.simulated.bisection import bisected
from envs.judges.simulated.parameters import PUBLISHED_GAINS, REFERENCE, Parameters
from envs.judges.simulated.people import JudgedPeople, draw_of_schema
from envs.judges.simulated.presets import PRESETS
from envs.loading import load_bundled
from envs.scenario import DOMAINS, Scenario
from envs.schema import Schema, penguin_schema
from envs.schema.attribute import Attribute, Level

KINDS = sorted(PRESETS)
ALL_SETS = np.arange(1 << 10, dtype=np.uint64)
SHARES = (0.66, 1.03, 1.31)


def everything(judge, scenario):
    return judge.dimensions(scenario, ALL_SETS)


def through_surface(judge, scenario, masks):
    function, params = judge.surface(scenario)
    return np.array([function(mask, params) for mask in masks])


def person_of(judge, scenario):
    """Return what the judge makes of one person, without the axis of people."""
    return JudgedPeople(*(part[0] for part in judge._people([scenario])))


def digest():
    """One hash of both judges' every number over the bundled people, and of some noise."""
    found = hashlib.sha256()
    for kind in KINDS:
        judge, noisy = SimulatedJudge(kind, 3), SimulatedJudge(kind, 3, noise_std=0.2, seed=5)
        for scenario in load_bundled()[::5]:
            found.update(everything(judge, scenario).tobytes())
            scores = noisy.score(scenario, [("Age",), ("Age", "Gender")], [0, 7])
            found.update(np.array([s.value for s in scores]).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_bundled_scores_are_in_range_and_the_compiled_twin_agrees(kind):
    judge = SimulatedJudge(kind, 1)
    for scenario in load_bundled():
        dimensions = everything(judge, scenario)
        assert dimensions.min() >= 1.0
        assert dimensions.max() <= 4.9
        # To the last bit: what a search finds on the surface is kept as the judge's own score.
        mean = through_surface(judge, scenario, ALL_SETS)
        assert mean.tolist() == ((dimensions[:, 0] + dimensions[:, 1] + dimensions[:, 2]) / 3).tolist()


@st.composite
def people(draw):
    """A schema of up to 64 attributes, published ones among them, and a person with gaps and free words."""
    own = [
        Attribute(f"thing {i}", "?", levels=tuple(Level(f"level {j}", (f"word {j}",)) for j in range(i % 5)))
        for i in range(64)
    ]
    pool = [*penguin_schema().attributes, *own]
    chosen = draw(st.lists(st.sampled_from(range(len(pool))), min_size=1, max_size=64, unique=True))
    schema = Schema([pool[i] for i in chosen])
    profile = {}
    for attribute in schema.attributes:
        words = [phrase for level in attribute.levels for phrase in level.phrases[:1]] + ["17", "qqq", ""]
        profile[attribute.name] = draw(st.sampled_from(words))
    masks = draw(st.lists(st.integers(0, (1 << len(schema)) - 1), min_size=1, max_size=8))
    scenario = Scenario("x", draw(st.sampled_from(DOMAINS)), "?", profile, schema)
    return scenario, np.array(masks, dtype=np.uint64)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=people(), kind=st.sampled_from(KINDS), seed=st.integers(0, 5))
def test_scores_of_any_schema_are_in_range_and_the_compiled_twin_agrees(case, kind, seed):
    scenario, masks = case
    judge = SimulatedJudge(kind, seed)
    dimensions = judge.dimensions(scenario, masks)
    assert dimensions.min() >= 1.0
    assert dimensions.max() <= 4.9
    named = judge.score(scenario, [scenario.schema.names_of(mask) for mask in masks])
    alone = [judge.score(scenario, [scenario.schema.names_of(mask)])[0].value for mask in masks]
    values = [s.value for s in named]
    np.testing.assert_allclose(values, dimensions.mean(axis=1), rtol=0, atol=1e-12)
    # The same bits in any company, by names, by masks and compiled.
    assert alone == values
    assert judge.score_sets(scenario, masks, np.zeros(len(masks), np.int64)).tolist() == values
    assert through_surface(judge, scenario, masks).tolist() == values
    np.testing.assert_array_equal(dimensions, judge.dimensions(scenario, masks & np.uint64(scenario.askable)))


def test_sets_as_masks_and_as_names_score_the_same_with_noise_and_over_draws():
    rng = np.random.default_rng(0)
    masks, samples = rng.choice(ALL_SETS, 40), rng.integers(0, 3, 40)
    for judge in (SimulatedJudge("varied", noise_std=0.3, seed=2), SimulatedJudge("published", draws=3)):
        for scenario in load_bundled()[::30]:
            named = judge.score(scenario, [scenario.schema.names_of(m) for m in masks], samples.tolist())
            assert judge.score_sets(scenario, masks, samples).tolist() == [s.value for s in named]
            if not judge.stochastic:
                assert through_surface(judge, scenario, masks).tolist() == [s.value for s in named]


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_sets_of_many_people_score_as_those_of_one(noise):
    people, rng = load_bundled()[::9], np.random.default_rng(0)
    owners, masks = rng.integers(len(people), size=60), rng.integers(1 << 10, size=60).astype(np.uint64)
    samples = rng.integers(3, size=60)
    judge = SimulatedJudge("varied", 2, noise_std=noise, draws=2)
    found = judge.score_many(people, owners, masks, samples)
    for i, owner in enumerate(owners):
        assert judge.score_sets(people[owner], masks[i : i + 1], samples[i : i + 1]) == found[i]
    if not noise:
        function, params, starts = judge.surfaces(people)
        for i, owner in enumerate(owners):
            assert function(masks[i], params[starts[owner] : starts[owner + 1]]) == found[i]


@pytest.mark.parametrize("kind", KINDS)
def test_dimensions_follow_the_formula(kind):
    judge = SimulatedJudge(kind, 2)
    for scenario in load_bundled()[::20]:
        p, draw = person_of(judge, scenario), draw_of_schema(judge._parameters, scenario.schema)
        pairs = list(zip(draw.first, draw.second, p.pair, strict=True))
        assert pairs
        for mask in (0, 1, 0b1010010001, 1023):
            known = [i for i in range(10) if mask >> i & 1]
            both = sum(k for i, j, k in pairs if {i, j} <= set(known))
            lost = 1.0 - math.exp(-sum(p.harm[i] for i in known))
            for d in range(3):
                load = sum(p.load[i, d] for i in known) + both
                expected = p.base[d] + p.height[d] * (1.0 - math.exp(-load)) - (p.base[d] - 1.0) * lost
                found = judge.dimensions(scenario, np.array([mask], dtype=np.uint64))[0, d]
                assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_weights_give_the_published_single_gain_over_the_reference_population(kind, seed):
    preset = PRESETS[kind]
    parameters = Parameters(preset, seed, SHARES)
    for attribute in penguin_schema().attributes:
        drawn = parameters.attribute(attribute, 1.0)
        gain = 0.0
        for i, level in enumerate(attribute.levels):
            for domain in range(7):
                mean = np.mean(np.array(SHARES) * -np.expm1(-drawn.load[i, domain]))
                harm = (preset.base - 1.0) * -math.expm1(-drawn.harm[i, domain])
                gain += REFERENCE[attribute.name][level.name] / 7 * (parameters.height * mean - harm)
        assert gain == pytest.approx(PUBLISHED_GAINS[attribute.name], abs=1e-6)


def test_the_reference_population_is_a_population_of_the_schema():
    for attribute in penguin_schema().attributes:
        shares = REFERENCE[attribute.name]
        assert list(shares) == [level.name for level in attribute.levels]
        assert sum(shares.values()) == pytest.approx(1.0)


def test_every_process_draws_the_same():
    code = "import tests.envs.judges.test_simulated_judge as t; print(t.digest())"
    path = os.pathsep.join(filter(None, sys.path))
    found = {digest()}
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        found.add(done.stdout.strip())
    assert len(found) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_neither_id_nor_query_nor_earlier_questions_matter(kind):
    scenarios = load_bundled()[:12]
    judge = SimulatedJudge(kind)
    first = [everything(judge, s) for s in scenarios]
    for i in reversed(range(len(scenarios))):
        other = dataclasses.replace(scenarios[i], id=f"other {i}", query="Something else?")
        np.testing.assert_array_equal(everything(judge, other), first[i])
        np.testing.assert_array_equal(everything(SimulatedJudge(kind), other), first[i])
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("kind", KINDS)
def test_model_seed_and_preset_are_other_judges(kind):
    scenario = load_bundled()[0]
    found = [everything(SimulatedJudge(kind, seed), scenario) for seed in range(4)]
    found.append(everything(SimulatedJudge(next(k for k in KINDS if k != kind)), scenario))
    assert len({f.tobytes() for f in found}) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_level_matters_and_so_does_the_domain(kind):
    base = dict(load_bundled()[0].profile)
    without = Scenario("x", "health", "?", base | {"Past Self-Harm History": "None"})
    recent = Scenario("x", "health", "?", base | {"Past Self-Harm History": "Attempted suicide last month"})
    elsewhere = Scenario("x", "career", "?", dict(without.profile))
    assert without.codes[8] != recent.codes[8]
    assert min(without.codes[8], recent.codes[8]) >= 0
    judge = SimulatedJudge(kind)
    known = np.array([1 << 8], dtype=np.uint64)
    gains = [
        float((judge.dimensions(s, known) - judge.dimensions(s, known * np.uint64(0))).mean())
        for s in (without, recent, elsewhere)
    ]
    assert min(abs(gains[0] - gains[1]), abs(gains[0] - gains[2])) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_grave_level_weighs_more_on_average_over_judges(kind):
    scores = []
    for words in ("None", "Attempted suicide last month"):
        scenario = Scenario("x", "health", "?", {"Past Self-Harm History": words})
        judges = [SimulatedJudge(kind, seed) for seed in range(60)]
        scores.append([person_of(j, scenario).load[8].mean() for j in judges])
    assert np.mean(np.log(scores[1])) > np.mean(np.log(scores[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_words_that_no_level_names_are_neutral(kind):
    judge = SimulatedJudge(kind)
    names = penguin_schema().names
    one = Scenario("x", "health", "?", dict.fromkeys(names, "qqq"))
    two = Scenario("x", "health", "?", dict.fromkeys(names, "zzz"))
    assert (one.codes == -1).all()
    assert one.askable == 1023
    np.testing.assert_array_equal(everything(judge, one), everything(judge, two))
    neutral = person_of(judge, one)
    assert neutral.base.mean() == pytest.approx(PRESETS[kind].base)
    assert not neutral.harm.any()
    # To know them helps, as an average level would; every set is worth more than any of its subsets.
    scores = everything(judge, one).mean(axis=1)
    for i in range(10):
        rest = ALL_SETS[(ALL_SETS >> np.uint64(i)) & np.uint64(1) == 0].astype(int)
        assert (scores[rest | 1 << i] > scores[rest]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [None, "", " unknown ", "Not specified"])
def test_a_missing_value_contributes_nothing(kind, missing):
    judge = SimulatedJudge(kind)
    profile = dict(load_bundled()[3].profile)
    scenario = Scenario("x", "social", "?", profile | {"Emotional State": missing})
    i = penguin_schema().index("Emotional State")
    scores = everything(judge, scenario)
    np.testing.assert_array_equal(scores, scores[ALL_SETS & ~np.uint64(1 << i)])
    absent = Scenario("x", "social", "?", {k: v for k, v in profile.items() if k != "Emotional State"})
    np.testing.assert_array_equal(scores, everything(judge, absent))


@pytest.mark.parametrize("kind", KINDS)
def test_another_attribute_changes_no_draw_of_the_ten(kind):
    judge = SimulatedJudge(kind, 4)
    ten = penguin_schema().attributes
    extra = Attribute("Housing", "?", levels=(Level("rents", ("rents",)), Level("owns", ("owns",))))
    for attributes, at in (((*ten, extra), 10), ((extra, *ten), 0)):
        schema = Schema(attributes)
        for scenario in load_bundled()[::20]:
            wider = dataclasses.replace(scenario, schema=schema)
            masks = ALL_SETS << np.uint64(1) if at == 0 else ALL_SETS
            np.testing.assert_allclose(
                judge.dimensions(wider, masks), everything(judge, scenario), atol=1e-12
            )
            answered = dataclasses.replace(wider, profile={**scenario.profile, "Housing": "rents"})
            few, more = person_of(judge, scenario), person_of(judge, answered)
            np.testing.assert_array_equal(np.delete(more.load, at, axis=0), few.load)
            np.testing.assert_array_equal(np.delete(more.harm, at), few.harm)
            assert more.load[at].min() > 0.0


@given(
    root=st.floats(-6.0, 8.0),
    steep=st.sampled_from([1e-3, 0.3, 1.0, 40.0]),
    curved=st.sampled_from([0.0, 0.5]),
)
def test_a_weight_is_where_forty_bisections_end(root, steep, curved):
    def rising(x):
        return math.tanh(steep * (x - root)) + curved * (x - root) ** 3

    low, high = -5.0, 7.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    assert bisected(rising, -5.0, 7.0) == 0.5 * (low + high)
