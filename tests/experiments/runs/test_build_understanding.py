"""Readers and detectors by configuration: each member composes, builds, and reads every one of its keys."""

import inspect
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.utils import get_class

from envs import UserError, penguin_schema
from envs.llm.scripted.scripted_server import Script, ScriptedServer
from experiments.console.help.command_keys import command_keys
from experiments.console.keys import check_config
from experiments.runs import build
from experiments.runs.config import register
from policies.understanding import (
    Danger,
    FirstAlarm,
    LLMDetector,
    LLMReader,
    ModerationDetector,
    Reading,
    RulesDetector,
    RulesReader,
    Value,
)

CONF = Path(__file__).resolve().parents[3] / "conf"
SCORES = {"self-harm": 0.0, "self-harm/intent": 0.8, "self-harm/instructions": 0.0}


class MyReader:
    def read(self, text, schema, asked=None, dialogue=None):
        return Reading({"Age": Value(text)})


class MyDetector:
    def check(self, text, asked=None, dialogue=None):
        return Danger("mine", "suicide", "m", ()) if "pancakes" in text else None


def ask(*overrides):
    register()
    with initialize_config_module("conf", version_base="1.3"):
        cfg = compose("ask", overrides=list(overrides))
    check_config(cfg)  # as the command does before it builds anything
    return cfg


@pytest.fixture(scope="module")
def server():
    with ScriptedServer(Script(moderation=lambda text: SCORES)) as running:
        yield running


def test_rules_are_the_default():
    cfg = ask()
    assert type(build.build_reader(cfg)) is RulesReader
    assert type(build.build_detector(cfg)) is RulesDetector


def test_a_model_reads(server):
    cfg = ask("reader=llm", "reader.model=m", f"reader.base_url={server.url}")
    assert isinstance(build.build_reader(cfg), LLMReader)


@pytest.mark.parametrize(("member", "kind"), [("llm", LLMDetector), ("moderation", ModerationDetector)])
def test_a_model_looks_for_danger(server, member, kind):
    cfg = ask(f"detector={member}", "detector.model=m", f"detector.base_url={server.url}")
    assert isinstance(build.build_detector(cfg), kind)


def several(server, *overrides):
    models = ("detector.llm.model=m", f"detector.llm.base_url={server.url}")
    moderation = f"detector.moderation.base_url={server.url}"
    return build.build_detector(ask("detector=several", *models, moderation, *overrides))


def test_several_detectors_and_one_of_the_users(server):
    found = several(server, f"+detector.mine._target_={__name__}.MyDetector")
    assert isinstance(found, FirstAlarm)
    assert [type(one) for one in found.others.values()] == [ModerationDetector, LLMDetector, MyDetector]
    assert found.check("pancakes").signal == "moderation: self-harm/intent"


def test_one_of_several_can_be_left_out(server):
    models = ("detector.llm.model=m", f"detector.llm.base_url={server.url}")
    found = build.build_detector(ask("detector=several", "~detector.moderation", *models))
    assert [type(one) for one in found.others.values()] == [LLMDetector]


def test_custom_ones_and_the_rules_beside_them():
    cfg = ask(
        *("reader=custom", f"reader._target_={__name__}.MyReader"),
        *("detector=custom", f"detector._target_={__name__}.MyDetector"),
    )
    assert build.build_reader(cfg).read("x", penguin_schema()).values["Age"].words == "x"
    detector = build.build_detector(cfg)
    assert detector.check("pancakes").signal == "mine"
    assert detector.check("I want to end my life tonight") == RulesDetector.load().check(
        "I want to end my life tonight"
    )


def test_the_files_of_rules_reach_every_member(tmp_path):
    for key in ("reading", "crisis"):
        (tmp_path / f"{key}.yaml").write_text("[]")
    at = "base_url=http://localhost/v1"
    for build_one, *overrides in (
        (build.build_reader, f"reading={tmp_path}/reading.yaml"),
        (
            build.build_reader,
            f"reading={tmp_path}/reading.yaml",
            "reader=llm",
            "reader.model=m",
            f"reader.{at}",
        ),
        (build.build_detector, f"crisis={tmp_path}/crisis.yaml"),
        (
            build.build_detector,
            *(f"crisis={tmp_path}/crisis.yaml", "detector=llm", "detector.model=m", f"detector.{at}"),
        ),
        (
            build.build_detector,
            *(f"crisis={tmp_path}/crisis.yaml", "detector=custom"),
            f"detector._target_={__name__}.MyDetector",
        ),
    ):
        with pytest.raises(UserError, match=r"^[^\n]*(?:crisis|reading)\.yaml[^\n]*$"):
            build_one(ask(*overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        ("reader=llm",),
        ("reader=custom",),
        ("detector=llm",),
        ("detector=custom",),
        ("detector=custom", "detector._target_=builtins.dict"),
        ("reader=llm", "reader.model=m", "reader.modle=x"),
        ("detector=several", "detector.llm.model=m", "detector.llm.nothing=1"),
    ],
)
def test_a_mistake_is_a_users_mistake(overrides):
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with pytest.raises((UserError, OmegaConfBaseException, HydraException)):
        (lambda cfg: (build.build_reader(cfg), build.build_detector(cfg)))(ask(*overrides))


@pytest.mark.parametrize("path", ["reader/llm", "detector/llm", "detector/moderation"])
def test_each_argument_of_a_model_has_its_key_with_its_default(path):
    node = yaml.safe_load((CONF / f"{path}.yaml").read_text(encoding="utf-8"))
    arguments = inspect.signature(get_class(node.pop("_target_"))).parameters
    assert set(node) == set(arguments)
    for name in set(node) - {"rules", "model", "categories", "headers", "extra_body"}:
        assert node[name] == arguments[name].default


def test_help_shows_the_keys_of_what_was_chosen():
    keys = command_keys("ask", ["reader=llm", "detector=moderation"])
    names = {key.name: key.meaning for group in keys.groups for key in group.keys}
    assert {"reader.model", "reader.cache", "detector.certain", "detector.suspected"} <= set(names)
    groups = {group.name: {member.name for member in group.members} for group in keys.groups}
    assert groups["reader"] == {"rules", "llm", "custom"}
    assert groups["detector"] == {"rules", "moderation", "llm", "several", "custom"}
