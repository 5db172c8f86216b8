"""Colours, markers and dashes of figures: the same name looks the same in each of them.

Every colour has a twin for dark paper. Each has a contrast of 3:1 and more to its paper, and any two can be
told apart by people with each kind of colour blindness (tests/experiments/plots/test_palette.py measures
both); markers and dashes tell lines apart without colour.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

INK, SOFT, RULE, PAPER = "#1d2327", "#55606a", "#d5d8d6", "#fbfaf7"
"""Text and frames, text beside it, the grid, the inside of open markers."""
LIGHT = (INK, "#0019ac", "#801b01", "#19a15b", "#8c37a3", "#9f8901", "#3a64fe", "#62726f")
DARK = ("#e8eaea", "#31b4ff", "#fa8d43", "#249e5f", "#dcb7e6", "#fac82a", "#2c6fc7", "#9baaa7")
"""Colours of lines on light paper, and their twins on dark paper."""
_TWINS = dict(zip((*LIGHT, SOFT, RULE, PAPER), (*DARK, "#a5b0b8", "#3a444b", "#14181b"), strict=True))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (7, 2, 1, 2)))

_SUBJECTS = (
    ("chosen", "bayes"),
    ("best static", "static", "beam"),
    ("population plan", "mcts"),
    ("conditional", "exhaustive"),
    ("vote", "greedy"),
    ("nearest", "gumbel"),
    ("random order", "random"),
    ("llm", "halving"),
)
"""What has a colour and a marker of its own, by its place in `LIGHT`; names begin with them."""
_VARIANTS = ((r"domain told|per domain|mcts_paper", 3), (r"\+ value|domain not told", 1), (r"\+ scale", 2))
"""Which dashes, by what the name goes on with; solid where it does not."""


class Look(NamedTuple):
    """How one line is drawn."""

    color: str
    marker: str
    linestyle: Any


def family_of(name: str) -> str:
    """Return `name` without its operating point: `vote + value 0.05` gives `vote + value`."""
    return re.sub(r"(?:, \d+ questions|[ ]\d[\d.]*(?:e-?\d+)?)$", "", name)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return how each of `names` is drawn; no two alike in (colour, dashes), nor in (marker, dashes).

    A name that the toolkit knows looks as everywhere; others take what is free, in their order.
    """
    names = list(dict.fromkeys(names))
    found: dict[str, Look] = {}
    taken: set[tuple[str, str]] = set()
    for own_ones in (True, False):  # what is free is shared out when all that is known has its own
        for name in (name for name in names if name not in found):
            look = _known(name) if own_ones else next(_free(taken))
            if look is not None and _key(look) not in taken:
                taken.add(_key(look))
                found[name] = look
    return {name: found[name] for name in names}


def _key(look: Look) -> tuple[str, str]:
    return look.color, str(look.linestyle)


def _free(taken: Collection[tuple[str, str]]) -> Iterator[Look]:
    looks_of_all = (Look(LIGHT[k], _MARKERS[k], dashes) for dashes in _DASHES for k in range(len(LIGHT)))
    return (look for look in looks_of_all if _key(look) not in taken)


def _known(name: str) -> Look | None:
    fitting = [
        (len(subject), place)
        for place, subjects in enumerate(_SUBJECTS)
        for subject in subjects
        if re.match(rf"{re.escape(subject)}(?![a-z])", name)
    ]
    if not fitting:
        return None
    place = max(fitting)[1]
    dashes = next((k for pattern, k in _VARIANTS if re.search(pattern, name)), 0)
    marker = _MARKERS[place if dashes != 3 else place + 4 if place < 4 else place - 4]
    return Look(LIGHT[place], marker, _DASHES[dashes])


def themed(svg: str) -> str:
    """Return `svg` with its colours as custom properties of the page (see `style_sheet`)."""
    pattern = re.compile("|".join(map(re.escape, _TWINS)))
    return pattern.sub(lambda found: f"var(--plot-{found[0][1:]})", svg)


def plot_colours(dark: bool) -> str:
    """Return the declarations of those properties for light or dark paper."""
    return " ".join(f"--plot-{light[1:]}: {twin if dark else light};" for light, twin in _TWINS.items())
