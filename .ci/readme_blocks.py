"""Fenced code blocks of a Markdown file, for `.ci/run` and for the tests of README and site.

As a script, `python3 .ci/readme_blocks.py README.md 2` prints the first two ```bash blocks, a line each, and
fails where there are fewer or one is not exactly one line. Standard library only: it runs before anything
is installed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

_FILE = re.compile(r"(?:<!--|#)\s*(?:file:\s*)?([\w.-]+\.(?:py|ya?ml|jsonl?))\s*(?:-->)?")


_NOTE = re.compile(r"<!--\s*(stays|not run: .+?)\s*-->")


class Block(NamedTuple):
    """One fenced block: `language` of its fence, `text` inside it, number of its first `line` (from 1).

    `file`: the file it shows, named by its first line as a comment (`# my_judges.py`) or by an HTML comment
    on the line above the fence (`<!-- people.jsonl -->`); "" where it names none. `note`: the HTML comment
    above the fence that says how it is run: `stays` (it goes on beside the blocks below), or
    `not run: REASON`; "" without one.
    """

    language: str
    text: str
    line: int
    file: str = ""
    note: str = ""


def blocks(markdown: str, language: str | None = None) -> list[Block]:
    """Return the blocks of `markdown` in order, those of one `language` if given.

    Raises
    ------
    ValueError
        a block is not closed.
    """
    found: list[Block] = []
    lines = markdown.splitlines()
    start: int | None = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
            continue
        inside = lines[start + 1 : number]
        above = lines[start - 1] if start else ""
        named = _FILE.fullmatch(above.strip()) or _FILE.fullmatch(inside[0].strip() if inside else "")
        text = "".join(f"{row}\n" for row in inside)
        note = _NOTE.fullmatch(above.strip())
        file, how = (match[1] if match else "" for match in (named, note))
        found.append(Block(lines[start][3:].strip(), text, start + 2, file, how))
        start = None
    if start is not None:
        raise ValueError(f"line {start + 1}: a block that is never closed")
    return [block for block in found if language in (None, block.language)]


def one_liners(markdown: str, count: int) -> list[str]:
    """Return the first `count` ```bash blocks as commands.

    Raises
    ------
    ValueError
        there are fewer, or one of them is not exactly one line.
    """
    found = blocks(markdown, "bash")[:count]
    if len(found) < count:
        raise ValueError(f"found {len(found)} bash blocks, expected at least {count}")
    for block in found:
        if len(block.text.splitlines()) != 1 or not block.text.strip():
            lines = len(block.text.splitlines())
            raise ValueError(f"line {block.line}: a bash block of {lines} lines, expected exactly one")
    return [block.text.rstrip("\n") for block in found]


if __name__ == "__main__":
    try:
        print("\n".join(one_liners(Path(sys.argv[1]).read_text(encoding="utf-8"), int(sys.argv[2]))))
    except ValueError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
