"""A stored path table with the policy trees beside it, as far as an evaluation may use them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from envs import UserError
from policies.plan_index import SHIPPED
from search.path_table import PathTable
from search.population.policy_tree_file import FILE_NAME as TREES
from search.population.policy_tree_file import PolicyTrees, load_trees


class Stored(NamedTuple):
    """A table, where it is from, the trees that may be followed, and a line on them ("" = nothing to say)."""

    table: PathTable
    source: str
    trees: PolicyTrees | None = None
    about_trees: str = ""


def stored_plans(cfg: DictConfig, budget: int, sha256: str) -> Stored | None:
    """Return the plans in `cfg.paths`, else those of the package where they fit, else None.

    The package's fit when they were planned under this very judge, this budget and these scenarios; its trees
    were planned from everybody and are never taken. `sha256`: of the scenario file.

    Raises
    ------
    UserError
        a file that is missing or no table, or trees that cannot be read.
    """
    if cfg.paths is not None and cfg.folds > 1:
        raise UserError(f"folds: found {cfg.folds} with a stored table, expected 1 or paths=null")
    if cfg.paths is not None:
        source = Path(cfg.paths)
        table = PathTable.load(source)
        file = (source if source.is_dir() else source.parent) / TREES
        if not file.exists():
            return Stored(table, str(cfg.paths))
        trees = load_trees(file)
        reason = planned_from_others(trees.provenance, cfg.scenarios, sha256)
        if reason:
            return Stored(table, str(cfg.paths), None, f"The policy trees in {file} are left out: {reason}.")
        return Stored(table, str(cfg.paths), trees, f"Policy trees: {file}, planned from train people alone.")
    if cfg.model_seeds > 1 or cfg.folds > 1 or cfg.table_size is not None or cfg.scenarios.path is not None:
        return None
    table = PathTable.load(SHIPPED)
    made = table.provenance["config"]
    same = made["judge"] == OmegaConf.to_container(cfg.judge, resolve=True) and made["budget"] == budget
    return Stored(table, "the table that ships with the package") if same else None


def planned_from_others(provenance: Mapping[str, Any], scenarios: DictConfig, sha256: str) -> str:
    """Return why trees may have been planned from test people, "" where they surely were not.

    A tree holds no ids: whom it was planned from is known by the file, and by how that was split.
    """
    config = provenance.get("config")
    made = config.get("scenarios") if isinstance(config, Mapping) else None
    file = provenance.get("scenarios")
    digest = file.get("sha256") if isinstance(file, Mapping) else None
    if not isinstance(made, Mapping) or digest is None or "split" not in made:
        return "their file does not say from whom they were planned"
    if digest != sha256:
        return "they were planned from another scenario file, so that test people may be among theirs"
    if made["split"] != "train":
        return f"they were planned with scenarios.split={made['split']}, expected train"
    for key in ("test_fraction", "split_seed"):
        if made.get(key) != scenarios[key]:
            return f"they were planned with scenarios.{key}={made.get(key)}, here it is {scenarios[key]}"
    return ""
