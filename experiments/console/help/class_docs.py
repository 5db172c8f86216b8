"""What a class says of its parameters, read from its source: nothing is imported, so that help is quick."""

from __future__ import annotations

import ast
import functools
import re
import sys
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, TypeGuard

from experiments.console.import_path import ROOT

_SECTIONS = ("Parameters", "Attributes")
_ITEM = re.compile(r"(\w+(?:, \w+)*)(?: : (.*))?$")
_INLINE = r"`{}`(?:, `\w+`)*: (.+?)(?=; `|\.(?: |$)|$)"
_SEE = re.compile(r"[Ss]ee `([\w.]+)`")


@dataclass(frozen=True)
class Parameter:
    """A parameter's annotation, default (source text, None where it has none) and meaning ("" if unsaid)."""

    name: str
    annotation: str
    default: str | None
    meaning: str


@dataclass(frozen=True)
class Source:
    """A class or function found in a file, with the names that the file imports or assigns."""

    node: ast.ClassDef | ast.FunctionDef
    module: str
    imports: dict[str, str]
    aliases: dict[str, ast.expr]

    def absolute(self, name: str) -> str:
        """Return the dotted path of what the file calls `name`."""
        return self.imports.get(name, f"{self.module}.{name}")

    @property
    def bases(self) -> list[str]:
        """The dotted paths of the classes that it extends, as far as they are plain names."""
        nodes = self.node.bases if isinstance(self.node, ast.ClassDef) else []
        return [self.absolute(base.id) for base in nodes if isinstance(base, ast.Name)]


@functools.cache
def parameters(target: str) -> dict[str, Parameter]:
    """Return name -> parameter of the class or function `target`; empty where its source is not found.

    They are those of its signature, of the settings class that its constructor `takes`, or the fields of a
    data class.
    """
    found = _find(target)
    if found is None:
        return {}
    made = _constructor(found.node)
    if made is not None:
        settings = [d.args[0].id for d in made.decorator_list if _is_takes(d)]
        return parameters(found.absolute(settings[0])) if settings else _of_signature(made, found, target)
    inherited: dict[str, Parameter] = {}
    for base in reversed(found.bases):
        inherited |= parameters(base)
    own = _fields(found, target)
    for name in own.keys() & inherited.keys():  # another default alone: it means what it meant
        own[name] = replace(own[name], meaning=own[name].meaning or inherited[name].meaning)
    return inherited | own


def _constructor(node: ast.ClassDef | ast.FunctionDef) -> ast.FunctionDef | None:
    if isinstance(node, ast.FunctionDef):
        return node
    return next((p for p in node.body if isinstance(p, ast.FunctionDef) and p.name == "__init__"), None)


def _is_takes(node: ast.expr) -> TypeGuard[Any]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "takes"
        and isinstance(node.args[0], ast.Name)
    )


def _of_signature(made: ast.FunctionDef, found: Source, target: str) -> dict[str, Parameter]:
    positional = [*made.args.posonlyargs, *made.args.args]
    blank: list[ast.expr | None] = [None] * (len(positional) - len(made.args.defaults))
    defaults = [*blank, *made.args.defaults, *made.args.kw_defaults]
    return {
        argument.arg: Parameter(
            argument.arg,
            _type(argument.annotation, found),
            None if default is None else ast.unparse(default),
            meaning(target, argument.arg),
        )
        for argument, default in zip([*positional, *made.args.kwonlyargs], defaults, strict=True)
        if argument.arg not in ("self", "cls")
    }


def _fields(found: Source, target: str) -> dict[str, Parameter]:
    """Return the fields of a data class or model; `Field(description=...)` says what one means."""
    fields: dict[str, Parameter] = {}
    for part in found.node.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
            continue
        name, value = part.target.id, part.value
        options = {o.arg: o.value for o in value.keywords} if isinstance(value, ast.Call) else {}
        default = options.get("default", options.get("default_factory")) if options else value
        said = options.get("description")
        text = str(said.value) if isinstance(said, ast.Constant) else meaning(target, name)
        shown = None if default is None else ast.unparse(default)
        fields[name] = Parameter(name, _type(part.annotation, found), shown, text)
    return fields


def _type(annotation: ast.expr | None, found: Source) -> str:
    """Return an annotation as help shows it: null for None, choices as a|b, mappings and lists by name."""
    match annotation:
        case None:
            return ""
        case ast.Name(id=name) if name in found.aliases:
            return _type(found.aliases[name], found)
        case ast.Name(id=name) if name in found.imports and (there := _alias(found.imports[name])):
            return there
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *_])):
            return _type(inner, found)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            return ast.unparse(inner).strip("()").replace("'", "").replace(", ", "|")
        case ast.Subscript(value=ast.Name(id="Mapping" | "dict")):
            return "mapping"
        case ast.Subscript(value=ast.Name(id="Sequence" | "list" | "tuple"), slice=inner):
            return f"list[{_type(inner, found)}]"
        case ast.BinOp(left=left, right=right):
            return f"{_type(left, found)} | {_type(right, found)}"
        case ast.Constant(value=None):
            return "null"
        case _:
            return ast.unparse(annotation)


def _alias(target: str) -> str:
    """Return the type that the assignment `target` of some module stands for, "" where it is none."""
    module, _, name = target.rpartition(".")
    source = _source(module)
    if source is None or name not in source.aliases:
        return ""
    return _type(source.aliases[name], source)


@functools.cache
def meaning(target: str, name: str) -> str:
    """Return what `target` says of its parameter `name`: in its sections, in its text, or where it points."""
    found = _find(target)
    if found is None:
        return ""
    doc = ast.get_docstring(found.node) or ""
    text = _sections(doc).get(name, "")
    if not text and (inline := re.search(_INLINE.format(re.escape(name)), " ".join(doc.split()))):
        text = inline[1]
    pointer = _SEE.search(text)
    if pointer and (there := meaning(pointer[1], name)):
        return there
    if not text:
        text = next(filter(None, (meaning(base, name) for base in found.bases)), "")
    return text


def _sections(doc: str) -> dict[str, str]:
    """Return name -> text of the sections that list parameters: "a, b : what" or the text below it."""
    texts: dict[str, str] = {}
    names: list[str] = []
    lines = doc.splitlines()
    inside = False
    for i, line in enumerate(lines):
        underlined = i + 1 < len(lines) and set(lines[i + 1].strip()) == {"-"}
        if underlined:
            inside = line.strip() in _SECTIONS
            names = []
        elif inside and set(line.strip()) != {"-"} and line.strip():
            item = None if line.startswith(" ") else _ITEM.match(line)
            if item:
                names = item[1].split(", ")
                texts.update(dict.fromkeys(names, item[2] or ""))
            else:
                for name in names:
                    texts[name] = _joined(texts[name], line.strip())
    return texts


def _joined(before: str, line: str) -> str:
    """Join a line to an item: below a type alone ("bool", "int >= 1") the text is what counts, both else."""
    return f"{before}; {line}" if re.fullmatch(r"\{.*\}", before) else f"{before} {line}".strip()


@functools.cache
def _find(target: str) -> Source | None:
    """Return where `target` is defined, through the packages that hand it on; None where nothing is found."""
    module, _, name = target.rpartition(".")
    source = _source(module)
    if source is None:
        return None
    for node in source.node.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return Source(node, module, source.imports, source.aliases)
    there = source.imports.get(name, target)
    return None if there == target else _find(there)


@functools.cache
def _source(module: str) -> Source | None:
    """Return a module as a class of what stands in it; None where it has no source."""
    tree = _tree(module)
    if tree is None:
        return None
    imports = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
    aliases: dict[str, ast.expr] = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Subscript, ast.BinOp))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    whole = ast.ClassDef(module, [], [], tree.body, [])
    return Source(whole, module, imports, aliases)


@functools.cache
def _tree(module: str) -> ast.Module | None:
    places = [str(ROOT), *sys.path]
    origin: str | None = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return None
        origin, places = spec.origin, list(spec.submodule_search_locations or ())
    if origin is None or not origin.endswith(".py"):
        return None
    try:
        return ast.parse(Path(origin).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
