"""Scenarios and judges by name or file: the environment they make, and errors in one line."""

import json

import gymnasium
import pytest
from gymnasium.utils.env_checker import data_equivalence

from envs import UserError
from envs.acquisition.named_parts import JUDGES, judge_of
from envs.acquisition_env import AttributeAcquisitionEnv
from envs.judges.simulated import SimulatedJudge
from envs.loading import load_bundled
from tests.envs.acquisition.acquisition_cases import Additive

ENV = "envs/AttributeAcquisition-v0"


@pytest.fixture
def files(tmp_path):
    """A scenario file and a judge's file."""
    scenarios, judge = tmp_path / "people.jsonl", tmp_path / "judge.yaml"
    rows = [
        {"id": s.id, "domain": s.domain, "query": s.query, "profile": dict(s.profile)}
        for s in load_bundled()[:3]
    ]
    scenarios.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judge.write_text(
        "_target_: envs.judges.simulated.SimulatedJudge\npreset: varied\nnoise_std: 0.1\n", encoding="utf-8"
    )
    return str(scenarios), str(judge)


def test_a_specification_of_files_makes_the_same_environment(files):
    scenarios, judge = files
    env = gymnasium.make(ENV, scenarios=scenarios, judge=judge, budget=3)
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    judge = SimulatedJudge("varied", noise_std=0.1)
    of_objects = AttributeAcquisitionEnv(load_bundled()[:3], judge, budget=3)
    for seed in range(5):
        found = again.reset(seed=seed)
        assert data_equivalence(found, env.reset(seed=seed), exact=True)
        assert data_equivalence(found, of_objects.reset(seed=seed), exact=True)
        assert data_equivalence(again.step(1), of_objects.step(1), exact=True)


@pytest.mark.parametrize("name", JUDGES)
def test_every_name_is_a_judge(name):
    scenario = load_bundled()[0]
    assert len(judge_of(name).score(scenario, [(), ("Age",)])) == 2


def test_a_judge_stays_itself():
    judge = Additive()
    assert judge_of(judge) is judge


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "mapping"),
        ("preset: varied", "_target_: found None"),
        ("_target_: nowhere.at.all.Judge", "cannot be imported"),
        ("_target_: envs.judges.simulated.NoJudge", "cannot be imported"),
        ("_target_: 'not a path'", "cannot be imported"),
        ("{_target_: envs.judges.simulated.SimulatedJudge, presets: varied}", "'presets'"),
        ("{_target_: envs.judges.simulated.SimulatedJudge, preset: none}", "judge.preset"),
        ("_target_: collections.OrderedDict", "no class with a method score"),
        ("_target_: envs.MISSING_THING", "cannot be imported"),
        ("_target_: sys.version", "no class with"),
        ("_target_: os.abort", "no class with"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path, content, told):
    path = tmp_path / "judge.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"^[^\n]*$") as caught:
        judge_of(path)
    assert told in str(caught.value)


@pytest.mark.parametrize("given", ["nobody", "nobody.yaml", 3, None])
def test_no_judge_is_told_in_one_line(given):
    with pytest.raises(UserError, match=r"^[^\n]*nobody[^\n]*$|^judge: found a [^\n]*expected[^\n]*$"):
        judge_of(given)
