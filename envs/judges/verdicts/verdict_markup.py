"""Rewrite verdicts plainly (full-width characters, LaTeX, CSV); every character keeps its place."""

from __future__ import annotations

import re

from envs.judges.verdicts.verdict_words import DIMENSIONS, NAME

PLAIN = {ord(plain) + 0xFEE0: plain for plain in "0123456789:/%,()|"}
PLAIN |= {ord(quote): '"' for quote in "\u201c\u201d\u201e\u00ab\u00bb"}
PLAIN |= {ord(quote): "'" for quote in "\u2018\u2019\u201a"}
"""What other keyboards write for our characters, one for one, so that places in the text stay."""
PLAIN |= {
    ord(block): " " for block in "\u2588\u2593\u2592\u2591\u25a0\u25a1\u25cf\u25cb\u25ae\u25af"
}  # a bar beside a level
PLAIN |= {first + n: str(1 + n) for first in (0x2460, 0x2776) for n in range(5)}  # digits in circles
PLAIN |= {0x2502: "|", 0x2503: "|", 0x20E3: " ", 0xFE0F: " "}  # tables drawn in boxes, digits on keys
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
_HTML_CELL = re.compile(r"</t[hd]>\s*<t[hd][^<>\n]*>", re.I)
_HTML_ROW = re.compile(r"</tr>\s*<tr[^<>\n]*>", re.I)
_HTML_TABLE = re.compile(r"</?(?:table|thead|tbody|tr|th|td)\b[^<>\n]*>", re.I)
_BOX = r"[\[(][ xX\u2713\u2714]?[\])]"
_BOXES = re.compile(
    rf":?[ \t]*{_BOX}[ \t]*1" + "".join(rf"[ \t,|]*{_BOX}[ \t]*{n}" for n in (2, 3, 4, 5)) + r"(?![\d.])"
)
_TICKED = re.compile(r"[\[(][xX\u2713\u2714][\])][ \t]*([1-5])")
_NUMBER = re.compile(r"[\s\"]*\d")

_SEPARATOR = r"[\"'`*_]*\s*(?:[,;/|&]|\band\b|\n[ \t]*[-*\u2022])\s*(?:and |the )?[\"'`*_]*"
_THREE_NAMES = rf"{NAME.pattern}(?:{_SEPARATOR}{NAME.pattern}){{2}}"
_ONE_LEVEL = r"[1-5](?:\.0+)?(?: ?/ ?5| out of 5)?"
_THREE_LEVELS = (
    rf"(?<![\w.,/-])(?<!\d, )(?P<first>{_ONE_LEVEL})(?P<comma>{_SEPARATOR})"
    rf"(?P<second>{_ONE_LEVEL})(?P<comma2>{_SEPARATOR})(?P<third>{_ONE_LEVEL})"
    rf"(?![\w.%/]*\d|[\w%/])(?!{_SEPARATOR}\d)"
)
_SCORES = (
    r"(?<!\w)[\"'`*_]*(?:(?:my|the|final|overall|their|respective) )*"
    r"(?:scores?|ratings?|values?|levels?|points|marks|grades?|verdicts?)[\"'`*_]*"
)
_LEADS_TO = (  # a colon alone is not enough: what stands behind it may be anything
    rf"[\s\"'`*_]{{0,40}}(?:\]?(?:\([^()\d\n]*\))?(?:[,;.]?\s{{0,40}}){_SCORES}\s*(?:[:=]|->|\u2192|\bare\b)"
    r"|\b(?:are|gets?|receives?)\b:?|[)\]]\s*(?:[:=]|->|\u2192)\s*(?=[(\[]))\s*[\[({\"'`*_-]*\s*"
)
NAMES_IN_A_ROW = re.compile(_THREE_NAMES, re.I)
ROWS = (
    re.compile(rf"(?P<names>{_THREE_NAMES}){_LEADS_TO}{_THREE_LEVELS}", re.I),
    re.compile(rf"{_THREE_LEVELS}\s*(?:for|in|on) (?:the )?(?P<names>{_THREE_NAMES})", re.I),
    re.compile(
        rf"{_SCORES}\s*\((?:in (?:the|this) order:? ?(?:of )?)?(?P<names>{_THREE_NAMES})\)\s*[:=]"
        rf"\s*{_THREE_LEVELS}",
        re.I,
    ),
)
"""Three names in a row, and three levels in a row that belong to them."""
LISTS = (
    re.compile(rf"\[[\s\"'`*_]*(?P<names>{_THREE_NAMES})[\s\"'`*_]*\]", re.I),
    re.compile(rf"{_SCORES}\s*[:=]\s*\[[\s\"']*{_THREE_LEVELS}[\s\"']*\]", re.I),
)
"""The same as two lists of an object, with others between them perhaps."""


def flattened(text: str) -> str:
    """Return `text`, of the same length, with our characters, without LaTeX, and `|` between cells of CSV."""
    text = _with_bars(_without_boxes(_without_html(_without_latex(text.translate(PLAIN)))))
    for row in (*ROWS, LISTS[1]) if NAMES_IN_A_ROW.search(text) else ():
        text = row.sub(_barred, text)
    return text


def _barred(row: re.Match[str]) -> str:
    """Return the text of a row with `|` between its levels, which else were decimals or fractions."""
    text = list(row[0])
    for separator in ("comma", "comma2"):
        start, end = (place - row.start() for place in row.span(separator))
        text[start:end] = ["|" if c in ",;/&" else c for c in text[start:end]]
    return "".join(text)


def _without_html(text: str) -> str:
    """Return `text` with `|` between the cells of an HTML table, and its rows in lines."""
    if "</t" not in text.lower():
        return text
    text = _HTML_CELL.sub(lambda m: "|".ljust(len(m[0])), text)
    text = _HTML_ROW.sub(lambda m: "\n".ljust(len(m[0])), text)
    return _HTML_TABLE.sub(lambda m: " " * len(m[0]), text)


def _without_boxes(text: str) -> str:
    """Return `text` with the ticked one alone of five boxes with a level each."""

    def ticked(boxes: re.Match[str]) -> str:
        marked = list(_TICKED.finditer(boxes[0]))
        if len(marked) != 1:
            return boxes[0]
        return ":" + marked[0][1].rjust(marked[0].end(1) - 1).ljust(len(boxes[0]) - 1)

    return _BOXES.sub(ticked, text)


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
