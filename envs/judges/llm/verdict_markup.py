"""Rewrite verdicts plainly (full-width characters, LaTeX, CSV); every character keeps its place."""

from __future__ import annotations

import re

from envs.judges.llm.verdict_words import DIMENSIONS, NAME

PLAIN = {ord(plain) + 0xFEE0: plain for plain in "0123456789:/%,()|"}
PLAIN |= {ord(quote): '"' for quote in "\u201c\u201d\u201e\u00ab\u00bb"}
PLAIN |= {ord(quote): "'" for quote in "\u2018\u2019\u201a"}
"""What other keyboards write for our characters, one for one, so that places in the text stay."""

COLUMN = re.compile(rf"[\s\"'*_`]*{NAME.pattern}[\s\"'*_`]*(?:\([^()]*\))?[\s\"'*_`]*", re.I)
"""The head of a column with levels of one dimension, which is the group that matched."""

_MATH = re.compile(r"(?<![\\$\w])(\$\$?)(?=\S)([^$\n]{1,80})(?<=\S)\1(?![\d$])")
_FRACTION = re.compile(r"(\\[dt]?frac\{)(\d+)\}\{(\d+)\}")
_COMMAND = re.compile(r"(\\(?:f?box(?:ed)?|emph|underline|bm|(?:text|math)[a-z]*)[ ]?\{)([^{}]*)\}")
_DEEPEST = 3
"""Commands inside of each other that are taken out: a text of nothing else would take for ever."""
_OTHER = re.compile(r"\\(?:[()\[\]]|(?:item|q?quad)\b)")
_ROW_END = re.compile(r"^([^&\n]*&[^\n]*?)\\\\[ \t]*(?:\\hline)?[ \t]*$", re.M)
_LINE = re.compile(r"[^\r\n]*[^\r\n\s][^\r\n]*")
_CELL = {mark: re.compile(rf'((?:"[^"]*"|[^{mark}])*)(?:{mark}|$)') for mark in ",;\t"}
_NAME, _LEVEL = re.compile(rf"[\s\"]*{NAME.pattern}[\s\"]*", re.I), re.compile(r"[\s\"]*[1-5][\s\"]*")
_NUMBER = re.compile(r"[\s\"]*\d")


def flattened(text: str) -> str:
    """Return `text`, of the same length, with our characters, without LaTeX, and `|` between cells of CSV."""
    return _with_bars(_without_latex(text.translate(PLAIN)))


def _without_latex(text: str) -> str:
    """Return `text` with spaces in place of the marks of LaTeX: dollars, commands, braces, ends of rows."""
    if "$" not in text and "\\" not in text:
        return text
    text = _MATH.sub(lambda m: f"{' ' * len(m[1])}{m[2]}{' ' * len(m[1])}", text)
    text = _FRACTION.sub(lambda m: f"{' ' * len(m[1])}{m[2]} /{m[3]} ", text)
    for _ in range(_DEEPEST):  # from the inside out
        text = _COMMAND.sub(lambda m: f"{' ' * len(m[1])}{m[2]} ", text)
    text = _ROW_END.sub(lambda m: m[1].replace("&", "|").ljust(len(m[0])), text)
    return _OTHER.sub(lambda m: " " * len(m[0]), text)


def _with_bars(text: str) -> str:
    """Return `text` with `|` between cells: of `name,4`, or of names in one row and levels in others."""
    found, columns = list(text), {}
    for line in _LINE.finditer(text):
        for mark, cell in _CELL.items():
            cells = list(cell.finditer(line[0]))
            heads = [n for n, said in enumerate(cells) if COLUMN.fullmatch(said[1])]
            is_head = len(heads) == len(DIMENSIONS)
            if is_head:
                columns[mark] = heads[0]
            is_pair = len(cells) > 1 and _NAME.fullmatch(cells[0][1]) and _LEVEL.fullmatch(cells[1][1])
            under = columns.get(mark, len(cells))
            if is_head or is_pair or (under < len(cells) and _NUMBER.match(cells[under][1])):
                for said in cells:
                    if said.end(1) < said.end():
                        found[line.start() + said.end(1)] = "|"
                break
    return "".join(found)
