"""The one look of all pages that the project writes: a base template, a style sheet, tables and figures.

`page` writes a whole file of parts (`Grid`, `Drawing`, `Section`); a page of one's own extends `base.html`
and is rendered by `render`.
"""

from experiments.pages.grid import Grid, markdown
from experiments.pages.html_page import KeyFact, Section, explained, page, render, style_sheet

__all__ = ["Grid", "KeyFact", "Section", "explained", "markdown", "page", "render", "style_sheet"]
