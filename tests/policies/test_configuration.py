"""Every acquisition and abstention composes, instantiates, and has no key without an argument."""

import inspect
import json
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.utils import get_class

from envs import UserError
from envs.llm.scripted.scripted_server import ScriptedServer
from experiments.console.keys import check_config
from experiments.runs import build
from experiments.runs.config import register
from policies import Agent
from policies.composed import ComposedPolicy

CONF = Path(__file__).resolve().parents[2] / "conf" / "policy"
MEMBERS = sorted((p.parent.name, p.stem) for p in CONF.glob("*/*.yaml"))


class Mine:
    name = "mine"

    def choose(self, dialogue):
        raise NotImplementedError

    def should_stop(self, dialogue, choice):
        raise NotImplementedError


def policy(*overrides):
    register()
    with initialize_config_module("conf", version_base="1.3"):
        cfg = compose("ask", overrides=list(overrides))
    check_config(cfg)  # as the command does before it builds anything
    return build.build_policy(cfg)


def test_default():
    found = policy()
    assert isinstance(found, ComposedPolicy)
    assert (found.acquisition.name, found.abstention.name, found.n_neighbours) == ("auto", "value", 80)


@pytest.mark.parametrize(("part", "member"), MEMBERS)
def test_member(part, member):
    node = yaml.safe_load((CONF / part / f"{member}.yaml").read_text(encoding="utf-8"))
    extra = []
    if member == "custom":
        extra = [f"policy.{part}._target_={__name__}.Mine"]
    elif "chat" in node:
        extra = [f"policy.{part}.chat.model=m"]
    found = getattr(policy(f"policy/{part}={member}", *extra), part)
    assert found.name == ("mine" if member == "custom" else member)
    if member != "custom":
        assert set(node) - {"_target_"} == set(inspect.signature(get_class(node["_target_"])).parameters)
    if "chat" in node:
        arguments = set(inspect.signature(get_class(node["chat"]["_target_"])).parameters)
        assert set(node["chat"]) - {"_target_"} == arguments


def embedding(*overrides):
    register()
    with initialize_config_module("conf", version_base="1.3"):
        return build.build_agent(compose("ask", overrides=list(overrides)))


def test_the_default_embedding_is_the_static_one():
    assert embedding().plan_index.index.embedding.name == "wordllama-l2-supercat"


def test_an_endpoint_embeds_by_configuration(tmp_path):
    """The table and the query at a scripted server; the index remembers model and host, and holds to them."""
    index = tmp_path / "index.npz"
    with ScriptedServer() as server:
        options = ("embedding=openai", f"embedding.base_url={server.url}", f"index={index}")
        one = embedding(*options, "embedding.model=m")
        assert one.start("Should I take the loan from my brother?").kind == "ask"
        before = server.seen.requests
        assert embedding(*options, "embedding.model=m").plan_index.index.matrix.shape == (140, 64)
        assert server.seen.requests - before == 2  # its dimension, and the first query anew
        row = json.loads(one.to_json())
        assert row["embedding"] == ["m", "at 127.0.0.1"]
        with pytest.raises(UserError, match=r"index\.npz: embedding: found 'm', expected 'other'; [^\n]+$"):
            embedding(*options, "embedding.model=other")
    again = Agent.from_json(one.to_json(), Agent.load())  # another embedding: neighbours are found anew
    assert (again.turn, len(again.neighbours.rows)) == (one.turn, again.policy.n_neighbours)


@pytest.mark.parametrize("model", ["", "embedding.model=/nowhere"])
def test_minilm_by_configuration_without_its_extra_says_which_one(monkeypatch, model):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^embedding: [^\n]*raise-planner\[minilm\][^\n]*$"):
        embedding("embedding=minilm", *filter(None, [model]))


def test_keys_reach_the_parts():
    found = policy(
        "policy/abstention=fixed", "policy.abstention.k=1", "policy.budget=2", "policy.n_neighbours=7"
    )
    assert (found.abstention.k, found.budget, found.n_neighbours) == (1, 2, 7)


@pytest.mark.parametrize(
    "overrides",
    [
        ("policy/abstention=fixed", "policy.abstention.k=many"),
        ("policy/abstention=custom",),
        ("policy/acquisition=llm",),
        ("policy.acquisition.temperature=0",),
        ("policy=custom",),
    ],
)
def test_a_mistake_is_a_users_mistake(overrides):
    from omegaconf.errors import OmegaConfBaseException

    with pytest.raises((UserError, OmegaConfBaseException)):
        policy(*overrides)
