"""What judges and priors declare beyond their one method, read once by `describe`."""

import pickle
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import numpy as np
import pytest

from envs import UserError
from envs.judges.llm import LLMJudge
from envs.judges.protocol import Capabilities, Surface, describe
from envs.judges.simulated import SimulatedJudge
from envs.llm import Limits
from envs.llm.engine import Spent
from envs.loading import load_bundled


class Bare:
    """A judge as the contract has it: `score`, and nothing else."""

    def score(self, scenario, contexts):
        return [3.0 for _ in contexts]


def with_(**declared):
    """Return a judge that declares `declared`."""
    judge = Bare()
    vars(judge).update(declared)
    return judge


def test_a_bare_class_can_do_nothing_more():
    found = describe(Bare())
    assert found.name == "Bare"
    assert (found.stochastic, found.simulated, found.concurrent_plans) == (False, False, 1)
    assert (found.model_seed, found.ranking_depth, found.resume_ignored) == (None, 1, ())
    for absent in ("surface", "shard", "preflight", "provenance", "warm_up", "request_costs", "limits"):
        assert getattr(found, absent) is None
    assert found.counts() == (0, 0, 0)
    assert found.spent() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "mine"),
        ("stochastic", True),
        ("simulated", True),
        ("model_seed", 7),
        ("concurrent_plans", 4),
        ("ranking_depth", 2),
        ("resume_ignored", ("base_url", "cache")),
        ("surface", lambda scenario: None),
        ("shard", lambda workers: Bare()),
        ("preflight", lambda folder, scenario: None),
        ("provenance", lambda: {"prompts": "abc"}),
        ("warm_up", lambda: None),
        ("request_costs", lambda scenario, names: []),
    ],
)
def test_each_capability_is_read_under_its_own_name(name, value):
    judge, bare = with_(**{name: value}), describe(Bare())
    found = describe(judge)
    assert getattr(found, name) == value
    others = {field.name for field in fields(Capabilities)} - {name, "_declared", "limits"}
    assert all(getattr(found, other) == getattr(bare, other) for other in others)


def test_numbers_of_numpy_are_numbers():
    found = describe(with_(stochastic=np.True_, concurrent_plans=np.int64(3), requests=np.int32(5)))
    assert (found.stochastic, found.concurrent_plans, found.counts().requests) == (True, 3, 5)


def test_none_and_nobody_declare_nothing():
    absent = dict.fromkeys(
        ("name", "stochastic", "concurrent_plans", "surface", "resume_ignored", "requests")
    )
    assert describe(with_(**absent)).surface is None
    assert describe(with_(**absent)).concurrent_plans == 1
    assert describe(None, "prior").counts() == (0, 0, 0)


def test_counts_are_read_as_of_now():
    judge = with_(requests=2, cache_hits=1)
    found = describe(judge)
    judge.requests, judge.spent = 5, Spent(requests=9)
    assert found.counts() == (5, 1, 0)
    assert found.spent().requests == 9


def test_limits_are_those_of_what_costs_something():
    limits = Limits(max_requests=5)
    assert describe(with_(limits=limits)).limits is None
    assert describe(with_(limits=limits, request_costs=lambda s, n: [])).limits is limits
    assert describe(with_(request_costs=lambda s, n: [])).limits.max_requests is None


WRONG = {
    "name": (5, "name is 5, expected a string"),
    "stochastic": ("yes", "stochastic is 'yes', expected true or false"),
    "simulated": (Bare.score, "simulated is a function, expected true or false"),
    "model_seed": ("a", "model_seed is 'a', expected an integer >= 0"),
    "concurrent_plans": (0, "concurrent_plans is 0, expected an integer >= 1"),
    "ranking_depth": (1.5, "ranking_depth is 1.5, expected an integer >= 1"),
    "resume_ignored": ("base_url", "resume_ignored is 'base_url', expected a collection of names"),
    "surface": (Surface(None, np.zeros(1)), "surface is a Surface, expected a method surface(scenario)"),
    "score_sets": (1, "score_sets is 1, expected a method score_sets(scenario, masks, samples)"),
    "shard": (2, "shard is 2, expected a method shard(workers)"),
    "preflight": (True, "preflight is True, expected a method preflight(folder, scenario)"),
    "provenance": ({"prompts": "zebra"}, "provenance is a dict, expected a method provenance()"),
    "warm_up": ([], "warm_up is a list, expected a method warm_up()"),
    "request_costs": (0.1, "request_costs is 0.1, expected a method request_costs(scenario, names)"),
    "requests": ([1, 2], "requests is a list, expected an integer >= 0"),
    "cache_hits": (-1, "cache_hits is -1, expected an integer >= 0"),
}


def test_a_subclass_with_a_score_of_its_own_is_asked_by_it():
    class Counting(SimulatedJudge):
        def score(self, scenario, contexts):
            return [3.0 for _ in contexts]

    class InArrays(Counting):
        def score_sets(self, scenario, masks, samples):
            return np.full(len(masks), 4.0)

    assert describe(SimulatedJudge()).score_sets is not None
    assert describe(Counting()).score_sets is None
    assert describe(SimulatedJudge()).surface is not None
    assert describe(Counting()).surface is None
    assert describe(InArrays()).score_sets is not None


@pytest.mark.parametrize("name", WRONG)
def test_a_capability_of_a_wrong_type_is_one_clear_error(name):
    value, words = WRONG[name]
    with pytest.raises(UserError) as error:
        describe(with_(**{name: value}))
    message = str(error.value)
    assert message.startswith(f"judge Bare: {words}")
    assert "zebra" not in message
    assert "\n" not in message


def test_the_error_says_whether_it_is_the_prior():
    with pytest.raises(UserError, match="prior Bare: shard is 2"):
        describe(with_(shard=2), "prior")


def test_capabilities_do_not_change():
    with pytest.raises(FrozenInstanceError):
        describe(Bare()).stochastic = True


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_simulated_judge(noise):
    judge, scenario = SimulatedJudge(noise_std=noise, model_seed=3), load_bundled()[0]
    found = describe(judge)
    assert (found.stochastic, found.simulated, found.model_seed) == (noise > 0, True, 3)
    assert (found.surface(scenario) is None) == (noise > 0)
    assert found.shard is None


def test_a_paid_judge_and_its_share(tmp_path):
    cache = str(tmp_path / "cache.sqlite")
    judge = LLMJudge("m", "http://localhost:9/v1", cache=cache, max_in_flight=8, max_requests=40)
    found = describe(judge)
    assert (found.name, found.simulated, found.concurrent_plans) == ("openai:m", False, 8)
    assert found.limits.max_requests == 40
    assert "base_url" in found.resume_ignored
    assert found.preflight is not None
    assert found.provenance()["stochastic"] is found.stochastic is True
    scenario = load_bundled()[0]
    assert len(found.request_costs(scenario, scenario.schema.names[:2])) == 2  # a response and its rating
    share = pickle.loads(pickle.dumps(found.shard(4)))  # noqa: S301 - as a worker gets it
    assert describe(share).limits.max_requests == 40  # of all together
    assert (describe(judge).concurrent_plans, describe(share).concurrent_plans) == (8, 2)
    assert Path(share.cache_path) == Path(judge.cache_path)
