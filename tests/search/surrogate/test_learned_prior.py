"""The prior learned from an earlier run's paths: effects by hand, and what it is worth."""

from dataclasses import replace

import numpy as np
import pytest

from envs import Scenario, UserError
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from envs.rankings import rank_weights
from search.algorithms.exhaustive import ExhaustiveSearch
from search.algorithms.mcts import MCTSSearch
from search.path_table import PathTable
from search.rollouts import plan
from search.surrogate.learned_prior import DOMAIN_SD, EFFECT_SD, NOISE_SD, PathTablePrior, learn_effects

SCENARIOS = load_bundled()


(PLANNED,) = plan(SCENARIOS[:1], SimulatedJudge(), MCTSSearch(5), budget=1)


def record(domain, path, scores):
    return replace(PLANNED, domain=domain, path=tuple(path), path_scores=tuple(scores), score=scores[-1])


def table(tmp_path, records):
    PathTable.from_records(records, {}).save(tmp_path / "paths.parquet")
    return str(tmp_path / "paths.parquet")


def test_one_attribute_is_shrunk_as_derived_by_hand():
    """k gains of g in one domain: effect of the domain = g (u + v) / (u + v + w / k), shares u : v.

    u, v, w: variances of effect, of the domain's part, of the noise.
    """
    u, v, w = EFFECT_SD**2, DOMAIN_SD**2, NOISE_SD**2
    for k in (1, 5):
        found = learn_effects([record("health", ["Age"], [2.0, 3.0])] * k)
        total = (u + v) / (u + v + w / k)
        assert found["health"]["Age"] == pytest.approx(total)
        assert found["all"]["Age"] == pytest.approx(total * u / (u + v))


def test_a_long_path_is_taken_apart():
    """Many prefixes of exact sums: the effects are the gains."""
    paths = [["Age", "Gender"], ["Gender", "Age"], ["Age"], ["Gender"]]
    gain = {"Age": 0.5, "Gender": -0.2}
    records = [
        record("career", path, [3.0, *(3.0 + sum(gain[n] for n in path[: i + 1]) for i in range(len(path)))])
        for path in paths * 100
    ]
    found = learn_effects(records)["career"]
    assert found == pytest.approx(gain, abs=0.002)


def test_unscored_prefixes_teach_nothing():
    assert learn_effects([record("health", ["Age"], [None, 3.0])]) == {}
    assert learn_effects([record("health", [], [3.0])]) == {}
    gap = learn_effects([record("health", ["Age", "Gender"], [2.0, None, 3.0])])
    assert gap["health"]["Age"] == pytest.approx(gap["health"]["Gender"])


def test_weights_follow_the_ranks_and_unseen_attributes_share_theirs(tmp_path):
    made = [record("health", ["Gender"], [2.0, 3.0]), record("career", ["Age"], [3.0, 2.0])]
    ask = PathTablePrior(table(tmp_path, made), temperature=1.0)
    person = dict.fromkeys(SCENARIOS[0].schema.names, "x")
    found = ask(Scenario("s", "health", "q", person), 0)
    # Gender first, Age (harmful elsewhere, so a little here) last, the eight others share ranks 1 to 8.
    ranks = np.full(10, 4.5)
    ranks[[0, 1]] = 9.0, 0.0
    assert found == pytest.approx(rank_weights(ranks, 1.0))
    unknown = ask(Scenario("s", "social", "q", person), 0)  # no path of this domain
    assert unknown == pytest.approx(rank_weights(ranks, 1.0))


def test_what_there_is_nothing_to_learn_from_is_told(tmp_path):
    with pytest.raises(UserError, match=r"prior\.paths: found none"):
        PathTablePrior()
    with pytest.raises(UserError, match=r"absent"):
        PathTablePrior(str(tmp_path / "absent"))
    path = table(tmp_path, [record("health", [], [3.0])])
    with pytest.raises(UserError, match=r"prior\.paths=.*no path has scores"):
        PathTablePrior(path)
    with pytest.raises(UserError, match=r"prior\.temperature: found 0"):
        PathTablePrior(path, temperature=0)


def test_on_other_scenarios_of_the_published_preset_it_halves_the_simulations(tmp_path):
    """SIMULATED: learned from every other scenario, tried on the rest, 15 simulations against 30."""
    judge = SimulatedJudge()
    earlier = list(plan(SCENARIOS[::2], judge, MCTSSearch(100), budget=4))
    ask = PathTablePrior(table(tmp_path, earlier))
    rest = SCENARIOS[1::2]
    best = list(plan(rest, judge, ExhaustiveSearch(), budget=4))

    def missed(n_simulations, prior):
        plans = plan(rest, judge, MCTSSearch(n_simulations), budget=4, prior=prior)
        return sum(b.score - p.score for b, p in zip(best, plans, strict=True))

    assert missed(15, ask) < missed(30, None) < missed(15, None)
