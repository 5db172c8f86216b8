"""Policy trees on disk: `policy_trees.jsonl`, beside the path table.

JSON Lines, UTF-8. Line 1 is the header `{"format", "schema_version", "provenance"}`, every further line one
tree:

    {"domain", "planner", "n_profiles", "budget",
     "attributes": [{"name", "levels": [name, ...]}, ...],        in schema order
     "fallback": [attribute name, ...],
     "nodes": [{"ask": attribute name or null, "probability", "value", "stop_value",
                "answers": [{"code", "level": name or null, "node": position}, ...]}, ...]}

Node 0 is the root; every node stands before those that it leads to. `ask: null` = answer now. Code -1, level
null is the answer that tells nothing (declined, unknown, no level names it). An unscored value is null.
It holds attribute and level names, never what a profile says in its own words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs import UserError
from envs.checking.json_values import with_nulls
from envs.durable import replacing
from search.population.policy_tree import DECLINED, STOP, PolicyNode, PolicyTree

SCHEMA_VERSION = 1
FILE_NAME = "policy_trees.jsonl"
FORMAT = "raise-planner policy trees"


@dataclass(frozen=True)
class PolicyTrees:
    """The trees of one run.

    `trees`: {domain: tree}, in file order; `all` is the one for any domain. `provenance`: what made them.
    """

    trees: Mapping[str, PolicyTree]
    provenance: Mapping[str, Any]

    def for_domain(self, domain: str) -> PolicyTree | None:
        """Return the tree of `domain`, else that for all, else None."""
        return self.trees.get(domain, self.trees.get("all"))


def save_trees(path: str | Path, trees: Sequence[PolicyTree], provenance: Mapping[str, Any]) -> None:
    """Write `trees` to `path` at once: a reader sees the old file or the whole new one.

    Raises
    ------
    ValueError
        two trees for one domain.
    """
    path = Path(path)
    if len({tree.group for tree in trees}) != len(trees):
        raise ValueError("two trees for one domain")
    header = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "provenance": dict(provenance)}
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in [header, *map(row_of, trees)]]
    with replacing(path) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def load_trees(path: str | Path) -> PolicyTrees:
    """Read a run folder or a file of trees.

    Raises
    ------
    UserError
        one line: no such file, not a file of trees, another schema version, or a line that holds no tree.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file, expected policy trees ({FILE_NAME})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from None
    rows = list(_rows(path, lines))
    header = rows[0] if rows else {}
    if header.get("format") != FORMAT:
        raise UserError(f"{path}: line 1 is no header of policy trees, expected format {FORMAT!r}")
    if header.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema version {header.get('schema_version')!r}, expected {SCHEMA_VERSION}; "
            f"read it with the release that wrote it, or plan again"
        )
    provenance = header.get("provenance")
    if not isinstance(provenance, dict):
        raise UserError(f"{path}: line 1: found no provenance, expected an object")
    trees: dict[str, PolicyTree] = {}
    for number, row in enumerate(rows[1:], start=2):
        tree = tree_of(row, f"{path}: line {number}")
        if tree.group in trees:
            raise UserError(f"{path}: line {number}: a second tree for {tree.group!r}, expected one")
        trees[tree.group] = tree
    if not trees:
        raise UserError(f"{path}: found no tree, expected at least one")
    return PolicyTrees(trees, provenance)


def row_of(tree: PolicyTree) -> dict[str, Any]:
    """Return `tree` as plain JSON types."""
    return {
        "domain": tree.group,
        "planner": tree.planner,
        "n_profiles": tree.n_profiles,
        "budget": tree.budget,
        "attributes": [
            {"name": name, "levels": list(levels)}
            for name, levels in zip(tree.names, tree.levels, strict=True)
        ],
        "fallback": [tree.names[a] for a in tree.fallback],
        "nodes": [_node_row(tree, node) for node in tree.nodes],
    }


def _node_row(tree: PolicyTree, node: PolicyNode) -> dict[str, Any]:
    a = node.attribute
    return {
        "ask": None if a == STOP else tree.names[a],
        "probability": node.probability,
        "value": with_nulls(node.value),
        "stop_value": with_nulls(node.stop_value),
        "answers": [
            {"code": code, "level": None if code == DECLINED else tree.levels[a][code], "node": child}
            for code, child in node.children.items()
        ],
    }


def _rows(path: Path, lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise UserError(f"{path}: line {number} is not JSON, expected policy trees") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}: line {number}: found a {type(row).__name__}, expected an object")
        yield row


def tree_of(row: Mapping[str, Any], place: str) -> PolicyTree:
    """Return the tree of one line (`row_of`); what it says of names, levels and nodes has to fit together.

    Raises
    ------
    UserError
        it does not; `place` says where it was found.
    """
    attributes = _list(row, "attributes", place)
    names = [_field(a, "name", str, f"{place}: attribute {i}") for i, a in enumerate(attributes)]
    levels = [tuple(_list(a, "levels", f"{place}: attribute {i}")) for i, a in enumerate(attributes)]
    if not all(isinstance(level, str) for own in levels for level in own):
        raise UserError(f"{place}: a level is not text, expected lists of names")
    index = {name: i for i, name in enumerate(names)}
    fallback = [_attribute(index, name, f"{place}: fallback") for name in _list(row, "fallback", place)]
    nodes = [
        _node(node, index, levels, f"{place}: node {i}") for i, node in enumerate(_list(row, "nodes", place))
    ]
    try:
        return PolicyTree(
            names=tuple(names),
            levels=tuple(levels),
            budget=_field(row, "budget", int, place),
            nodes=tuple(nodes),
            fallback=tuple(fallback),
            group=_field(row, "domain", str, place),
            n_profiles=_field(row, "n_profiles", int, place),
            planner=_field(row, "planner", str, place),
        )
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None


def _node(row: Any, index: Mapping[str, int], levels: Sequence[tuple[str, ...]], place: str) -> PolicyNode:
    ask = _field(row, "ask", (str, type(None)), place)
    attribute = STOP if ask is None else _attribute(index, ask, place)
    children: dict[int, int] = {}
    for answer in _list(row, "answers", place):
        code = _field(answer, "code", int, place)
        level = _field(answer, "level", (str, type(None)), place)
        own = () if attribute == STOP else levels[attribute]
        known = None if code == DECLINED else own[code] if 0 <= code < len(own) else ""
        if level != known:
            raise UserError(f"{place}: an answer's code and level name do not belong together")
        if code in children:
            raise UserError(f"{place}: two branches for one answer, expected one")
        children[code] = _field(answer, "node", int, place)
    value, stop_value = (
        math.nan if (found := _field(row, key, (int, float, type(None)), place)) is None else float(found)
        for key in ("value", "stop_value")
    )
    probability = float(_field(row, "probability", (int, float), place))
    return PolicyNode(attribute, probability, value, stop_value, children)


def _attribute(index: Mapping[str, int], name: Any, place: str) -> int:
    if not isinstance(name, str) or name not in index:
        raise UserError(f"{place}: found an attribute that is not listed, expected one of the tree's own")
    return index[name]


def _list(row: Any, key: str, place: str) -> list[Any]:
    return _field(row, key, list, place)


def _field(row: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    if not isinstance(row, dict):
        raise UserError(f"{place}: found a {type(row).__name__}, expected an object")
    value = row.get(key)
    if key not in row or not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join("null" if k is type(None) else k.__name__ for k in kinds)
        found = type(value).__name__ if key in row else "nothing"
        raise UserError(f"{place}: field {key}: found {found}, expected {wanted}")
    return value
