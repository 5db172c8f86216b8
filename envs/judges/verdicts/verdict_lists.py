"""Verdicts as lists: sentences that give three levels, tables, rows of names with a row of levels."""

from __future__ import annotations

import re

from envs.judges.verdicts.verdict_markup import COLUMN, LISTS, NAMES_IN_A_ROW, ROWS
from envs.judges.verdicts.verdict_words import DIMENSIONS, LEVEL_WORD, NAME, OF

_LEVEL = rf"(?P<%s>[1-5](?![.,]?\d)|{LEVEL_WORD})(?:(?: ?/ ?| {OF} )(?:5|five))?"
_GIVEN = re.compile(  # a 2 for risk sensitivity; risk sensitivity a 2; on risk sensitivity a low 2
    rf"(?<![\w.,/-]){_LEVEL % 'before'} (?:for|in|on) (?:the )?(?={NAME.pattern})"
    rf"|{NAME.pattern} an? {_LEVEL % 'level'}(?![\w-]| [^\W\d]+s\b)"
    rf"|{NAME.pattern}(?:,? [^.;:{{}}\n\d]{{0,40}}?\b(?:at|as|gives?|gets|earns|scores|deserves|is)(?: it)?)?"
    r" (?:an? )?(?:(?:solid|low|high|clear|plain|strong|weak|firm|bare|fair|modest|mere|full|level) )?"
    rf"{_LEVEL % 'behind'}(?: (?:points?|stars?))?"
    r"(?=[.,;!](?:\s|$)|\n|$| (?:and|because|since|for)\b)",
    re.I,
)
_LEVELS = set(_GIVEN.groupindex.values())
_NAMES = [n for n in range(1, _GIVEN.groups + 1) if n not in _LEVELS]
_END = re.compile(r"[.!?;](?:\s|$)|\n")
_TABLE = re.compile(
    r"^(?P<head>[^\n|]*\|[^\n]*)(?=\n(?P<rule>[ \t]*[|:-][-|: \t\r]*\n)?"
    r"(?P<row>[^\n|]*\|[^\n]*)(?:\n(?P<more>[^\n|]*\|)?|$))",
    re.M,
)
_SUPPOSED = re.compile(r"\b(?:not|ideal|perfect|best|better|could|should|if|instead of)\b|n't\b", re.I)


def in_rows(text: str) -> tuple[list[tuple[str, int | None]], str]:
    """Return what `_statements` does of a row of names with a row of levels, and `text` without them.

    As two lists of an object, they belong together where there is one of each.
    """
    found: list[tuple[str, int | None]] = []
    if not NAMES_IN_A_ROW.search(text):
        return found, text
    rows = [(row, row) for form in ROWS for row in form.finditer(text)]
    names, levels = (list(form.finditer(text)) for form in LISTS)
    if not rows and len(names) == len(levels) == 1:
        rows = [(names[0], levels[0])]
    if len(levels) > 1:  # which of them is it?
        return [(name, None) for name in DIMENSIONS], text
    rest = text
    for named, leveled in rows:
        order = [DIMENSIONS[(name.lastindex or 1) - 1] for name in NAME.finditer(named["names"])]
        found += zip(order, map(leveled.start, ("first", "second", "third")), strict=True)
        for row in {named, leveled}:
            rest = rest[: row.start()] + " " * len(row[0]) + rest[row.end() :]
    return found, rest


def given(text: str) -> list[tuple[str, int | None]]:
    """Return what `_statements` does of a sentence that says what it gives, and supposes nothing."""
    sentences, found = list(_GIVEN.finditer(text)), list[tuple[str, int | None]]()
    if len(sentences) != len(DIMENSIONS):
        return found
    ends = [sign.end() for sign in _END.finditer(text)]
    first = max((end for end in ends if end <= sentences[0].start()), default=0)
    last = min((end for end in ends if end >= sentences[-1].end()), default=len(text))
    if _SUPPOSED.search(text, first, last):
        return found
    for one in sentences:
        groups = one.groupdict()
        level = next(name for name in groups if groups[name])
        name = next(n for n, group in enumerate(_NAMES) if one[group])
        found.append((DIMENSIONS[name % len(DIMENSIONS)], one.start(level)))
    return found


def in_columns(text: str) -> list[tuple[str, int | None]]:
    """Return what `_statements` does of tables with a column for each dimension: of one row, else unclear."""
    found: list[tuple[str, int | None]] = []
    for table in _TABLE.finditer(text):
        cells, place = [], table.start("row")
        for cell in table["row"].split("|"):
            cells.append(place + len(cell) - len(cell.lstrip("*_` \t")))
            place += len(cell) + 1
        heads = table["head"].split("|")
        is_clear = table["more"] is None and len(heads) == len(cells)
        names = NAME.search if table["rule"] else COLUMN.fullmatch
        named = [(name, n) for n, head in enumerate(heads) if (name := names(head))]
        if len(named) == len(DIMENSIONS):
            found += [
                (DIMENSIONS[(name.lastindex or 1) - 1], cells[n] if is_clear else None) for name, n in named
            ]
    return found
