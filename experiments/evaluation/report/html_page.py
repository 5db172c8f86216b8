"""Writes one self-contained HTML page: no script, no font, no image from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from experiments.plots.svg import Drawing

_CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 Georgia, 'Times New Roman', serif; color: #111; background: #fff; margin: 2.5rem auto;
  max-width: 62rem; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; line-height: 1.35; margin: 2.6rem 0 .6rem; }
p, li { max-width: 46rem; }
.notice { border: 2px solid #111; padding: .6rem .9rem; font-weight: bold; max-width: none; }
figure { margin: 0; }
figure svg { width: 100%; height: auto; display: block; }
figcaption, .note { color: #444; font-size: .9rem; max-width: 50rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font: 13px/1.4 Helvetica, Arial, sans-serif; margin: .6rem 0 1rem; }
th, td { padding: .28rem .6rem; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #111; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""

# The policy forbids whatever would come over a network; scripts there are none.
_FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
{body}
</body>
</html>
"""


class Grid(NamedTuple):
    """A table, titled by what is seen; columns from `numbers` on are set flush right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    numbers: int = 1


def page(title: str, lead: Sequence[str], notice: str, parts: Sequence[Drawing | Grid]) -> str:
    """Return the page. `notice`: in a box below the title; `lead`: sentences below that."""
    body = [f"<h1>{html.escape(title)}</h1>", f'<p class="notice">{html.escape(notice)}</p>']
    body.append("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lead) + "</ul>")
    body += [_drawing(part) if isinstance(part, Drawing) else _grid(part) for part in parts]
    return _FRAME.format(title=html.escape(title), css=_CSS, body="\n".join(body))


def _drawing(drawing: Drawing) -> str:
    return (
        f'<section id="{drawing.key}">\n<h2>{html.escape(drawing.title)}</h2>\n<figure>\n{drawing.svg}\n'
        f"<figcaption>{html.escape(drawing.note)}</figcaption>\n</figure>\n</section>"
    )


def _grid(grid: Grid) -> str:
    head = "".join(_cell("th", name, k >= grid.numbers) for k, name in enumerate(grid.columns))
    rows = "".join(
        "<tr>" + "".join(_cell("td", value, k >= grid.numbers) for k, value in enumerate(row)) + "</tr>\n"
        for row in grid.rows
    )
    note = f'<p class="note">{html.escape(grid.note)}</p>' if grid.note else ""
    return (
        f"<section>\n<h2>{html.escape(grid.title)}</h2>\n{note}\n"
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table></div>\n</section>"
    )


def _cell(kind: str, text: str, number: bool) -> str:
    opening = f'{kind} class="n"' if number else kind
    return f"<{opening}>{html.escape(text)}</{kind}>"


def markdown(grid: Grid) -> str:
    """Return `grid` as a Markdown table."""
    rule = ["---:" if k >= grid.numbers else "---" for k in range(len(grid.columns))]
    lines = [grid.columns, rule, *grid.rows]
    return (
        "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        + "\n"
    )
