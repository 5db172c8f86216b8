"""Profiles: immutable, picklable mappings that the queries of one person share."""

import copy
import pickle

import numpy as np
import pytest

from envs.loading import load_bundled
from envs.scenario import Profile, Scenario
from envs.schema import Schema, penguin_schema
from envs.schema.attribute import Attribute


def test_profile_is_an_immutable_mapping():
    values = {"Age": "34", "Gender": "Male"}
    profile = Profile(values)
    values["Age"] = "99"
    assert profile["Age"] == "34"
    assert profile == {"Age": "34", "Gender": "Male"}
    assert hash(profile) == hash(Profile({"Gender": "Male", "Age": "34"}))
    assert profile.get("Profession") is None
    assert dict(profile) == {**profile}
    with pytest.raises(TypeError):
        profile["Age"] = "1"
    assert repr(profile) == "Profile(2 attributes)"


def test_profile_and_scenario_survive_pickling_and_copying():
    cloudpickle = pytest.importorskip("cloudpickle")
    scenario = load_bundled()[0]
    codes = scenario.codes
    for twin in (
        pickle.loads(pickle.dumps(scenario)),  # noqa: S301
        cloudpickle.loads(cloudpickle.dumps(scenario)),
        copy.deepcopy(scenario),
    ):
        assert (twin.id, twin.query, twin.profile) == (scenario.id, scenario.query, scenario.profile)
        assert isinstance(twin.profile, Profile)
        np.testing.assert_array_equal(twin.codes, codes)
        assert twin.askable == scenario.askable


def test_scenario_takes_any_mapping_and_reads_it_by_its_own_schema():
    profile = Profile({"Age": "34", "Gender": "Male"})
    small = Schema([Attribute("Gender", "?")])
    whole, part = Scenario("a", "life", "?", profile), Scenario("b", "life", "?", profile, small)
    for _ in range(2):
        assert len(whole.codes) == 10
        assert len(part.codes) == 1
        assert (whole.askable, part.askable) == (3, 1)
    plain = Scenario("c", "life", "?", {"Age": "34"})
    assert plain.profile == {"Age": "34"}
    np.testing.assert_array_equal(whole.codes, penguin_schema().codes(profile))
    with pytest.raises(ValueError, match="read-only"):
        whole.codes[0] = 3
