"""Draws a policy tree: questions from left to right, answers with the same plan on one branch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.population.policy_tree import DECLINED, STOP, PolicyTree

MAX_LEAVES = 36
"""More would not be readable: the least probable branches are then drawn as one."""
_COLUMN, _ROW, _TOP = 3.5, 0.66, 1.0
"""Inches of a question and the answers to it, of a leaf, of the title."""
_BOX = (1.75, 0.44)
_LABEL = 27
"""Characters in a line of an answer's label."""
_NAME = (24, 28)
"""Characters of a box's text in large letters, and in a line of small ones."""


@dataclass(frozen=True)
class Box:
    """One box of the picture.

    `text`: what is done there. `kind`: `ask`, `answer`, `fallback` or `more` (branches drawn as one).
    `probability`: of coming here; `value`: expected objective from here on. `label`: the answers that lead
    here. `key`: equal for boxes with the same plan from here on. `note`: what follows it at once.
    """

    text: str
    kind: str
    probability: float
    value: float
    key: tuple[Any, ...]
    label: str = ""
    note: str = ""
    children: tuple[Box, ...] = ()

    def leaves(self) -> int:
        """Return how many rows the box takes."""
        return sum(child.leaves() for child in self.children) or 1

    def depth(self) -> int:
        """Return how many columns follow."""
        return max((1 + child.depth() for child in self.children), default=0)


def boxes(tree: PolicyTree, least: float = 0.0) -> Box:
    """Return what is drawn of `tree`; branches less probable than `least` become one."""
    return _box(tree, 0, (), least)


def _box(tree: PolicyTree, position: int, asked: tuple[int, ...], least: float) -> Box:
    node = tree.nodes[position]
    if node.attribute == STOP:
        return Box("answer", "answer", node.probability, node.value, ("answer",))
    asked = (*asked, node.attribute)
    levels = tree.levels[node.attribute]
    below = [
        (("declined / unknown" if code == DECLINED else levels[code]), _box(tree, child, asked, least))
        for code, child in node.children.items()
    ]
    rest = node.probability - sum(box.probability for _, box in below)
    if rest > 1e-9 or not below:
        mass = sum(box.probability * box.value for _, box in below)
        value = (node.probability * node.value - mass) / rest
        below.append(("any other answer" if below else "any answer", _fallback(tree, asked, rest, value)))
    children = tuple(_few_as_one(_merged(below), least))
    key = (node.attribute, tuple((box.label, box.key) for box in children))
    note = ""
    if len(children) == 1 and children[0].kind == "answer":
        note, children = "then answer", ()
    name = tree.names[node.attribute]
    return Box(name, "ask", node.probability, node.value, key, note=note, children=children)


def _fallback(tree: PolicyTree, asked: tuple[int, ...], probability: float, value: float) -> Box:
    """Return the box of going on with the fixed path."""
    rest = [a for a in tree.fallback if a not in asked][: tree.budget - len(asked)]
    if not rest:
        return Box("answer", "answer", probability, value, ("answer",))
    text = "then " + ", ".join(tree.names[a] for a in rest)
    return Box(text, "fallback", probability, value, ("fallback", *rest))


def _merged(below: Sequence[tuple[str, Box]]) -> list[Box]:
    """Join the answers that lead to the same plan, in the order of their first."""
    groups: dict[tuple[Any, ...], list[tuple[str, Box]]] = {}
    for label, box in below:
        groups.setdefault(box.key, []).append((label, box))
    found = []
    for group in groups.values():
        label = "any answer" if len(groups) == 1 else ", ".join(label for label, _ in group)
        found.append(replace(_sum([box for _, box in group]), label=label))
    return found


def _sum(same: Sequence[Box]) -> Box:
    """Return one box for several with the same plan."""
    total = sum(box.probability for box in same)
    value = sum(box.probability * box.value for box in same) / total if total else same[0].value
    children = tuple(_sum(alike) for alike in zip(*(box.children for box in same), strict=True))
    return replace(same[0], probability=total, value=value, children=children)


def _few_as_one(children: Sequence[Box], least: float) -> Iterator[Box]:
    few = [box for box in children if box.probability < least]
    if len(few) < 2:
        yield from children
        return
    yield from (box for box in children if box.probability >= least)
    joint = replace(_sum([replace(box, children=()) for box in few]), key=("more", len(few)))
    yield replace(joint, text=f"{len(few)} more plans", kind="more", label="less common answers")


def save_picture(path: Path, tree: PolicyTree, judge: str, simulated: bool) -> None:
    """Draw `tree` and write it to `path`, whose ending says in which format.

    The title says SIMULATED where no person and no model was asked.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    root = boxes(tree)
    least = 0.001
    while root.leaves() > MAX_LEAVES:
        root = boxes(tree, least)
        least *= 1.5
    width = max(_COLUMN * root.depth() + _BOX[0] + 0.6, 7.5)
    height = _ROW * root.leaves() + _TOP + 0.2
    with rc_context({"svg.hashsalt": "policy tree", "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        _write_title(axes, tree, judge, simulated)
        _draw(axes, root, 0.3, _TOP)
        date = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(path, dpi=150, metadata=date)


def _write_title(axes: Any, tree: PolicyTree, judge: str, simulated: bool) -> None:
    title = f"Questions for {tree.group}, budget {tree.budget}"
    if simulated:
        title += " (SIMULATED scores)"
    axes.text(0.3, 0.3, title, fontsize=12, weight="bold", va="center")
    note = (
        f"judge {judge}, {tree.n_profiles:,} profiles. Per cent: share of people who come here; number: "
        f"expected score less costs.\nDashed: what is asked after an answer without a branch of its own."
    )
    axes.text(0.3, 0.65, note, fontsize=8, va="center")


def _draw(axes: Any, box: Box, left: float, top: float) -> float:
    """Draw `box` and all that follows into the rows below `top`; return the height of its middle."""
    row = top
    middles = []
    for child in box.children:
        middles.append(_draw(axes, child, left + _COLUMN, row))
        row += _ROW * child.leaves()
    middle = (middles[0] + middles[-1]) / 2 if middles else top + _ROW / 2
    trunk = left + _BOX[0] + 0.15
    for child, height in zip(box.children, middles, strict=True):
        corner = [(left + _BOX[0], middle), (trunk, middle), (trunk, height), (left + _COLUMN, height)]
        axes.plot(*zip(*corner, strict=True), color="0.45", linewidth=0.9, solid_joinstyle="round", zorder=1)
        label = textwrap.shorten(child.label, 3 * _LABEL, placeholder=" ...")
        axes.text(
            trunk + 0.07,
            height - 0.03,
            textwrap.fill(label, _LABEL),
            fontsize=7,
            va="bottom",
            linespacing=1.0,
        )
    _draw_box(axes, box, left, middle)
    return middle


def _draw_box(axes: Any, box: Box, left: float, middle: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    styles = {
        "ask": ("1.0", "-", "black"),
        "answer": ("0.85", "-", "0.45"),
        "fallback": ("0.95", "--", "0.45"),
        "more": ("1.0", ":", "0.45"),
    }
    fill, line, edge = styles[box.kind]
    axes.add_patch(
        FancyBboxPatch(
            (left + 0.04, middle - _BOX[1] / 2), _BOX[0] - 0.08, _BOX[1],
            boxstyle="round,pad=0.04,rounding_size=0.06",
            facecolor=fill, edgecolor=edge, linestyle=line, linewidth=0.9, zorder=2,
        )
    )  # fmt: skip
    text = textwrap.fill(textwrap.shorten(box.text, 2 * _NAME[1], placeholder=" ..."), _NAME[1])
    size = 7.5 if len(box.text) <= _NAME[0] else 6.2
    text = box.text if len(box.text) <= _NAME[0] else text
    share = "<1%" if 0 < box.probability < 0.005 else f"{box.probability:.0%}"
    number = "   ".join(part for part in (box.note, share, f"{box.value:.2f}") if part)
    weight = "bold" if box.kind == "ask" else "normal"
    axes.text(
        left + _BOX[0] / 2, middle - 0.06, text, fontsize=size, weight=weight,
        ha="center", va="center", zorder=3, linespacing=0.95,
    )  # fmt: skip
    axes.text(left + _BOX[0] / 2, middle + 0.15, number, fontsize=6.5, ha="center", va="center", zorder=3)
