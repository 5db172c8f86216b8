"""What a class says of its parameters, read from its source: nothing is imported, so that help is quick."""

from __future__ import annotations

import ast
import functools
import re
import sys
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path

from experiments.runs.import_path import ROOT

_SECTIONS = ("Parameters", "Attributes")
_ITEM = re.compile(r"(\w+(?:, \w+)*)(?: : (.*))?$")
_INLINE = r"`{}`(?:, `\w+`)*: (.+?)(?=; `|\.(?: |$)|$)"
_SEE = re.compile(r"[Ss]ee `([\w.]+)`")
_SENTENCE_END = re.compile(r"(?<=\.) ")


@dataclass(frozen=True)
class Parameter:
    """A parameter's annotation, default (source text, None where it has none) and meaning ("" if unsaid)."""

    name: str
    annotation: str
    default: str | None
    meaning: str


@dataclass
class ClassSource:
    """A class or function found in a file, with the names that the file imports."""

    node: ast.ClassDef | ast.FunctionDef
    imports: dict[str, str] = field(default_factory=dict)
    module: str = ""


def first_sentence(target: str) -> str:
    """Return what `target` (a dotted path) says of itself first, "" where nothing is found."""
    found = _find(target)
    text = "" if found is None else ast.get_docstring(found.node) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def parameters(target: str) -> list[Parameter]:
    """Return the parameters of the class or function `target`, none where its source is not found."""
    found = _find(target)
    if found is None:
        return []
    made = _constructor(found)
    if made is None:
        return []
    arguments = [*made.args.posonlyargs, *made.args.args, *made.args.kwonlyargs]
    positional = [*made.args.posonlyargs, *made.args.args]
    blank: list[ast.expr | None] = [None] * (len(positional) - len(made.args.defaults))
    defaults = [*blank, *made.args.defaults, *made.args.kw_defaults]
    return [
        Parameter(
            argument.arg,
            "" if argument.annotation is None else ast.unparse(argument.annotation),
            None if default is None else ast.unparse(default),
            meaning(target, argument.arg),
        )
        for argument, default in zip(arguments, defaults, strict=True)
        if argument.arg not in ("self", "cls")
    ]


@functools.cache
def meaning(target: str, name: str) -> str:
    """Return what `target` says of its parameter `name`: in its sections, in its text, or where it points."""
    found = _find(target)
    if found is None:
        return ""
    doc = ast.get_docstring(found.node) or ""
    text = _sections(doc).get(name, "")
    pointer = _SEE.search(text)
    if pointer and (there := meaning(pointer[1], name)):
        return there
    if not text and (inline := re.search(_INLINE.format(re.escape(name)), " ".join(doc.split()))):
        text = inline[1]
    if not text and isinstance(found.node, ast.ClassDef):
        bases = [base.id for base in found.node.bases if isinstance(base, ast.Name)]
        text = next(filter(None, (meaning(_absolute(found, base), name) for base in bases)), "")
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


def _constructor(found: ClassSource) -> ast.FunctionDef | None:
    if isinstance(found.node, ast.FunctionDef):
        return found.node
    for part in found.node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return part
    bases = [base.id for base in found.node.bases if isinstance(base, ast.Name)]
    above = (_find(_absolute(found, base)) for base in bases)
    return next((made for base in above if base and (made := _constructor(base))), None)


def _absolute(found: ClassSource, name: str) -> str:
    return found.imports.get(name, f"{found.module}.{name}")


@functools.cache
def _find(target: str) -> ClassSource | None:
    """Return where `target` is defined, through the packages that hand it on; None where nothing is found."""
    module, _, name = target.rpartition(".")
    tree = _tree(module)
    if tree is None:
        return None
    imports = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return ClassSource(node, imports, module)
    return _find(imports[name]) if name in imports and imports[name] != target else None


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
