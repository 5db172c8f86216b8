"""Instantiate judge, search, policy and other parts from a composed config: the user's or ours."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeGuard

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from envs import Judge, Schema, UserError, load_schema
from envs.checking.declared import Declared
from envs.judges.protocol import describe
from envs.loading import ScenarioSet, load_scenarios
from envs.users import User
from experiments.console.keys import HARNESS_DEFAULTS, find_class
from experiments.console.plain_errors import one_line
from experiments.console.sweeps import workers_of_a_job
from experiments.runs.config import with_budget
from policies import Agent
from policies.dialogue import Responder
from policies.dialogue_state import Policy
from policies.embeddings import Embedding
from policies.serving.questions.gates import QuestionGate
from policies.understanding.detectors.first_alarm import BesideRules, FirstAlarm
from policies.understanding.detectors.rules_detector import RulesDetector
from policies.understanding.reading import Detector, Reader
from search.path_table import schema_of_run
from search.planning import Prior
from search.problem import Searcher, describe_searcher
from search.rollouts import Parallel

HARNESS_KEYS = tuple(HARNESS_DEFAULTS["search"])
"""Keys of the `search` group that the harness enforces for every searcher; no constructor sees them."""


def build_scenarios(cfg: DictConfig, stored: bool = False) -> ScenarioSet:
    """Load the scenarios that `cfg.scenarios` names; `stored`: they stay outside memory.

    Raises
    ------
    UserError
        a mistake in the file, or no file is named and the bundled scenarios do not fit the schema.
    """
    node, schema = cfg.scenarios, build_schema(cfg)
    try:
        return load_scenarios(
            node.path,
            schema,
            limit=node.limit,
            split=node.split,
            test_fraction=node.test_fraction,
            split_seed=node.split_seed,
            mapping=node.mapping,
            stored=stored,
        )
    except UserError as error:
        if node.path is not None or schema is None:
            raise
        whose = "scenarios.attributes" if node.attributes is not None else f"paths={cfg.paths}"
        raise UserError(
            f"scenarios.path: found null, which means the bundled scenarios; {whose} has other attributes or "
            f"domains, expected the file of its scenarios ({error})"
        ) from None


def build_schema(cfg: DictConfig) -> Schema | None:
    """Return the schema in `scenarios.attributes`, else that of the run `paths`, else None: PENGUIN's."""
    node = cfg.scenarios
    if node.attributes is not None:
        return load_schema(node.attributes)
    paths = cfg.get("paths")
    return None if paths is None else schema_of_run(paths)


def build_judge(cfg: DictConfig) -> Judge:
    """Return the judge; any object with `score`."""
    judge: Judge = _build(cfg, "judge", "score")
    describe(judge)  # a capability of a wrong type is told before anything runs
    return judge


def further_draws(cfg: DictConfig, n: int) -> Iterator[tuple[int, Judge]]:
    """Yield (model seed, judge) of the `n - 1` draws of a simulated judge that follow the configured one."""
    for k in range(1, n):
        other = copy.deepcopy(cfg)
        other.judge.model_seed += k
        yield other.judge.model_seed, build_judge(other)


def build_profiles(cfg: DictConfig) -> Any:
    """Return who makes profiles (`penguin.generating.profile_makers`); any object with `make`."""
    return _build(cfg, "profiles", "make")


def build_writer(cfg: DictConfig) -> Any:
    """Return who writes queries (`penguin.generating.query_writers`); any object with `write`."""
    return _build(cfg, "writer", "write")


def build_searcher(cfg: DictConfig) -> Searcher:
    """Return the searcher; any object with `plan`."""
    searcher: Searcher = _build(cfg, "search", "plan")
    describe_searcher(searcher)
    return searcher


def search_member(name: str) -> dict[str, Any]:
    """Return the member `name` of the group `search`, as it is in its file."""
    text = _search_files()[f"{name}.yaml"].read_text("utf-8")
    node: Any = OmegaConf.to_container(OmegaConf.create(text))
    return node


def search_members() -> dict[str, dict[str, Any]]:
    """Return all members of the group `search`, those of `--config-dir` among them, sorted by name."""
    names = sorted(path.removesuffix(".yaml") for path in _search_files())
    return {name: search_member(name) for name in names}


def _search_files() -> dict[str, Traversable]:
    """Return the files of the group `search` by name; the user's come before ours, as in Hydra."""
    folders: list[Traversable] = [files("conf") / "search"]
    if HydraConfig.initialized():
        sources = HydraConfig.get().runtime.config_sources
        folders += [Path(source.path) / "search" for source in reversed(sources) if source.schema == "file"]
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return {path.name: path for path in found if path.name.endswith(".yaml")}


def with_search(cfg: DictConfig, judge: Judge, prior: Prior | None) -> DictConfig:
    """Return `cfg` with what `search=auto` stands for under `judge`; any other search stays as it is.

    `mcts` where the judge is exact and compiled: simulations are free then, and it has the most of them.
    Else `bayes`: the judge is noisy, paid or slow, and each call has to tell as much as it can. A prior is
    read by `mcts` alone.
    """
    if OmegaConf.is_missing(cfg.search, "_target_") or cfg.search._target_ is not None:
        return cfg
    chosen = search_member(chosen_search(judge, prior))
    given: Any = OmegaConf.to_container(cfg.search)
    own = {key: value for key, value in given.items() if value is not None}
    found = cfg.copy()
    with open_dict(found):
        found.search = {**chosen, **own}
    return found


def chosen_search(judge: Judge, prior: Prior | None = None) -> str:
    """Return the member that `search=auto` stands for under `judge`."""
    told = describe(judge)
    free = told.surface is not None and not told.stochastic
    return "mcts" if free or prior is not None else "bayes"


def as_it_runs(cfg: DictConfig) -> DictConfig:
    """Return `cfg` with its budget, and with what `search=auto` stands for where the judge can be built."""
    found = with_budget(cfg)
    if "judge" in cfg and "search" in cfg:
        with suppress(UserError):  # a key that is not there, say: a configuration can be looked at without it
            found = with_search(found, build_judge(cfg), build_prior(cfg) if "prior" in cfg else None)
    return found


def build_prior(cfg: DictConfig) -> Prior | None:
    """Return the prior; any callable, or None for the uniform one."""
    uniform = not OmegaConf.is_missing(cfg.prior, "_target_") and cfg.prior._target_ is None
    if uniform:
        return None
    prior: Prior = _build(cfg, "prior", "__call__")
    describe(prior, "prior")
    return prior


def build_parallel(cfg: DictConfig) -> Parallel:
    """Return the way many scenarios are planned; jobs of a sweep that run at once share the cores."""
    node = cfg.parallel
    share = workers_of_a_job()
    if share is not None and "num_workers" in node and node.num_workers is None and node.address is None:
        cfg = cfg.copy()
        cfg.parallel.num_workers = share
    return _build(cfg, "parallel", "start")


def build_tracking(cfg: DictConfig) -> Any:
    """Return the tracker (see `experiments.runs.tracking`)."""
    return _build(cfg, "tracking", "finish")


def build_policy(cfg: DictConfig) -> Policy:
    """Return the policy; any object with `decide`."""
    return _build(cfg, "policy", "decide")


def build_embedding(cfg: DictConfig) -> Embedding:
    """Return the embedding; any object with `embed`."""
    return _build(cfg, "embedding", "embed")


def build_reader(cfg: DictConfig) -> Reader:
    """Return who reads what people write; any object with `read`."""
    reader: Reader = _build(cfg, "reader", "read")
    return reader


def build_detector(cfg: DictConfig) -> Detector:
    """Return who looks for acute danger: any object with `check`, and the rules beside it in any case."""
    detector: Detector = _build(cfg, "detector", "check")
    if isinstance(detector, RulesDetector | BesideRules):
        return detector
    return FirstAlarm(cfg.crisis, custom=detector)


def build_users(cfg: DictConfig) -> User:
    """Return who answers; any object with `answer`."""
    return _build(cfg, "users", "answer")


def build_target(cfg: DictConfig) -> Responder | None:
    """Return the model that answers in the end; any callable, or None for none."""
    nobody = not OmegaConf.is_missing(cfg.target, "_target_") and cfg.target._target_ is None
    return None if nobody else _build(cfg, "target", "__call__")


def build_chat(cfg: DictConfig) -> Any:
    """Return the model that chooses and rates in an evaluation; any object with `about`, or None for none."""
    nobody = not OmegaConf.is_missing(cfg.chat, "_target_") and cfg.chat._target_ is None
    return None if nobody else _build(cfg, "chat", "about")


def build_agent(cfg: DictConfig) -> Agent:
    """Return the agent of `cfg.policy` and `cfg.embedding` over the table `cfg.paths`."""
    return Agent.load(
        cfg.paths,
        build_policy(cfg),
        embedding=build_embedding(cfg),
        schema=build_schema(cfg),
        index=cfg.index,
        detector=build_detector(cfg),
        reader=build_reader(cfg),
    )


def build_gate(cfg: DictConfig) -> QuestionGate:
    """Return which messages may get questions; any object with `opens`."""
    gate: QuestionGate = _build(cfg, "gate", "opens")
    return gate


def build_settings(cfg: DictConfig, group: str) -> Any:
    """Return the settings of a group that is nothing but settings."""
    return _build(cfg, group, "__init__")


def _build(cfg: DictConfig, group: str, method: str) -> Any:
    if OmegaConf.is_missing(cfg[group], "_target_"):
        raise UserError(
            f"{group}._target_ is missing: expected a class, such as {group}._target_=my_pkg.MyClass"
        )
    container: Any = OmegaConf.to_container(cfg[group], resolve=True, throw_on_missing=True)
    node = {key: value for key, value in container.items() if key not in HARNESS_DEFAULTS.get(group, ())}
    try:
        target = find_class(str(node["_target_"]), group)
        # A function is the thing itself: its keys are bound, and it is not called yet.
        plain = method == "__call__" and inspect.isfunction(target)
        thing = instantiate({**node, "_partial_": plain}, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError) or _raised_inside(cause):
            raise cause from None  # a plug-in's own error keeps its traceback
        raise UserError(f"{group}: {one_line(error)}") from None
    if not callable(Declared(thing, group).any(method)):
        raise UserError(f"{group}: {node['_target_']} has no method {method}, which is expected of a {group}")
    return thing


def _raised_inside(error: BaseException | None) -> TypeGuard[BaseException]:
    """Tell an error of the class's own code from one of the call to it (a wrong keyword, say)."""
    trace = None if error is None else error.__traceback__
    return trace is not None and trace.tb_next is not None
