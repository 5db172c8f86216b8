"""Pages of the site that are made when it is built, as a hook of MkDocs: commands and keys, notebooks, files.

The keys come from where `--help` has them, so that the site cannot say anything else.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from experiments.cli import COMMANDS  # noqa: E402
from experiments.console.arguments import has_arguments, parser  # noqa: E402
from experiments.console.help.command_keys import CONF, PRESET, Group, Key, command_keys  # noqa: E402
from experiments.console.help.help_text import about, explained, shown_value  # noqa: E402

WHOLE_FILES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages that are files of the checkout."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages (MkDocs' event); some stand for files that say where to look."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        if (found := files.get_file_from_path(name)) is not None:
            files.remove(found)
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Return page -> its Markdown."""
    made = {name: (ROOT / file).read_text(encoding="utf-8") for name, file in WHOLE_FILES.items()}
    made |= {"reference/commands.md": commands_page(), "reference/groups.md": groups_page()}
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        made[f"notebooks/{path.stem}.md"] = notebook_page(path)
    return made


def commands_page() -> str:
    """Return all commands, each with its keys and its groups."""
    all_commands = COMMANDS.items()
    parts = [
        "# Commands",
        "Every command is `raise-planner NAME`, or `python -m experiments.MODULE`; `raise-planner NAME "
        "--help` prints what stands here. A key is set by `key=value`, a part is exchanged by "
        "`group=member`, `-m key=1,2` runs once for each value. Keys of groups are on "
        "[a page of their own](groups.md).",
        "## All commands",
        _table(("Command", "What it does"), ((f"[`{n}`](#{n})", _text(about(m))) for n, m in all_commands)),
    ]
    return "\n\n".join([*parts, *(_command(name, module) for name, module in all_commands)]) + "\n"


def _command(name: str, module: str) -> str:
    head = [f"## `{name}` {{ #{name} }}", f"`python -m experiments.{module}`"]
    if not (CONF / f"{module}.yaml").is_file():
        return "\n\n".join([*head, _fenced(_argparse_help(name, module))])
    found = command_keys(module)
    head.append(_fenced(found.header) if found.header else f"{_text(about(module))}.")
    if found.keys:
        head.append(_keys(found.keys))
    if found.groups:
        rows = ((_group_link(g), f"`{','.join(g.chosen)}`", _text(g.meaning)) for g in found.groups)
        head.append(_table(("Group", "Member by default", "What it stands for"), rows))
    return "\n\n".join(head)


def _argparse_help(name: str, module: str) -> str:
    """Return the help of a command that takes plain arguments."""
    if has_arguments(module):
        own = parser(module)
        own.prog = f"raise-planner {name}"
        return own.format_help()
    command = [sys.executable, "-m", f"experiments.{module}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


def groups_page() -> str:
    """Return every group, each member with its keys."""
    parts = [
        "# Groups and their keys",
        "A group is a part that can be exchanged: `search=greedy` takes the member `greedy` of `search`, "
        "and `search.lazy=true` sets its key. A member `custom` takes a class of yours. `(required)` has no "
        "default.",
    ]
    for module, group in _all_groups().items():
        parts += [f"## `{module}` {{ #{_anchor(module)} }}", _text(group[1].meaning).capitalize() + "."]
        parts += [_member(group[0], group[1], name) for name in (member.name for member in group[1].members)]
    return "\n\n".join(parts) + "\n"


def _all_groups() -> dict[str, tuple[str, Group]]:
    """Return group -> (a command that reads it, the group), the most used commands first."""
    found: dict[str, tuple[str, Group]] = {}
    for module in COMMANDS.values():
        if (CONF / f"{module}.yaml").is_file():
            for group in command_keys(module).groups:
                if group.name != PRESET:
                    found.setdefault(group.name, (module, group))
    return found


def _member(module: str, group: Group, name: str) -> str:
    chosen = next(g for g in command_keys(module, [f"{group.name}={name}"]).groups if g.name == group.name)
    line = next(member.line for member in chosen.members if member.name == name)
    parts = [f"### `{group.name}={name}` {{ #{_anchor(group.name)}-{name} }}", _text(line)]
    return "\n\n".join([*parts, _keys(chosen.keys)] if chosen.keys else parts)


def _group_link(group: Group) -> str:
    return f"`{group.name}`" if group.name == PRESET else f"[`{group.name}`](groups.md#{_anchor(group.name)})"


def _anchor(group: str) -> str:
    return group.replace("/", "-")


def _keys(keys: Sequence[Key]) -> str:
    rows = map(explained, keys)
    cells = (
        (f"{_code(f'{k.name}={shown_value(k.default)}')} {_text(k.type)}", _text(k.meaning)) for k in rows
    )
    return _table(("Key, default, type", "Meaning"), cells)


def _table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    """Return plain text as Markdown: nothing in it is a tag, a column or a mark."""
    signs = {"|": "&#124;", "*": "&#42;", "_": "&#95;", "[": "&#91;", "]": "&#93;", "{": "&#123;"}
    parts = html.escape(text, quote=False).split("`")
    marked = ["".join(signs.get(sign, sign) for sign in part) for part in parts]
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(marked))


def _fenced(text: str) -> str:
    return f"```text\n{text.strip(chr(10)).rstrip()}\n```"


def notebook_page(path: Path) -> str:
    """Return a notebook as it was run: text, code and what the code printed."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        said = "".join("".join(output.get("text", ())) for output in cell["outputs"])
        if said:
            parts.append(_fenced(said))
    note = f"This page is the notebook [`{path.name}`]({path.name}), with what it printed."
    return "\n\n".join([parts[0], note, *parts[1:]]) + "\n"
