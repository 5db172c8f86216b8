"""Searches by name: members of the config group `search`, the user's own, and the best static set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from envs import Judge, UserError
from experiments.comparison.cells import BEST_STATIC
from experiments.runs import build
from search.problem import Searcher

ALL, AUTO = "all", "auto"
_SIMULATIONS_A_CALL = 10
"""Search iterations for each judge call: many, so that the limit on calls is what ends a search."""


def search_nodes(names: Sequence[str], custom: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """Return {name: `_target_` and keyword arguments}, None for the best static set.

    `auto` has no `_target_`: what it stands for depends on the judge (`searcher_for`). `all` stands for every
    member of the group `search` that needs no further key, and for `best_static`.

    Raises
    ------
    UserError
        a name that is neither such a member nor in `custom`, or one that occurs twice.
    """
    members = {
        name: node
        for name, node in build.search_members().items()
        if node.get("_target_") is not None and "???" not in node.values()
    }
    nodes: dict[str, dict[str, Any] | None] = {}
    for name in names:
        if name in nodes:
            raise UserError(f"searches: found {name!r} twice, expected distinct names")
        if name == ALL:
            nodes |= members | {BEST_STATIC: None}
        elif name in custom:
            nodes[name] = dict(custom[name])
        elif name in members:
            nodes[name] = members[name]
        elif name == AUTO:
            nodes[name] = build.search_member(AUTO)
        elif name == BEST_STATIC:
            nodes[name] = None
        else:
            known = ", ".join([ALL, AUTO, *members, BEST_STATIC, *custom])
            raise UserError(
                f"searches: found {name!r}, expected some of {known}; one of yours, or one that needs "
                f"further keys, is given by +custom.{name}._target_=my_pkg.MySearch"
            )
    return nodes


def fingerprint_of(cfg: DictConfig, names: list[str], left_out: Sequence[str]) -> str:
    """Return a hash of all that determines the runs of `cfg`: its keys but `left_out`, and the searches."""
    container: Any = OmegaConf.to_container(cfg, resolve=True)
    kept = {key: value for key, value in container.items() if key not in left_out}
    kept["nodes"] = search_nodes(names, container["custom"])
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def searcher_for(
    node: Mapping[str, Any] | None, calls: int, seed: int, scheduled: bool = False, judge: Judge | None = None
) -> Searcher | None:
    """Return the searcher of a node, with enough simulations that `calls` judge calls are its limit.

    `judge`: whom `auto` is to be chosen for.
    `scheduled`: it spreads its simulations over rounds, so that more of them than judge calls would end it in
    an early round; it gets as many as calls.
    """
    if node is None:
        return None
    given = dict(node)
    if given["_target_"] is None and judge is not None:
        given = build.search_member(build.chosen_search(judge))
    if isinstance(given.get("num_simulations"), int):
        many = max(given["num_simulations"], _SIMULATIONS_A_CALL * calls)
        given["num_simulations"] = calls if scheduled else many
    config: DictConfig = OmegaConf.create({"seed": seed, "search": given})
    return build.build_searcher(config)
