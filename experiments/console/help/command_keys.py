"""Which groups and keys a command reads, from `conf/` and the schemas, without Hydra.

Help and completion are made of it, so that neither can say anything that the configuration does not.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from experiments.console.import_path import ROOT
from experiments.runs.config import SCHEMAS, AutoSearchKeys, HarnessKeys, ScenariosConfig
from experiments.runs.schema_fields import MISSING

CONF = ROOT / "conf"
PRESET = "preset"
"""The group whose members set keys of the command itself."""
_UNSCHEMED = {
    PRESET: "values of the keys above, for one purpose",
    "policy/acquisition": "what to ask next",
    "policy/abstention": "when to stop",
}
"""Meanings of groups that no field of a schema stands for."""
_TARGET = "dotted path of your class or function, in any module that can be imported"
_LINE = re.compile(
    r"(?P<indent> *)(?P<key>[\w/-]+):(?: (?:[^#\"']|\"[^\"]*\"|'[^']*')*?)?(?:\s# (?P<comment>.*))?$"
)
_OVERRIDE = re.compile(r"[+]*(?P<key>[\w./-]+)(?:@[\w.]+)?=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Key:
    """A key that can be overridden. `target`: dotted path of the class that it is a parameter of, or ""."""

    name: str
    default: Any
    type: str = ""
    meaning: str = ""
    target: str = ""


@dataclass(frozen=True)
class Member:
    """A member of a group: its YAML file."""

    path: Path

    @property
    def name(self) -> str:
        """What stands behind `GROUP=`."""
        return self.path.stem

    @property
    def line(self) -> str:
        """The first sentence of the comment at the top of its file."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        top = itertools.takewhile(lambda line: line.startswith("#"), lines)
        text = " ".join(line.lstrip("# ") for line in top if not line.startswith("# @"))
        return re.split(r"(?<=\.) (?=[A-Z])", text)[0]


@dataclass
class Group:
    """A group of a command, the members that are chosen, and the keys of these."""

    name: str
    meaning: str
    chosen: list[str]
    members: list[Member]
    keys: list[Key] = field(default_factory=list)


@dataclass
class CommandKeys:
    """What a command reads. `header`: description and examples from its YAML, "" where it has none."""

    header: str
    keys: list[Key]
    groups: list[Group]


def command_keys(config: str, arguments: Sequence[str] = ()) -> CommandKeys:
    """Return the groups and keys of `conf/CONFIG.yaml` with the members that `arguments` choose."""
    return _Reader(arguments).read(config)


def given(arguments: Sequence[str]) -> dict[str, str]:
    """Return key -> value of the overrides among `arguments`."""
    matches = (_OVERRIDE.match(argument) for argument in arguments)
    return {match["key"]: match["value"] for match in matches if match}


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Return the folders of YAML files: ours, and that of `--config-dir`."""
    folders = [CONF]
    for i, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option in ("--config-dir", "-cd"):
            folders += [Path(text) for text in ([value] if value else arguments[i + 1 : i + 2])]
    return folders


class _Reader:
    def __init__(self, arguments: Sequence[str]) -> None:
        self.folders = config_folders(arguments)
        self.given = given(arguments)

    def read(self, config: str) -> CommandKeys:
        node = _load(CONF / f"{config}.yaml")
        items = node.get("defaults", [])
        schema = next(SCHEMAS[item] for item in items if isinstance(item, str) and item in SCHEMAS)
        groups = list(self._groups(items, ""))
        fields = {field.name: field for field in _own_first(schema)}
        for group in groups:
            if group.name in fields:
                group.meaning = fields[group.name].metadata.get("meaning", "")
        values = {key.name: key.default for group in groups if group.name == PRESET for key in group.keys}
        values |= {key: value for key, value in node.items() if key not in ("defaults", "hydra")}
        names = {group.name for group in groups}
        keys = [_of_field(f, values.get(name, f.default)) for name, f in fields.items() if name not in names]
        header = node.get("hydra", {}).get("help", {}).get("header", "")
        return CommandKeys(header, keys, groups)

    def _groups(self, items: Sequence[Any], above: str) -> Iterator[Group]:
        for item in items:
            if not isinstance(item, dict):
                continue
            for name, member in item.items():
                if not str(name).startswith("override "):
                    yield from self._group(f"{above}{name}", str(member))

    def _group(self, name: str, default: str) -> Iterator[Group]:
        chosen = self.given.get(name, default).split(",")
        group = Group(name, _UNSCHEMED.get(name, ""), chosen, self._members(name))
        yield group
        for member in group.members:
            if member.name in chosen:
                node = _load(member.path)
                known = {key.name for key in group.keys}
                keys = itertools.chain(self._keys(member, node, name), self._keys_of_parts(group, node))
                group.keys += [key for key in keys if key.name not in known]
                yield from self._groups(node.get("defaults", []), f"{name}/")

    def _keys_of_parts(self, group: Group, node: Mapping[str, Any]) -> Iterator[Key]:
        """Yield the keys of the members of `group` that one of them is made of: "MEMBER@PLACE"."""
        files = {member.name: member for member in group.members}
        for item in node.get("defaults", []):
            part, _, place = item.partition("@") if isinstance(item, str) else ("", "", "")
            if place:
                member = files[part]
                yield from self._keys(member, _load(member.path), f"{group.name}/{place}")

    def _members(self, group: str) -> list[Member]:
        found = {path.stem: path for folder in self.folders for path in (folder / group).glob("*.yaml")}
        return [Member(found[name]) for name in sorted(found)]

    def _keys(self, member: Member, node: Mapping[str, Any], group: str) -> Iterator[Key]:
        if group == "scenarios":
            fields = dataclasses.fields(ScenariosConfig)
            yield from (_of_field(f, node.get(f.name, f.default), "scenarios.") for f in fields)
            return
        prefix = "" if group == PRESET else group.replace("/", ".") + "."
        target = self.given.get(f"{prefix}_target_", node.get("_target_") or "")
        comments = _comments(member.path)
        shapes = _harness_keys(node) if group == "search" else {}
        for path, value, owner in _leaves(node, target):
            name = ".".join(path)
            if path[-1] == "_target_":
                yield Key(prefix + name, value, "str", _TARGET)
            elif name in shapes:
                yield _of_field(shapes[name], value, prefix)
            else:
                yield Key(prefix + name, value, meaning=comments.get(name, ""), target=owner)


def _own_first(schema: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of a command's schema, those that it shares with others behind its own."""
    return sorted(
        dataclasses.fields(schema), key=lambda field: field.name not in vars(schema)["__annotations__"]
    )


def _harness_keys(node: Mapping[str, Any]) -> dict[str, dataclasses.Field[Any]]:
    """Return the keys of a member of `search` that are none of its class's."""
    shape = HarnessKeys if node.get("_target_") else AutoSearchKeys
    return {field.name: field for field in dataclasses.fields(shape)}


def _leaves(node: Mapping[str, Any], target: str, above: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yield (path, value, class whose parameter it is) of each key that is no mapping of keys."""
    for key, value in node.items():
        path = (*above, str(key))
        if path == ("defaults",) or (key == "_target_" and value != MISSING):
            continue
        if isinstance(value, dict) and value:
            yield from _leaves(value, value.get("_target_") or target, path)
        else:
            yield path, value, target


def _of_field(field: dataclasses.Field[Any], value: Any, prefix: str = "") -> Key:
    if value is dataclasses.MISSING and callable(field.default_factory):
        value = field.default_factory()
    shown = field.metadata.get("shown")
    default = shown if shown is not None and value == field.default else value
    return Key(prefix + field.name, default, str(field.type), field.metadata.get("meaning", ""))


def _comments(path: Path) -> dict[str, str]:
    """Return dotted key -> the comment behind it, of a YAML file as those in `conf/` are written."""
    found: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        stack = [entry for entry in stack if entry[0] < indent] + [(indent, match["key"])]
        if match["comment"]:
            found[".".join(key for _, key in stack)] = match["comment"]
    return found


@functools.cache
def _load(path: Path) -> dict[str, Any]:
    node = yaml.safe_load(path.read_text(encoding="utf-8"))
    return node if isinstance(node, dict) else {}
