"""A trained model as policy: it sees what the environment shows and asks what is legal."""

import json
import zipfile

import gymnasium
import numpy as np
import pytest

from envs import UserError
from envs.loading import load_bundled
from policies import Agent, converse
from policies.dialogue_state import DialogueState
from policies.plan_index import PlanIndex
from policies.sb3_policy import Sb3Policy
from tests.policies.policy_cases import dialogue as small_dialogue

ENV = "envs/AttributeAcquisition-v0"


def saved(folder, policy_class):
    path = folder / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps({"policy_class": policy_class}))
    return path


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda folder: folder / "none.zip", "no such file"),
        (lambda folder: saved(folder, {"__module__": "stable_baselines3.sac.policies"}), "another algorithm"),
        (lambda folder: saved(folder, "DQN"), "no saved model"),
    ],
)
def test_what_is_no_such_model_is_one_line(tmp_path, made, told):
    with pytest.raises(
        UserError, match=rf"^policy.model=[^\n]*{told}[^\n]*expected[^\n]*MaskablePPO or DQN$"
    ):
        Sb3Policy(str(made(tmp_path)))


@pytest.fixture(scope="module")
def shipped():
    pytest.importorskip("sb3_contrib", reason="needs the extra `rl`")
    return PlanIndex.load()


def trained(kind, folder, budget=3):
    """A model that learned for a moment: what counts is that its choices are those of its own predictions."""
    import sb3_contrib
    import stable_baselines3

    env = gymnasium.make(ENV, budget=budget)
    if kind == "MaskablePPO":
        model = sb3_contrib.MaskablePPO(
            "MultiInputPolicy", env, n_steps=32, batch_size=32, seed=0, device="cpu"
        )
    else:
        model = stable_baselines3.DQN("MultiInputPolicy", env, learning_starts=8, seed=0, device="cpu")
    model.learn(64)
    model.save(folder / "model.zip")
    return str(folder / "model.zip"), model


def state(index, scenario, known, left, domain):
    names = [n for n in scenario.schema.names if known >> scenario.schema.index(n) & 1]
    attributes = [scenario.schema.attributes[scenario.schema.index(n)] for n in names]
    codes = [int(scenario.codes[scenario.schema.index(n)]) for n in names]
    levels = {a.name: a.levels[c].name if c >= 0 else None for a, c in zip(attributes, codes, strict=True)}
    context = {n: scenario.profile[n] for n in names}
    nothing = index.rows(np.zeros(0, np.int64), np.zeros(0))
    return DialogueState(index, scenario.query, context, tuple(names), (), nothing, left, domain, levels)


@pytest.mark.parametrize("kind", ["MaskablePPO", "DQN"])
def test_it_sees_what_the_environment_shows_and_takes_the_models_best_legal_action(shipped, tmp_path, kind):
    path, model = trained(kind, tmp_path)
    policy, people = Sb3Policy(path), load_bundled()[:12]
    env = gymnasium.make(ENV, scenarios=people, budget=3)
    for i, scenario in enumerate(people):
        observation, info = env.reset(seed=i, options={"scenario": i})
        over, known, left = False, 0, 3
        while not over:
            dialogue = state(shipped, scenario, known, left, scenario.domain)
            seen = policy.observation(dialogue)
            assert {k: np.asarray(v).tolist() for k, v in seen.items()} == {
                k: np.asarray(v).tolist() for k, v in observation.items()
            }
            decision = policy.decide(dialogue)
            action = 10 if decision.attribute is None else scenario.schema.index(decision.attribute)
            if kind == "MaskablePPO":
                mask = info["action_mask"].astype(bool)
                assert action == int(model.predict(observation, action_masks=mask, deterministic=True)[0])
            else:
                assert info["action_mask"][action] == 1
                free = int(model.predict(observation, deterministic=True)[0])
                assert action == free or info["action_mask"][free] == 0
            observation, _, over, _, info = env.step(action)
            known, left = known | (1 << action if action < 10 else 0), left - 1


def test_a_conversation_ends_within_the_models_budget(shipped, tmp_path):
    path, _ = trained("DQN", tmp_path, budget=2)
    turn = converse(
        Agent(shipped, Sb3Policy(path)), "Should I quit tomorrow?", lambda turn: "I would rather not"
    )
    assert turn.kind == "answer"
    assert len(turn.path) <= 2


def test_a_model_of_other_attributes_is_refused(shipped, tmp_path):
    path, _ = trained("DQN", tmp_path)
    with pytest.raises(UserError, match=r"trained on other attributes[^\n]*$"):
        Sb3Policy(path).decide(small_dialogue())
