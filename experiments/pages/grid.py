"""Tables of reports, the same in HTML, in Markdown and on the terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import NamedTuple


class Grid(NamedTuple):
    """A table, titled by what is seen; columns from `numbers` on are set flush right.

    `name`: of the CSV that a page offers for download, without its ending; "" offers none. `data`: what that
    file holds (its first row names the columns), the cells as they are shown if empty.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    numbers: int = 1
    name: str = ""
    data: Sequence[Sequence[object]] = ()

    def offered(self) -> Grid:
        """Return the table with a download, named by its title up to a comma."""
        return self._replace(name=re.sub(r"[^a-z]+", "-", self.title.split(",")[0].casefold()).strip("-"))

    def csv(self) -> str:
        """Return the file of the download."""
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(self.data or [self.columns, *self.rows])
        return buffer.getvalue()


def markdown(grid: Grid) -> str:
    """Return `grid` as a Markdown table."""
    rule = ["---:" if k >= grid.numbers else "---" for k in range(len(grid.columns))]
    lines = [grid.columns, rule, *grid.rows]
    return (
        "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        + "\n"
    )
