"""The package as a whole: what a built distribution holds, that commands explain themselves, that every
member of every config group composes, instantiates and has no key without a consumer.
"""

import ast
import functools
import inspect
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_module
from hydra.errors import ConfigCompositionException
from hydra.utils import get_object

from envs import UserError
from envs.judges.simulated import SimulatedJudge
from envs.llm import ReplyCache
from envs.llm.local.local_server import missing
from envs.loading import load_bundled
from experiments.comparison.settings_schema import CompareConfig
from experiments.runs import build
from experiments.runs.config import (
    AskConfig,
    BenchmarkAgentConfig,
    BenchmarkConfig,
    BenchmarkLlmConfig,
    EvaluateConfig,
    GenerateScenariosConfig,
    JudgeFiguresConfig,
    PlanPopulationConfig,
    ScenariosConfig,
    ServeConfig,
    ServeMcpConfig,
    TrainConfig,
    register,
)
from policies.understanding.detectors.first_alarm import FirstAlarm
from search.algorithms.greedy import GreedySearch
from search.path_table import PathTable
from search.rollouts import plan

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("envs", "search", "policies", "experiments", "conf")
FILES = sorted(
    str(path.relative_to(ROOT))
    for room in ROOMS
    for path in (ROOT / room).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)
COMMANDS = sorted(
    path.stem
    for path in (ROOT / "experiments").glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
)
NO_PARTS = {"preset", "sweep"}
"""Groups of `conf/` that build nothing."""
MEMBERS = sorted(
    (path.parent.name, path.stem)
    for path in (ROOT / "conf").glob("*/*.yaml")
    if path.parent.name not in {"conf", *NO_PARTS}
)
BUILDERS = {
    "scenarios": build.build_scenarios,
    "judge": build.build_judge,
    "prior": build.build_prior,
    "search": build.build_searcher,
    "parallel": build.build_parallel,
    "tracking": build.build_tracking,
    "chat": build.build_chat,
}
ASK_BUILDERS = {
    "policy": build.build_policy,
    "embedding": build.build_embedding,
    "users": build.build_users,
    "target": build.build_target,
    "reader": build.build_reader,
    "detector": build.build_detector,
}
"""Groups of the conversation; those inside `policy` are tested in tests/policies/test_configuration.py."""
SERVE_BUILDERS = {
    "gate": build.build_gate,
    **{
        group: functools.partial(build.build_settings, group=group)
        for group in ("ask", "service", "session", "upstream")
    },
}
WRITE_BUILDERS = {"writer": build.build_writer, "profiles": build.build_profiles}
BUILDERS |= ASK_BUILDERS | SERVE_BUILDERS | WRITE_BUILDERS
CONFIGURATIONS = {
    "ask": ASK_BUILDERS,
    "serve": SERVE_BUILDERS,
    "generate_scenarios": WRITE_BUILDERS,
    "evaluate": {"chat"},
}
"""Which groups are those of which command; of the others `train_mcts` has them."""
ELSEWHERE = {("embedding", "minilm"), ("embedding", "openai"), ("search", "auto"), ("policy", "sb3")}
ELSEWHERE |= {("detector", "moderation"), ("detector", "several"), ("judge", "panel"), ("session", "none")}
"""Members that need an extra or an endpoint (tests/policies has both), a judge (test_commands), other judges
(tests/experiments/judging), and the one that is nothing at all."""
HARNESS = {"search": set(build.HARNESS_KEYS)}


class AnyPlugIn:
    """Stands for a class of the user's, whatever the group."""

    def score(self, scenario, contexts):
        raise NotImplementedError

    def plan(self, problem, rng):
        raise NotImplementedError

    def opens(self, text):
        raise NotImplementedError

    def make(self, situations):
        raise NotImplementedError

    def write(self, *arguments):
        raise NotImplementedError

    def decide(self, dialogue):
        raise NotImplementedError

    def embed(self, texts):
        raise NotImplementedError

    def answer(self, scenario, attribute, question):
        raise NotImplementedError

    def read(self, text, schema, asked=None, dialogue=None):
        raise NotImplementedError

    def check(self, text, asked=None, dialogue=None):
        raise NotImplementedError

    def __call__(self, scenario, mask):
        raise NotImplementedError

    def finish(self, summary, tables, drawings):
        raise NotImplementedError


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Build sdist and wheel from a copy of the sources; return (folder, what the build said)."""
    pytest.importorskip("setuptools", minversion="77", reason="building needs the extra `test`")
    copy = tmp_path_factory.mktemp("source")
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, copy)
    code = "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"
    command = [sys.executable, "-W", "always::DeprecationWarning", "-c", code]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return copy / "dist", done.stdout + done.stderr


def test_wheel_holds_every_file_of_the_five_packages_and_nothing_else(distributions):
    (wheel,) = distributions[0].glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert sorted(name for name in names if ".dist-info/" not in name) == FILES
    assert {"conf/train_mcts.yaml", "conf/judge/simulated.yaml", "envs/data/scenarios.jsonl"} <= set(names)


def test_sdist_holds_the_sources_and_the_papers(distributions):
    (sdist,) = distributions[0].glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    papers = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md"}
    assert {*FILES, *papers, "setup.py", "pyproject.toml"} <= names


def test_metadata(distributions):
    (wheel,) = distributions[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("/METADATA")]
        head = archive.read(name).decode().split("\n\n")[0].splitlines()
    assert "License-Expression: MIT" in head
    assert "Requires-Python: >=3.11" in head
    assert {line for line in head if line.startswith("Provides-Extra")} == {
        f"Provides-Extra: {extra}"
        for extra in (
            "test",
            "dev",
            "benchmark",
            "botorch",
            "datasets",
            "docs",
            "inspect",
            "rl",
            "local-llm",
            "mcp",
            "minilm",
            "serve",
            "sweep",
            "tensorboard",
            "train",
        )
    }


def test_build_warns_of_nothing_deprecated(distributions):
    assert [line for line in distributions[1].splitlines() if "deprecat" in line.lower()] == []


def test_there_are_commands():
    assert {"train_mcts", "show"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, tmp_path):
    """Exit 0, something on standard output, nothing written."""
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{command}", "--help"],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 100
    assert list(tmp_path.iterdir()) == []


def _compose(*overrides, config="train_mcts"):
    register()
    with initialize_config_module("conf", version_base="1.3"):
        return compose(config, overrides=list(overrides))


def _of(group):
    return next((name for name, groups in CONFIGURATIONS.items() if group in groups), "train_mcts")


def test_every_command_of_hydra_has_its_configuration_and_it_composes():
    """`base` is a part of the others, not a configuration of its own."""
    names = {path.stem for path in (ROOT / "conf").glob("*.yaml")} - {"base"}
    assert "train_mcts" in names
    assert names <= set(COMMANDS)
    register()
    for name in sorted(names):
        with initialize_config_module("conf", version_base="1.3"):
            assert set(compose(name))


NEEDED = {
    "custom": ("{group}._target_={module}.AnyPlugIn",),
    "openai": ("judge.model=m",),
    ("target", "openai"): ("target.chat.model=m",),
    ("chat", "openai"): ("chat.model=m",),
    ("users", "openai"): ("users.model=m",),
    ("reader", "llm"): ("reader.model=m",),
    ("gate", "llm"): ("gate.model=m",),
    ("writer", "openai"): ("writer.model=m",),
    ("profiles", "openai"): ("profiles.model=m",),
    ("detector", "llm"): ("detector.model=m",),
    "replay": ("judge.model=m", "judge.cache={replies}"),
    "llm": ("prior.model=m",),
    "surface": ("prior.paths={paths}",),
}
"""What a member cannot do without."""


@pytest.fixture(scope="module")
def replies(tmp_path_factory):
    file = tmp_path_factory.mktemp("replies") / "replies.sqlite"
    ReplyCache(file).close()
    return file


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    file = tmp_path_factory.mktemp("paths") / "paths.parquet"
    planned = plan(load_bundled()[:2], SimulatedJudge(), GreedySearch(), budget=1)
    PathTable.from_records(list(planned), {}).save(file)
    return file


def _with_needed(group, member, replies, paths):
    names = {"group": group, "module": __name__, "replies": replies, "paths": paths}
    needed = NEEDED.get((group, member), NEEDED.get(member, ()))
    return _compose(f"{group}={member}", *(o.format(**names) for o in needed), config=_of(group))


def test_every_group_has_a_builder_and_a_default():
    assert {group for group, _ in MEMBERS} == set(BUILDERS)
    schemas = (TrainConfig, AskConfig, EvaluateConfig, ServeConfig, GenerateScenariosConfig)
    assert {f.name for schema in schemas for f in fields(schema)} >= set(BUILDERS)


@pytest.mark.parametrize(("group", "member"), [m for m in MEMBERS if m not in ELSEWHERE])
def test_member_composes_and_instantiates(group, member, replies, paths, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    if (group, member) == ("judge", "local") and missing() is not None:
        pytest.skip(str(missing()))
    thing = BUILDERS[group](_with_needed(group, member, replies, paths))
    if (group, member) == ("detector", "custom"):
        assert isinstance(thing, FirstAlarm)  # the rules stand beside it
    elif member == "custom":
        assert isinstance(thing, AnyPlugIn)
    elif group == "prior":
        assert (thing is None) == (member == "uniform")
    elif (group, member) in (("target", "none"), ("chat", "none")):
        assert thing is None
    elif group == "scenarios":
        assert len(thing.scenarios) == 140


@pytest.mark.parametrize("group", sorted({group for group, member in MEMBERS if member == "custom"}))
def test_custom_without_a_target_is_one_clear_line(group):
    with pytest.raises(UserError, match=rf"^{group}\._target_ is missing: expected a class[^\n]*$"):
        BUILDERS[group](_compose(f"{group}=custom", config=_of(group)))


def test_the_keys_of_auto_are_arguments_of_both_searches_it_may_stand_for():
    keys = set(build.search_member("auto"))
    assert keys <= set(build.search_member("mcts")) & set(build.search_member("bayes"))


@pytest.mark.parametrize(("group", "member"), [m for m in MEMBERS if m != ("search", "auto")])
def test_keys_are_arguments(group, member):
    """Of each class of ours: no key without an argument, no argument without a key in its group."""
    node = yaml.safe_load((ROOT / "conf" / group / f"{member}.yaml").read_text(encoding="utf-8"))
    target = node.get("_target_", "???")
    if target in (None, "???"):
        assert set(node) - {"defaults"} - HARNESS.get(group, set()) <= {"_target_"}
        return
    signature = inspect.signature(get_object(target)).parameters.values()
    arguments = {p.name for p in signature if p.kind is not p.VAR_KEYWORD} | HARNESS.get(group, set())
    parts = {key for part in node.pop("defaults", []) if isinstance(part, dict) for key in part}
    keys = set(node) - {"_target_"} | parts
    siblings = [
        set(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in (ROOT / "conf" / group).glob("*.yaml")
        if f"_target_: {target}\n" in path.read_text(encoding="utf-8")
    ]
    assert keys <= arguments <= keys.union(*siblings)


@pytest.mark.parametrize(
    ("schema", "holder"),
    [
        (TrainConfig, "cfg"),
        (BenchmarkLlmConfig, "cfg"),
        (JudgeFiguresConfig, "cfg"),
        (PlanPopulationConfig, "cfg"),
        (AskConfig, "cfg"),
        (ServeMcpConfig, "cfg"),
        (BenchmarkAgentConfig, "cfg"),
        (BenchmarkConfig, "cfg"),
        (CompareConfig, "cfg"),
        (EvaluateConfig, "cfg"),
        (ScenariosConfig, "node"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_keys_of_the_schema_are_read(schema, holder):
    read = {
        node.attr
        for path in (ROOT / "experiments").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == holder
    }
    for path in (ROOT / "conf").rglob("*.yaml"):
        read |= set(re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8")))
    wanted = {f.name for f in fields(schema)} - set(BUILDERS)
    assert wanted <= read


@pytest.mark.parametrize("override", ["budget=3", "+budget=3"])
def test_budget_with_and_without_plus(override):
    assert _compose(override).budget == 3


def test_unknown_key_is_refused():
    with pytest.raises(ConfigCompositionException, match="bugdet"):
        _compose("bugdet=3")
