"""Characters of untrusted text that could be taken for structure, and what stands for them in a prompt.

Brackets of all kinds become round and bars become slashes, also letters, mathematical signs and combined
characters that only look so (UTS 39 lists such as confusable): what a model's tokeniser or its eye for shapes
makes of them is not ours to guess.
"""

from __future__ import annotations

import functools
import re
import unicodedata

_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")
_PICTURES = 0x1F000
"""Where emoji begin: a magnifying glass is left-pointing, too."""
_OVERLAY = 1
"""Canonical combining class of strokes through a character: `<` with one is still a bracket."""

_BY_CATEGORY = {"Ps": "(", "Pe": ")", "Pi": '"', "Pf": '"'}
_PLAIN = {"<": "(", ">": ")", "[": "(", "]": ")", "{": "(", "}": ")", "`": "'", "|": "/"}
_LOOK_ALIKE = {"\u16b2": "(", "\U0001d236": "(", "\U0001d237": ")", "\U00016f3f": ")"}  # a rune, notes, Miao
_MEANT = {
    **dict.fromkeys("\u2264\u2266\u2a7d", " at most "),
    **dict.fromkeys("\u2265\u2267\u2a7e", " at least "),
}
# By their names in Unicode: 02C2, 227A, 22B2, 25C1, and their like.
_OPENING = re.compile(r"LESS-THAN|PRECEDES|LEFT ARROWHEAD|LEFT-POINTING|NORMAL SUBGROUP OF")
_CLOSING = re.compile(r"GREATER-THAN|SUCCEEDS|RIGHT ARROWHEAD|RIGHT-POINTING|CONTAINS AS NORMAL")
_BAR = re.compile(r"\bVERTICAL (?:LINE|BAR)\b|DASH VERTICAL|(?:LIGHT|HEAVY|DOUBLE) VERTICAL|BROKEN BAR|"
                  r"\bDIVIDES|PARALLEL TO|LETTER (?:DENTAL|LATERAL) CLICK|PUNCTUATION PASEQ")  # fmt: skip
# Letters of Inuktitut that are angles elsewhere: there they stand beside others of their script.
_SYLLABICS = "\u1400-\u1432\u1434-\u1437\u1439-\u167f"
_LONE_ANGLE = re.compile(f"(?<![{_SYLLABICS}])[\u1433\u1438](?![{_SYLLABICS}])")


def neutral_line(line: str) -> str:
    """Return `line`, NFKC already, without what is invisible and what could be taken for structure."""
    seen = (c for c in line if unicodedata.category(c) not in _INVISIBLE)
    bare = "".join(c for c in seen if unicodedata.combining(c) != _OVERLAY)
    # Composed anew: what was taken out may have stood between a letter and its accent.
    plain = "".join(map(_plain, unicodedata.normalize("NFKC", bare)))
    return _LONE_ANGLE.sub(lambda found: "()"[found[0] == "\u1433"], plain)


@functools.lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    if character.isascii() or character in _MEANT:
        return _PLAIN.get(character) or _MEANT.get(character, character)
    base = unicodedata.normalize("NFD", character)[0]  # "not less than" is a bracket with a stroke
    found = _PLAIN.get(base) or _LOOK_ALIKE.get(base)
    category = unicodedata.category(base)
    if found or category[0] == "M" or (category == "So" and ord(base) >= _PICTURES):
        return found or character
    name = unicodedata.name(base, "")
    if _BAR.search(name):
        return "/"
    if _OPENING.search(name):
        return "("
    if _CLOSING.search(name):
        return ")"
    return _BY_CATEGORY.get(category, character)
