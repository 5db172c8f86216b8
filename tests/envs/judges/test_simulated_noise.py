"""The simulated judge's noise: counter-based, true in the mean, and what its constructor refuses."""

import dataclasses
import math

import numpy as np
import pytest

from envs.errors import UserError
from envs.judges.simulated import SimulatedJudge
from envs.judges.simulated.presets import PRESETS
from envs.loading import load_bundled

KINDS = sorted(PRESETS)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_depends_on_seed_scenario_set_and_sample_alone(kind):
    scenario = load_bundled()[0]
    names = scenario.schema.names
    asked = [((), 0), (names[:1], 0), (names[:1], 1), (names[:3], 0), (names[2:], 9)]
    judge = SimulatedJudge(kind, noise_std=0.3, seed=1)
    assert judge.stochastic
    assert judge.surface(scenario) is None

    def values(judge, asked, scenario=scenario):
        return judge.score(scenario, [names for names, _ in asked], [sample for _, sample in asked])

    whole = values(judge, asked)
    assert whole == values(judge, asked[::-1])[::-1]
    assert whole == [values(SimulatedJudge(kind, noise_std=0.3, seed=1), [one])[0] for one in asked]
    assert whole[1] != whole[2]
    assert values(SimulatedJudge(kind, noise_std=0.3, seed=2), asked)[0] != whole[0]
    renamed = dataclasses.replace(scenario, id="another")
    assert values(judge, asked, renamed)[0] != whole[0]
    # Not on what cannot be known: with a missing value in it a set is the set without it.
    gap = dataclasses.replace(scenario, profile=dict(scenario.profile) | {names[1]: ""})
    assert values(judge, [(names[:2], 0)], gap) == values(judge, [(names[:1], 0)], gap)
    exact = SimulatedJudge(kind)
    assert not exact.stochastic
    assert values(exact, [(names[:1], 0), (names[:1], 1)])[0] == values(exact, [(names[:1], 1)])[0]


@pytest.mark.parametrize("noise_std", [0.17, 1.5])
def test_noise_has_the_true_mean_and_its_spread_away_from_the_edges(noise_std):
    scenario = load_bundled()[0]
    n, context = 4000, ("Age",)
    judge = SimulatedJudge(noise_std=noise_std, seed=3)
    scores = judge.score(scenario, [context] * n, range(n))
    drawn = np.array([[s.risk_sensitivity, s.emotional_empathy, s.personalization] for s in scores])
    assert drawn.min() >= 1.0
    assert drawn.max() <= 5.0
    true = judge.dimensions(scenario, np.array([1], dtype=np.uint64))[0]
    assert np.abs(drawn.mean(axis=0) - true).max() < 4.5 * drawn.std() / math.sqrt(n)
    spread = drawn.mean(axis=1).std()
    if noise_std < 0.2:
        assert spread == pytest.approx(noise_std, rel=0.05)
        assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.07
    else:
        assert spread < noise_std


@pytest.mark.parametrize("preset", ["", "Published", "simulated"])
def test_an_unknown_preset_is_refused(preset):
    with pytest.raises(UserError, match=r"judge\.preset: found .*, expected one of published, varied"):
        SimulatedJudge(preset)


@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf])
def test_a_bad_noise_is_refused(noise):
    with pytest.raises(UserError, match=r"judge\.noise_std: found .*, expected a finite number >= 0"):
        SimulatedJudge(noise_std=noise)
