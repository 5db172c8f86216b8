"""The list of a run's scenarios: filtered, sorted, a page of rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from experiments.viewer.run_contents import ListedScenario

PAGE_ROWS = 50
_ORDERS: Mapping[str, Callable[[ListedScenario], tuple[float, ...]]] = {
    "file": lambda s: (),
    "lowest score": lambda s: (_last(s.score),),
    "highest score": lambda s: (_last(None if s.score is None else -s.score),),
    "smallest gain": lambda s: (_last(s.gain),),
    "largest gain": lambda s: (_last(None if s.gain is None else -s.gain),),
    "longest path": lambda s: (-len(s.path),),
}
ORDERS = tuple(_ORDERS)


def _last(value: float | None) -> float:
    return math.inf if value is None or math.isnan(value) else value


class Wanted(NamedTuple):
    """What of the list is to be seen. `text`: in the id, the query, the path or the reason, any case."""

    text: str = ""
    domain: str = ""
    state: str = ""
    order: str = "file"
    page: int = 1

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Wanted:
        """Return what an address asks for; what makes no sense is taken as not said."""
        page, order = query.get("page", "1"), query.get("order", "file")
        return cls(
            query.get("text", "").strip(),
            query.get("domain", ""),
            query.get("state", ""),
            order if order in _ORDERS else "file",
            int(page) if page.isascii() and page.isdecimal() and len(page) < 9 and int(page) else 1,
        )

    def address(self, page: int) -> str:
        """Return the address of another page of the same list."""
        return "/?" + urlencode(self._replace(page=page)._asdict())


class Listed(NamedTuple):
    """A page of the list. `first`: number of its first row, from 1; `pages`: how many pages there are."""

    rows: Sequence[ListedScenario]
    n_found: int
    first: int
    page: int
    pages: int


def listed(scenarios: Sequence[ListedScenario], wanted: Wanted) -> Listed:
    """Return the page of `scenarios` that is wanted; a page behind the last is the last."""
    text = wanted.text.casefold()
    found = [
        s
        for s in scenarios
        if (not wanted.domain or s.domain == wanted.domain)
        and (not wanted.state or s.state == wanted.state)
        and (not text or text in " ".join((s.scenario_id, s.query, *s.path, s.reason)).casefold())
    ]
    if wanted.order != "file":
        found.sort(key=_ORDERS[wanted.order])
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(wanted.page, pages)
    first = (page - 1) * PAGE_ROWS
    return Listed(found[first : first + PAGE_ROWS], len(found), first + 1, page, pages)
