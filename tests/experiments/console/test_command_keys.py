"""What help and completion are made of, held against what Hydra composes."""

import sys

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from experiments.cli import COMMANDS
from experiments.console.help.class_docs import parameters
from experiments.console.help.command_keys import CONF, command_keys
from experiments.console.help.help_text import explained, help_text
from experiments.runs.config import FREE, register

CONFIGURED = [module for module in COMMANDS.values() if (CONF / f"{module}.yaml").is_file()]


MAPPINGS = ("custom",)
"""Keys whose whole mapping is their default: the names below are the user's."""


def choices():
    """Return (command, override) of each member of each group, by the first command that reads the group."""
    found = {
        f"{group.name}={member.name}": module
        for module in reversed(CONFIGURED)
        for group in command_keys(module).groups
        for member in group.members
    }
    return [(module, override) for override, module in found.items()]


def composed(module, *overrides):
    register()
    with initialize_config_module("conf", version_base="1.3"):
        return compose(module, list(overrides))


def leaves(node, above=""):
    for key, value in node.items():
        name = f"{above}{key}"
        if name in MAPPINGS:
            yield name, value
        elif isinstance(value, dict) and value:
            yield from leaves(value, f"{name}.")
        elif key != "_target_":
            yield name, value


def read_keys(module, *overrides):
    found = command_keys(module, overrides)
    return [*found.keys, *(key for group in found.groups if group.name != "preset" for key in group.keys)]


@pytest.mark.parametrize(
    ("module", "overrides"), [(m, ()) for m in CONFIGURED] + [(m, (o,)) for m, o in choices()]
)
def test_keys_and_defaults_are_those_that_hydra_composes(module, overrides):
    expected = dict(leaves(OmegaConf.to_container(composed(module, *overrides))))
    assert expected.pop(FREE) == {}  # help names it among the options
    keys = read_keys(module, *overrides)
    shown = {key.name: key.default for key in keys if not key.name.endswith("_target_")}
    assert shown.keys() == expected.keys()
    for name in shown.keys() - {"budget", "output_dir"}:  # help says what a missing one is
        assert shown[name] == expected[name], name


def test_every_key_of_every_member_has_a_type_and_a_meaning():
    for module, override in choices():
        found = command_keys(module, [override])
        assert [group.name for group in found.groups if not group.meaning] == []
        assert [m.path.name for group in found.groups for m in group.members if not m.line] == []
        keys = map(explained, read_keys(module, override))
        assert [key.name for key in keys if not key.type or not key.meaning] == [], override


def test_only_the_groups_that_a_command_reads():
    names = {module: {group.name for group in command_keys(module).groups} for module in CONFIGURED}
    assert names["train_mcts"] == {"scenarios", "judge", "prior", "search", "parallel", "tracking"}
    assert names["benchmark"] == set()
    assert {"policy", "policy/acquisition", "policy/abstention"} <= names["ask"]
    assert "judge" not in names["ask"]


def test_members_of_a_folder_of_the_users(tmp_path):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "mine.yaml").write_text(
        "# What I wrote.\n_target_: search.mcts.MCTSSearch\nbackup: max\n"
    )
    found = command_keys("train_mcts", ["--config-dir", str(tmp_path), "search=mine"])
    group = next(group for group in found.groups if group.name == "search")
    assert "What I wrote." in [member.line for member in group.members]
    assert [key.name for key in group.keys] == ["search.backup"]
    assert explained(group.keys[0]).meaning.startswith('"max"')  # through the re-export in search/mcts.py


SOURCE = '''
from dataclasses import dataclass
from typing import Annotated, Literal, Mapping
from pydantic import Field
from settings_elsewhere import takes

Whole = Annotated[int | None, "checked"]

class Above:
    """As a judge.

    Parameters
    ----------
    depth, width : int >= 1
        How far it sees.
    """

    def __init__(self, depth: int, width: Whole = 2, *, names: Mapping[str, str] | None = None) -> None:
        """`names`: not read."""

class Below(Above):
    """`depth`: no more than this. More."""

    def __init__(self, depth: int = 1, width: int = 1) -> None: ...

@dataclass
class Settings:
    """`kind`: of what sort; `size`: see `plugin_of_a_test.Above`."""

    kind: Literal["a", "b"] = "a"
    limit: Whole = Field(default=3, description="at "
        "most")

class Taking:
    @takes(Settings)
    def __init__(self, settings: Settings) -> None: ...
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "plugin_of_a_test.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "plugin_of_a_test"
    assert "plugin_of_a_test" not in sys.modules  # it was read, not imported


def test_parameters_are_read_from_the_source(plugin):
    above = parameters(f"{plugin}.Above")
    assert [(p.name, p.annotation, p.default) for p in above.values()] == [
        ("depth", "int", None),
        ("width", "int | null", "2"),
        ("names", "mapping | null", "None"),
    ]
    assert above["width"].meaning == "int >= 1 How far it sees."
    below = parameters(f"{plugin}.Below")
    assert below["depth"].meaning == "no more than this"
    assert below["width"].meaning == above["width"].meaning  # what the class above says


@pytest.mark.parametrize("name", ["Settings", "Taking"])
def test_fields_of_settings_are_parameters(plugin, name):
    found = parameters(f"{plugin}.{name}")
    assert [(p.name, p.annotation, p.default) for p in found.values()] == [
        ("kind", "a|b", "'a'"),
        ("limit", "int | null", "3"),
    ]
    assert [p.meaning for p in found.values()] == ["of what sort", "at most"]


def test_what_has_no_source_has_no_parameters():
    assert parameters("numpy.ndarray") == parameters("no_such_module.Thing") == parameters("Thing") == {}


def test_help_shows_the_parameters_of_a_class_of_the_users(plugin):
    text = help_text("raise-planner train", "train_mcts", ["judge=custom", f"judge._target_={plugin}.Above"])
    assert "+judge.depth=(required)" in text
    assert "+judge.width=2" in text
    assert ">= 1 How far it sees" in " ".join(text.split())


def test_help_shows_the_keys_of_the_chosen_member_alone():
    plain = help_text("raise-planner train", "train_mcts")
    chosen = help_text("raise-planner train", "train_mcts", ["search=bayes"])
    assert "search.min_gain=" not in plain
    assert f"{FREE}.NAME=VALUE" in plain
    assert "search.min_gain=0.0005" in chosen
    assert "judge.noise_std=0.0" in chosen
