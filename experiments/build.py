"""From a composed config to objects: any class of the user's in place of any of ours."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from envs import Judge, UserError, load_schema
from envs.loading import ScenarioSet, load_scenarios
from experiments.main import one_line
from search.planning import Prior
from search.problem import Searcher
from search.rollouts import Parallel

HARNESS_KEYS = ("max_judge_calls", "wave")
"""Keys of the `search` group that the harness enforces for every searcher; no constructor sees them."""


def build_scenarios(cfg: DictConfig) -> ScenarioSet:
    """Load the scenarios that `cfg.scenarios` names."""
    node = cfg.scenarios
    return load_scenarios(
        node.path,
        None if node.attributes is None else load_schema(node.attributes),
        limit=node.limit,
        split=node.split,
        test_fraction=node.test_fraction,
        split_seed=node.split_seed,
    )


def build_judge(cfg: DictConfig) -> Judge:
    """Return the judge; any object with `score`."""
    return _build(cfg, "judge", "score")


def build_searcher(cfg: DictConfig) -> Searcher:
    """Return the searcher; any object with `plan`."""
    return _build(cfg, "search", "plan")


def build_prior(cfg: DictConfig) -> Prior | None:
    """Return the prior; any callable, or None for the uniform one."""
    uniform = not OmegaConf.is_missing(cfg.prior, "_target_") and cfg.prior._target_ is None
    return None if uniform else _build(cfg, "prior", "__call__")


def build_parallel(cfg: DictConfig) -> Parallel:
    """Return the way many scenarios are planned."""
    return _build(cfg, "parallel", "start")


def build_tracking(cfg: DictConfig) -> Any:
    """Return the tracker (see `experiments.tracking`)."""
    return _build(cfg, "tracking", "finish")


def _build(cfg: DictConfig, group: str, method: str) -> Any:
    if OmegaConf.is_missing(cfg[group], "_target_"):
        raise UserError(
            f"{group}._target_ is missing: expected a class, such as {group}._target_=my_pkg.MyClass"
        )
    container: Any = OmegaConf.to_container(cfg[group], resolve=True)
    node = {key: value for key, value in container.items() if key not in HARNESS_KEYS}
    try:
        thing = instantiate(node)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise UserError(f"{group}: {one_line(error)}") from None
    if not callable(getattr(thing, method, None)):
        raise UserError(f"{group}: {node['_target_']} has no method {method}, which is expected of a {group}")
    return thing
