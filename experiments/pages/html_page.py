"""Writes pages of one look. A page that `page` returns is one file: nothing from elsewhere, no script."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.pages.grid import Grid
from experiments.plots.palette import plot_colours, themed
from experiments.plots.svg import Drawing

_TEMPLATES = Path(__file__).parent / "templates"
OPEN_ROWS = 20
"""Tables with more rows are folded until they are opened."""
MANY_COLUMNS = 7
"""Columns of a table from beyond which on a number and its interval may stand on two lines."""


class KeyFact(NamedTuple):
    """One line of the first screen: what a reader asks first, and the answer in a sentence."""

    question: str
    sentence: str


class Section(NamedTuple):
    """Parts of a page below one heading. `lead`: sentences at its head."""

    title: str
    parts: Sequence[Drawing | Grid] = ()
    lead: Sequence[str] = ()


class _Entry(NamedTuple):
    """A section as the template has it: `key` is its id, unique on the page."""

    key: str
    section: Section


def page(
    title: str,
    lead: Sequence[str],
    notice: str,
    parts: Sequence[Drawing | Grid | Section],
    facts: Sequence[KeyFact] = (),
    cards: Sequence[KeyFact] = (),
    terms: Sequence[str] = (),
) -> str:
    """Return a whole page.

    Parameters
    ----------
    title : what was found, in one line
    lead : sentences below the facts
    notice : in a box below the title; where it begins with SIMULATED that stands out
    parts : sections; a figure or table by itself is a section titled as it is
    facts, cards : of the first screen; cards are of equal size side by side
    terms : words of `terms.yaml` that are explained at the end
    """
    sections = [part if isinstance(part, Section) else Section(part.title, (part,)) for part in parts]
    keys: set[str] = set()
    entries = [_Entry(_key(section, keys), section) for section in sections]
    return render(
        "report.html", title=title, lead=lead, notice=notice, entries=entries, facts=facts, cards=cards,
        terms=explained(terms), css=style_sheet(),
    )  # fmt: skip


@cache
def _all_terms() -> Mapping[str, str]:
    return dict(yaml.safe_load((_TEMPLATES.parent / "terms.yaml").read_text(encoding="utf-8")))


def explained(words: Sequence[str]) -> dict[str, str]:
    """Return what each of `words` means."""
    return {word: _all_terms()[word] for word in words}


def _key(section: Section, taken: set[str]) -> str:
    """Return an id for `section`, that of its figure if it has one alone, and note it in `taken`."""
    alone = section.parts[0] if len(section.parts) == 1 else None
    words = re.findall(r"[a-z0-9]+", section.title.casefold())
    stem = alone.key if isinstance(alone, Drawing) else "-".join(words[:6]) or "part"
    key, n = stem, 2
    while key in taken:
        key, n = f"{stem}-{n}", n + 1
    taken.add(key)
    return key


def render(template: str, folder: Path | None = None, **values: Any) -> str:
    """Return the page of `template`, of this folder's templates or of `folder`; what is missing raises.

    Every value is escaped. `css` given is put into the page; without it the page links `/style.css`.
    """
    return _environment(folder).get_template(template).render(values)


@cache
def _environment(folder: Path | None) -> Environment:
    folders = [_TEMPLATES] if folder is None else [folder, _TEMPLATES]
    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["svg"] = lambda text: Markup(themed(text))  # noqa: S704 - our own drawings, escaped there
    made.filters["download"] = _download
    made.tests["drawing"] = lambda part: isinstance(part, Drawing)
    made.filters["unbroken"] = _unbroken
    made.globals["OPEN_ROWS"] = OPEN_ROWS
    made.globals["MANY_COLUMNS"] = MANY_COLUMNS
    return made


def _download(grid: Grid) -> str:
    """Return the table as an address that holds it, for a file that has no neighbour."""
    return "data:text/csv;base64," + base64.b64encode(grid.csv().encode()).decode()


def _unbroken(cell: str) -> str:
    """Return a cell whose interval stays on one line where its column is narrow: `3.77 [3.70, 3.84]`."""
    return cell.replace(", ", ",\u00a0")


@cache
def style_sheet() -> Markup:
    """Return the style sheet of all pages, with the colours of figures for light and dark paper."""
    text = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    light, dark = plot_colours(dark=False), plot_colours(dark=True)
    plots = f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    return Markup(text + plots)  # noqa: S704 - a file of ours
