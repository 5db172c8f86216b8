"""The text of `--help`: what a command does, its keys, and the groups that it reads."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.console.help.class_docs import parameters
from experiments.console.help.command_keys import CONF, PRESET, Group, Key, command_keys, given
from experiments.console.import_path import ROOT
from experiments.runs.schema_fields import MISSING

HELP = ("--help", "-h")
_OPTIONS = """\
Options
  -m, --multirun     a sweep: one run for each combination of values with commas
  --config-dir DIR   more members: DIR/search/mine.yaml is search=mine
  vars.NAME=VALUE    a value of your own, which others refer to as ${vars.NAME}
  --cfg job          print the configuration that would run; --resolve: with its references followed
  --hydra-help       further options, of Hydra"""
_TYPE = re.compile(r"(?:int|float|str|bool|mapping)(?:, optional| or None)?(?:[,;]? |(?= >)|(?= in \[))")
_SENTENCE_END = re.compile(r"(?<=[^.])\. (?=[A-Z`{])")


def program(module: str) -> str:
    """Return how the command in `experiments.MODULE` was called."""
    by_name = sys.argv[0].startswith("raise-planner ")
    return sys.argv[0] if by_name else f"python -m experiments.{module}"


def about(module: str) -> str:
    """Return what the command in `experiments.MODULE` does: the first sentence of its docstring."""
    with (ROOT / "experiments" / f"{module}.py").open(encoding="utf-8") as file:
        line = file.readline()
    return line.strip().strip('"').partition(": `")[0].rstrip(".")


def gives_help(module: str, arguments: Sequence[str]) -> bool:
    """Print the help of `experiments.MODULE` where `arguments` ask for it, and tell whether they do.

    Hydra's own (`--hydra-help`), and that of a command whose parser is its own, is another matter.
    """
    from experiments.console.arguments import has_arguments, parser

    composed = (CONF / f"{module}.yaml").is_file()
    if not any(argument in HELP for argument in arguments) or not (composed or has_arguments(module)):
        return False
    text = help_text(program(module), module, arguments) if composed else parser(module).format_help()
    print(text.rstrip("\n"))
    return True


def help_text(called: str, module: str, arguments: Sequence[str] = ()) -> str:
    """Return the help of a command: its keys, its groups, the keys of the members that `arguments` choose."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    found = command_keys(module, arguments)
    overrides = given(arguments)
    described = found.header.rstrip() or f"{about(module)}."
    parts = [f"usage: {called} [GROUP=MEMBER ...] [KEY=VALUE ...] [-m]", described]
    parts.append("\n".join(["Keys", *_rows(found.keys, width)]))
    parts += ["\n".join(_group(group, overrides, width)) for group in found.groups]
    if found.groups:
        parts.append(f"Keys of another member: {called} GROUP=MEMBER --help")
    return "\n\n".join([*parts, _OPTIONS])


def _group(group: Group, overrides: dict[str, str], width: int) -> Iterator[str]:
    yield from _wrapped(f"Group {group.name}={','.join(group.chosen)}: {group.meaning}", "", width)
    if len(group.members) > 1:
        longest = max(len(member.name) for member in group.members)
        for member in group.members:
            mark = "*" if member.name in group.chosen else " "
            yield from _wrapped(member.line.rstrip("."), f"  {mark} {member.name:{longest}}  ", width)
    if group.name == PRESET:
        return  # they are the command's own
    place = group.name.replace("/", ".")
    keys = [*group.keys, *_further(group, place, overrides.get(f"{place}._target_", ""))]
    if keys and len(group.members) > 1:
        yield ""
    yield from _rows(keys, width)


def _further(group: Group, place: str, target: str) -> Iterator[Key]:
    """Yield the parameters of a class of the user's; a member's YAML names those of ours."""
    names = {key.name for key in group.keys}
    for parameter in parameters(target).values() if target else ():
        name = f"{place}.{parameter.name}"
        if name not in names:
            default = MISSING if parameter.default is None else parameter.default
            yield Key(f"+{name}", default, parameter.annotation, parameter.meaning, target)


def _rows(keys: Sequence[Key], width: int) -> Iterator[str]:
    """Yield a line (or more) for each key: name=default, type, meaning."""
    shown = [explained(key) for key in keys]
    heads = [f"{key.name}={shown_value(key.default)}" for key in shown]
    longest = min(max(map(len, heads), default=0), 40)
    types = min(max((len(key.type) for key in shown), default=0), 14)
    for key, head in zip(shown, heads, strict=True):
        start = f"  {head:{longest}}  {key.type:{types}}  "
        if len(start) > 2 + longest + 2 + types + 2:
            yield start.rstrip()
            start = " " * (longest + types + 6)
        yield from _wrapped(key.meaning, start, width)


def _wrapped(text: str, start: str, width: int) -> Iterator[str]:
    lines = textwrap.wrap(text, max(width - len(start), 30), break_long_words=False, break_on_hyphens=False)
    yield (start + (lines[0] if lines else "")).rstrip()
    indent = " " * len(start) if start else "  "
    yield from (indent + line for line in lines[1:])


def explained(key: Key) -> Key:
    """Return `key` with the type and meaning that its class gives it, where its YAML says none."""
    # A nested mapping without a class of its own holds parameters of the one above.
    found = parameters(key.target).get(key.name.rpartition(".")[2]) if key.target else None
    kind = key.type or (found.annotation if found else "") or _kind(key.default)
    said = key.meaning or (_short(found.meaning) if found else "")
    return Key(key.name, key.default, kind.replace("None", "null"), said, key.target)


def _short(text: str) -> str:
    """Return the first sentence, without the type that stands in a column of its own."""
    own = _TYPE.match(text)
    rest = text[own.end() :] if own else text
    return _SENTENCE_END.split(rest)[0].strip().rstrip(".").replace("None", "null")


def _kind(value: Any) -> str:
    return "" if value is None or value == MISSING else type(value).__name__


def shown_value(value: Any) -> str:
    """Return a default as it would be typed."""
    if value == MISSING:
        return "(required)"
    if isinstance(value, str):
        return value if value and value == value.strip() else f"'{value}'"
    return re.sub(r'"([^"]*)"', r"\1", json.dumps(value)).replace(", ", ",")
